"""Patches of signals, images and volumes, and the way back (step 1 and 3 of KDS, Algorithm 2).

`steering` shifts patches; the default patch is 1x1, one C-vector per latent pixel, and patches do not overlap,
as in the paper. With a stride below the patch size they do: then every value is averaged over the patches that
cover it. `patchify` is linear; with its adjoint A, `unpatchify` is A(patches) / A(ones).
"""

from __future__ import annotations

import math

import array_api_compat

from kds_ref._arrays import Array, Namespace, check_integer, common_namespace

__all__ = ["patchify", "patchify_adjoint", "unpatchify"]


def patchify(z: Array, *, patch_size: int, stride: int | None = None, sample_ndim: int = 3) -> Array:
    """Cut samples into square patches (segments of a signal, cubes of a volume).

    Locations run row by row; within a patch the order is (row, column, channel).
    Patches start at 0, stride, 2 * stride, ... until the last value is covered. What the last patch has beyond
    the end is padded with zeros. The padding is the same in every particle, so it adds nothing to any distance:
    the patches at that edge are just smaller ones.

    Args:
        z: Samples, (..., C, H, W), or (..., C, length) of a signal, (..., C, depth, H, W) of a volume; any dtype.
        patch_size: Side p of a patch in pixels, at least 1.
        stride: Distance between neighbouring patches in pixels, in [1, p]; None for p: no overlap.
        sample_ndim: Number of axes of one sample: 2 for signals, 3 for images, 4 for volumes.

    Returns:
        Patches, (..., L, p^k * C) for k = sample_ndim - 1 axes of space, dtype of z. An axis of n pixels gives
        1 + ceil(max(n - p, 0) / stride) patches, which is ceil(n / p) without overlap; L is their product.

    Raises:
        TypeError: If z is not an array or an option is not an integer.
        ValueError: If z has too few axes or an empty one, or an option is out of range.

    Example:
        >>> import numpy as np
        >>> patchify(np.arange(4.0).reshape(1, 2, 2), patch_size=2)
        array([[0., 1., 2., 3.]])
        >>> patchify(np.zeros((10, 3, 5, 7)), patch_size=2).shape
        (10, 12, 12)
        >>> patchify(np.asarray([[1.0, 2.0, 3.0]]), patch_size=2, stride=1, sample_ndim=2)  # a signal
        array([[1., 2.],
               [2., 3.]])
    """
    xp = common_namespace(z=z)
    p, stride = check_patches(patch_size, stride)
    check_integer("sample_ndim", sample_ndim, low=2)
    if z.ndim < sample_ndim or 0 in z.shape[-sample_ndim:]:
        axes = "C, H and W" if sample_ndim == 3 else f"C and {sample_ndim - 1} axes of space"
        raise ValueError(f"z has shape {tuple(z.shape)}; it needs axes (..., {axes}), none empty")
    lead, (channels, *sizes) = tuple(z.shape[:-sample_ndim]), z.shape[-sample_ndim:]
    counts = patch_counts(sizes, p, stride)
    for axis, (size, count) in enumerate(zip(sizes, counts, strict=True), start=-len(sizes)):
        z = _cut(_pad_end(z, axis, (count - 1) * stride + p - size, xp), axis, count, p, stride, xp)
    k = len(sizes)
    split = [length for count in counts for length in (count, p)]
    z = xp.reshape(z, (*lead, channels, *split))
    # (..., C, n1, p, n2, p, ...) -> (..., n1, n2, ..., p, p, ..., C)
    z = _permute_end(z, (*range(1, 2 * k, 2), *range(2, 2 * k + 1, 2), 0), xp)
    return xp.reshape(z, (*lead, math.prod(counts), p**k * channels))


def patchify_adjoint(patches: Array, *, patch_size: int, shape: tuple[int, ...], stride: int | None = None) -> Array:
    """Adjoint of `patchify`: add every patch at its place (overlap-add).

    <patchify(x), y> = <x, patchify_adjoint(y)> for all x of that shape and all patches y.

    Args:
        patches: Patches, (..., L, p^k * C), as `patchify` orders them; any real or complex dtype.
        patch_size: Side p of a patch in pixels, as given to `patchify`.
        shape: (C, H, W) of the images, (C, length) of signals, (C, depth, H, W) of volumes; what was padded is
            cropped away.
        stride: As given to `patchify`.

    Returns:
        Samples of that shape, (..., *shape), dtype of patches.

    Raises:
        TypeError: If patches is not an array, or an option is not of integers.
        ValueError: If the patches' axes do not belong to that shape, patch_size and stride.

    Example:
        The middle value of a signal of three lies in both patches.

        >>> import numpy as np
        >>> patchify_adjoint(np.ones((2, 2)), patch_size=2, stride=1, shape=(1, 3))
        array([[1., 2., 1.]])
    """
    xp = common_namespace(patches=patches)
    p, stride = check_patches(patch_size, stride)
    channels, *sizes = check_shape(shape)
    counts, k = patch_counts(sizes, p, stride), len(sizes)
    expected = (math.prod(counts), p**k * channels)
    if patches.ndim < 2 or tuple(patches.shape[-2:]) != expected:
        raise ValueError(
            f"patches has shape {tuple(patches.shape)}; samples of shape {tuple(shape)} in patches of size "
            f"{p} with stride {stride} need (..., {expected[0]}, {expected[1]})"
        )
    lead = tuple(patches.shape[:-2])
    z = xp.reshape(patches, (*lead, *counts, *(p for _ in sizes), channels))
    # (..., n1, n2, ..., p, p, ..., C) -> (..., C, n1, p, n2, p, ...)
    z = _permute_end(z, (2 * k, *(axis for i in range(k) for axis in (i, k + i))), xp)
    z = xp.reshape(z, (*lead, channels, *(count * p for count in counts)))
    for axis, (size, count) in enumerate(zip(sizes, counts, strict=True), start=-k):
        z = _overlap_add(z, axis, size, count, p, stride, xp)
    return z[(..., *(slice(size) for size in sizes))]


