"""Cutting samples into patches and putting them back, unchecked: the maths of `patches`, and of `steer`."""

from __future__ import annotations

import math
from typing import NamedTuple

import array_api_compat

from kds_ref._arrays import Array, Namespace
from kds_ref._checks import check_integer


class PatchGrid(NamedTuple):
    """Where the patches of one sample lie; each entry of sizes, sides and counts is one axis of space.

    Attributes:
        channels: Number of channels, which every patch has whole.
        sizes: Length of the sample's axes.
        sides: Length of a patch: the patch size, or the whole axis where that is shorter.
        counts: Number of patches.
        stride: Distance between neighbouring patches; at least a side means no overlap.
    """

    channels: int
    sizes: tuple[int, ...]
    sides: tuple[int, ...]
    counts: tuple[int, ...]
    stride: int

    @property
    def num_patches(self) -> int:
        """L, over all axes."""
        return math.prod(self.counts)

    @property
    def dimensions(self) -> int:
        """Number of values in a patch, padding included."""
        return math.prod(self.sides) * self.channels

    @property
    def overlaps(self) -> bool:
        """Whether some value lies in several patches."""
        return any(self._overlaps_along(axis) for axis in range(len(self.sizes)))

    @property
    def is_even(self) -> bool:
        """Whether no patch is padded, so that all hold equally many values of the sample."""
        axes = zip(self.sizes, self.sides, self.counts, strict=True)
        return all((count - 1) * self.stride + side == size or count == 1 for size, side, count in axes)

    def _overlaps_along(self, axis: int) -> bool:
        return self.counts[axis] > 1 and self.stride < self.sides[axis]

    def cut(self, z: Array, xp: Namespace) -> Array:
        """(..., C, *sizes) -> patches (..., L, D)."""
        k = len(self.sizes)
        lead = tuple(z.shape[: z.ndim - k - 1])
        for axis in range(k):
            z = self._windows(z, axis, xp)

        split = [length for pair in zip(self.counts, self.sides, strict=True) for length in pair]
        z = xp.reshape(z, (*lead, self.channels, *split))
        # (..., C, n1, p, n2, p, ...) -> (..., n1, n2, ..., p, p, ..., C)
        z = _permute_end(z, (*range(1, 2 * k, 2), *range(2, 2 * k + 1, 2), 0), xp)
        return xp.reshape(z, (*lead, self.num_patches, self.dimensions))

    def add_up(self, patches: Array, xp: Namespace) -> Array:
        """The adjoint of `cut`: patches (..., L, D) are added at their places, (..., C, *sizes)."""
        k = len(self.sizes)
        lead = tuple(patches.shape[:-2])
        z = xp.reshape(patches, (*lead, *self.counts, *self.sides, self.channels))
        # (..., n1, n2, ..., p, p, ..., C) -> (..., C, n1, p, n2, p, ...)
        z = _permute_end(z, (2 * k, *(axis for i in range(k) for axis in (i, k + i))), xp)
        lengths = [count * side for count, side in zip(self.counts, self.sides, strict=True)]
        z = xp.reshape(z, (*lead, self.channels, *lengths))

        for axis in range(k):
            if self._overlaps_along(axis):
                z = self._overlap_add(z, axis, xp)
        return z[(..., *(slice(size) for size in self.sizes))]

    def put_back(self, patches: Array, xp: Namespace) -> Array:
        """The way back from `cut`: exact without overlap, the average over the patches with it."""
        total = self.add_up(patches, xp)
        if not self.overlaps:
            return total
        shape, device = (self.num_patches, self.dimensions), array_api_compat.device(patches)
        return total / self.add_up(xp.ones(shape, dtype=patches.dtype, device=device), xp)

    def _windows(self, z: Array, axis: int, xp: Namespace) -> Array:
        """Lay the windows of one axis end to end: its length becomes count * side."""
        size, side, count = self.sizes[axis], self.sides[axis], self.counts[axis]
        at = axis - len(self.sizes)  # from the end
        if not self._overlaps_along(axis):
            return _pad(z, at, 0, count * side - size, xp)

        last = (count - 1) * self.stride
        z = _pad(z, at, 0, last + side - size, xp)
        # The values at one place of all windows are a slice; no list of indices has to travel to a device.
        after = (slice(None),) * (-at - 1)
        places = [z[(..., slice(o, o + last + 1, self.stride), *after)] for o in range(side)]
        z = xp.stack(places, axis=z.ndim + at + 1)  # (..., count, side, ...)
        shape = tuple(places[0].shape)
        return xp.reshape(z, (*shape[: len(shape) + at], count * side, *shape[len(shape) + at + 1 :]))

    def _overlap_add(self, z: Array, axis: int, xp: Namespace) -> Array:
        """The adjoint of `_windows`, padded at the end: a value collects what the windows that cover it hold."""
        side, count, stride = self.sides[axis], self.counts[axis], self.stride
        at = axis - len(self.sizes)
        before, after = tuple(z.shape[: z.ndim + at]), tuple(z.shape[z.ndim + at + 1 :])
        pieces = -(-side // stride)  # a window covers so many steps of the stride, the last one perhaps in part
        z = xp.reshape(z, (*before, count, side, *after))
        z = xp.reshape(_pad(z, at, 0, pieces * stride - side, xp), (*before, count, pieces, stride, *after))

        total = None
        for piece in range(pieces):  # the last window that begins at or before a value, the one before it, ...
            part = z[(..., piece, slice(None), *(slice(None) for _ in after))]  # (..., count, stride, ...)
            part = _pad(part, at - 1, piece, pieces - 1 - piece, xp)
            total = part if total is None else total + part
        return xp.reshape(total, (*before, (count + pieces - 1) * stride, *after))


def patch_grid(sample: tuple[int, ...], patch_size: int, stride: int | None) -> PatchGrid:
    """The grid of checked options on samples of a shape, channels first."""
    patch_size, step = int(patch_size), int(patch_size if stride is None else stride)
    channels, *sizes = sample
    sides = tuple(min(patch_size, size) for size in sizes)
    counts = tuple(1 + -(-max(size - patch_size, 0) // step) for size in sizes)
    return PatchGrid(channels, tuple(sizes), sides, counts, step)


def check_patches(patch_size: int, stride: int | None) -> None:
    """Check patch size and stride; no stride means no overlap."""
    p = check_integer("patch_size", patch_size, low=1)
    if stride is not None and check_integer("stride", stride, low=1) > p:
        raise ValueError(f"stride must be in [1, {p}] with patch_size={p}, got {stride}; else values are left out")


def _permute_end(x: Array, order: tuple[int, ...], xp: Namespace) -> Array:
    """Permute the last len(order) axes; the leading ones stay."""
    lead = x.ndim - len(order)
    return xp.permute_dims(x, (*range(lead), *(lead + axis for axis in order)))


def _pad(x: Array, axis: int, before: int, after: int, xp: Namespace) -> Array:
    """Add zeros at both ends of one axis, counted from the last."""
    def zeros(amount: int) -> list[Array]:
        shape = list(x.shape)
        shape[axis] = amount
        return [xp.zeros(tuple(shape), dtype=x.dtype, device=array_api_compat.device(x))] if amount else []

    parts = [*zeros(before), x, *zeros(after)]
    return x if len(parts) == 1 else xp.concat(parts, axis=axis)
