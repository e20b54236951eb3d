"""Which trailing axes form one sample, and the way from particles to patch locations and back."""

from __future__ import annotations

import math
from typing import NamedTuple

import array_api_compat

from kds_ref._arrays import Array, Namespace
from kds_ref._checks import check_integer
from kds_ref._patch_grid import PatchGrid, check_patches, patch_grid


class Layout(NamedTuple):
    """How particles are cut: the shape of one sample, and the grid of its patches (None: the whole is one patch)."""

    sample: tuple[int, ...]
    grid: PatchGrid | None = None

    @property
    def common_dimension(self) -> int | None:
        """Number of values in a patch if all patches have the same, else None; from the shapes alone."""
        if self.grid is None:
            return math.prod(self.sample)
        return self.grid.dimensions if self.grid.is_even else None


def check_layout_options(patch_size: int | None, stride: int | None, sample_ndim: int | None) -> None:
    """Check the options that say what one sample and its patches are, as far as that goes without the array."""
    if sample_ndim is not None:
        check_integer("sample_ndim", sample_ndim, low=1)
    if patch_size is not None:
        check_patches(patch_size, stride)
    elif stride is not None:
        raise ValueError(f"stride must be None with patch_size=None, got {stride}; the whole sample is one patch")
    if patch_size is not None and sample_ndim == 1:
        raise ValueError(
            f"sample_ndim must be at least 2 with patch_size={patch_size}, got 1; patches need samples (C, length), "
            "(C, H, W) or (C, depth, H, W), and patch_size=None takes the whole sample as one patch"
        )


def check_layout(
    name: str, x: Array, patch_size: int | None, stride: int | None, sample_ndim: int | None
) -> Layout:
    """Check the options and an array x (..., N, *sample); ValueError if x does not fit or is ambiguous."""
    check_layout_options(patch_size, stride, sample_ndim)
    if sample_ndim is None and patch_size is None and x.ndim == 3:
        raise ValueError(
            f"sample_ndim must be 1 or 2 for {name} of shape {tuple(x.shape)}, got None; it may be (ensembles, N, D) "
            "or (N, H, W)"
        )

    if sample_ndim is None:
        sample_ndim = 1 if patch_size is None and x.ndim == 2 else 3
    if x.ndim < sample_ndim + 1 or 0 in x.shape:
        axes = "(..., N, C, H, W)" if sample_ndim == 3 else f"(..., N) and {sample_ndim} axes of the sample"
        remedy = "" if patch_size is None else "; patch_size=None takes samples of any shape"
        raise ValueError(f"{name} must have axes {axes}, none empty, got shape {tuple(x.shape)}{remedy}")

    sample = tuple(x.shape[-sample_ndim:])
    return Layout(sample, None if patch_size is None else patch_grid(sample, patch_size, stride))


def flat_samples(x: Array, layout: Layout, xp: Namespace) -> Array:
    """(..., N, *sample) -> (..., N, D)."""
    return xp.reshape(x, (*x.shape[: -len(layout.sample)], math.prod(layout.sample)))


def to_locations(x: Array, layout: Layout, xp: Namespace) -> Array:
    """(..., N, *sample) -> patches by location (..., L, N, D); a whole sample is one location."""
    if layout.grid is None:
        return xp.expand_dims(flat_samples(x, layout, xp), axis=-3)
    return swap_points(layout.grid.cut(x, xp), xp)


def from_locations(patches: Array, layout: Layout, xp: Namespace) -> Array:
    """The way back from `to_locations`: exact without overlap, the average over the patches with it."""
    by_particle = swap_points(patches, xp)  # (..., N, L, D)
    if layout.grid is None:
        return xp.reshape(by_particle, (*by_particle.shape[:-2], *layout.sample))
    return layout.grid.put_back(by_particle, xp)


def location_dimensions(like: Array, layout: Layout, xp: Namespace) -> Array:
    """Number of values of the sample in each patch, without padding: (L,), in the dtype of `like`."""
    one = xp.ones((1, *layout.sample), dtype=like.dtype, device=array_api_compat.device(like))
    return xp.sum(to_locations(one, layout, xp), axis=-1)[:, 0]


def swap_points(x: Array, xp: Namespace) -> Array:
    """(..., A, B, D) -> (..., B, A, D)."""
    return xp.permute_dims(x, (*range(x.ndim - 3), x.ndim - 2, x.ndim - 3, x.ndim - 1))