def unpatchify(patches: Array, *, patch_size: int, shape: tuple[int, ...], stride: int | None = None) -> Array:
    """Put patches back at their places; overlapping ones are averaged.

    Without overlap it is the exact inverse of `patchify`. With overlap it is a left inverse to rounding,
    unpatchify(patchify(z)) = z, and exact wherever only one patch covers a value.

    Args:
        patches: Patches, (..., L, p^k * C), as `patchify` orders them; of a floating dtype if they overlap.
        patch_size: Side p of a patch in pixels, as given to `patchify`.
        shape: (C, H, W) of the images, (C, length) of signals, (C, depth, H, W) of volumes; what was padded is
            cropped away.
        stride: As given to `patchify`.

    Returns:
        Samples, (..., *shape), dtype of patches.

    Raises:
        TypeError: If patches is not an array, an option is not of integers, or integers are to be averaged.
        ValueError: If the patches' axes do not belong to that shape, patch_size and stride.

    Notes:
        Half precision is averaged in float32.

    Example:
        >>> import numpy as np
        >>> z = np.arange(105.0).reshape(3, 5, 7)
        >>> back = unpatchify(patchify(z, patch_size=2), patch_size=2, shape=(3, 5, 7))
        >>> bool(np.all(back == z))
        True
        >>> patches = np.asarray([[0.0, 0.0], [4.0, 0.0]])  # two overlapping segments of a signal
        >>> unpatchify(patches, patch_size=2, stride=1, shape=(1, 3))
        array([[0., 2., 0.]])
    """
    xp = common_namespace(patches=patches)
    p, step = check_patches(patch_size, stride)
    if step == p:
        return patchify_adjoint(patches, patch_size=p, shape=shape)
    if not xp.isdtype(patches.dtype, ("real floating", "complex floating")):
        raise TypeError(f"patches has dtype {patches.dtype}; overlapping patches are averaged: convert to a float")
    wide = xp.astype(patches, xp.float32) if xp.finfo(patches.dtype).bits < 32 else patches
    total = patchify_adjoint(wide, patch_size=p, shape=shape, stride=step)
    one = xp.ones(wide.shape[-2:], dtype=wide.dtype, device=array_api_compat.device(wide))
    coverage = patchify_adjoint(one, patch_size=p, shape=shape, stride=step)
    return xp.astype(total / coverage, patches.dtype, copy=False)


def check_patches(patch_size: int, stride: int | None) -> tuple[int, int]:
    """Check and return patch size and stride; no stride means no overlap."""
    p = check_integer("patch_size", patch_size, low=1)
    if stride is None:
        return p, p
    if check_integer("stride", stride, low=1) > p:
        raise ValueError(f"stride is {stride} with patch_size={p}; it must be in [1, {p}], or values are left out")
    return p, int(stride)


def check_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Check and return the shape of one sample, channels first."""
    if not isinstance(shape, tuple | list) or len(shape) < 2:
        raise ValueError(f"shape is {shape!r}; pass (C, H, W) of the images, (C, length) of signals")
    return tuple(check_integer("shape", size, low=1) for size in shape)


def patch_counts(sizes: tuple[int, ...] | list[int], patch_size: int, stride: int) -> list[int]:
    """Number of patches along each axis of space."""
    return [1 + -(-max(size - patch_size, 0) // stride) for size in sizes]


def _cut(z: Array, axis: int, count: int, p: int, stride: int, xp: Namespace) -> Array:
    """Lay the windows of one axis end to end: its length becomes count * p."""
    if stride == p:
        return z
    places = [start * stride + offset for start in range(count) for offset in range(p)]
    return xp.take(z, _indices(places, z, xp), axis=axis)


def _overlap_add(z: Array, axis: int, size: int, count: int, p: int, stride: int, xp: Namespace) -> Array:
    """The adjoint of `_cut`: a value collects what the windows that cover it hold."""
    if stride == p:
        return z
    total = None
    for back in range(-(-p // stride)):  # the last window that begins at or before a value, the one before it, ...
        windows = [(x // stride - back, x % stride + back * stride) for x in range(size)]
        covered = [0 <= i < count and offset < p for i, offset in windows]
        places = [i * p + offset if c else 0 for (i, offset), c in zip(windows, covered, strict=True)]
        values = xp.take(z, _indices(places, z, xp), axis=axis)
        mask = xp.reshape(_indices(covered, z, xp), (size, *(1 for _ in range(-axis - 1))))
        values = xp.where(mask, values, xp.zeros_like(values))
        total = values if total is None else total + values
    return total


def _indices(values: list[int] | list[bool], like: Array, xp: Namespace) -> Array:
    return xp.asarray(values, device=array_api_compat.device(like))


def _permute_end(x: Array, order: tuple[int, ...], xp: Namespace) -> Array:
    """Permute the last len(order) axes; the leading ones stay."""
    lead = x.ndim - len(order)
    return xp.permute_dims(x, (*range(lead), *(lead + axis for axis in order)))


def _pad_end(x: Array, axis: int, amount: int, xp: Namespace) -> Array:
    """Append zeros along one axis."""
    if amount == 0:
        return x
    shape = list(x.shape)
    shape[axis] = amount
    zeros = xp.zeros(tuple(shape), dtype=x.dtype, device=array_api_compat.device(x))
    return xp.concat([x, zeros], axis=axis)
