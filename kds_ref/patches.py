"""Patches of signals, images and volumes, and the way back (step 1 and 3 of KDS, Algorithm 2).

The default patch of `steer` is 1x1, one C-vector per latent pixel, and patches do not overlap, as in the paper. With a
stride below the patch size they do: then every value is averaged over the patches that cover it. `patchify` is
linear; with its adjoint A, `unpatchify` is A(patches) / A(ones).
"""

from __future__ import annotations

from kds_ref._arrays import Array, common_namespace
from kds_ref._checks import check_integer, shown
from kds_ref._patch_grid import PatchGrid, check_patches, patch_grid

__all__ = ["patchify", "patchify_adjoint", "unpatchify"]


def patchify(z: Array, *, patch_size: int, stride: int | None = None, sample_ndim: int = 3) -> Array:
    """Cut samples into square patches (segments of a signal, cubes of a volume).

    Locations run row by row; within a patch the order is (row, column, channel).
    Patches start at 0, stride, 2 * stride, ... until the last value is covered. What the last patch has beyond
    the end is padded with zeros. The padding is the same in every particle, so it adds nothing to any distance:
    the patches at that edge are just smaller ones. Along an axis shorter than the patch size the one patch is as
    long as the axis.

    Args:
        z: Samples, (..., C, H, W), or (..., C, length) of a signal, (..., C, depth, H, W) of a volume; any dtype.
        patch_size: Side p of a patch in pixels, at least 1.
        stride: Distance between neighbouring patches in pixels, in [1, p]; None for p: no overlap.
        sample_ndim: Number of axes of one sample: 2 for signals, 3 for images, 4 for volumes.

    Returns:
        Patches, (..., L, D), dtype of z. D is C times the product of min(p, n) over the axes of space, each of n
        pixels. An axis gives 1 + ceil(max(n - p, 0) / stride) patches, which is ceil(n / p) without overlap; L is
        their product.

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
    check_patches(patch_size, stride)
    check_integer("sample_ndim", sample_ndim, low=2)
    if z.ndim < sample_ndim or 0 in z.shape[-sample_ndim:]:
        axes = "C, H and W" if sample_ndim == 3 else f"C and {sample_ndim - 1} axes of space"
        raise ValueError(f"z must have axes (..., {axes}), none empty, got shape {tuple(z.shape)}")
    return patch_grid(tuple(z.shape[-sample_ndim:]), patch_size, stride).cut(z, xp)


def patchify_adjoint(patches: Array, *, patch_size: int, shape: tuple[int, ...], stride: int | None = None) -> Array:
    """Adjoint of `patchify`: add every patch at its place (overlap-add).

    <patchify(x), y> = <x, patchify_adjoint(y)> for all x of that shape and all patches y.

    Args:
        patches: Patches, (..., L, D), as `patchify` orders them; any real or complex dtype.
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
    return _check_grid(patches, patch_size, stride, shape).add_up(patches, xp)


def unpatchify(patches: Array, *, patch_size: int, shape: tuple[int, ...], stride: int | None = None) -> Array:
    """Put patches back at their places; overlapping ones are averaged.

    Without overlap it is the exact inverse of `patchify`. With overlap it is a left inverse to rounding,
    unpatchify(patchify(z)) = z, and exact wherever only one patch covers a value.

    Args:
        patches: Patches, (..., L, D), as `patchify` orders them; of a floating dtype if they overlap.
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
    grid = _check_grid(patches, patch_size, stride, shape)
    if not grid.overlaps:
        return grid.add_up(patches, xp)

    if not xp.isdtype(patches.dtype, ("real floating", "complex floating")):
        raise TypeError(f"patches must have a floating dtype where they overlap, got {patches.dtype}; convert them")
    wide = xp.astype(patches, xp.float32) if xp.finfo(patches.dtype).bits < 32 else patches
    return xp.astype(grid.put_back(wide, xp), patches.dtype, copy=False)


def _check_grid(patches: Array, patch_size: int, stride: int | None, shape: tuple[int, ...]) -> PatchGrid:
    """The grid of the samples to which patches (..., L, D) belong."""
    check_patches(patch_size, stride)
    if not isinstance(shape, tuple | list) or len(shape) < 2:
        raise ValueError(f"shape must be (C, H, W) of the images, or (C, length) of signals, got {shown(shape)}")
    grid = patch_grid(tuple(check_integer("shape", size, low=1) for size in shape), patch_size, stride)
    if patches.ndim < 2 or tuple(patches.shape[-2:]) != (grid.num_patches, grid.dimensions):
        raise ValueError(
            f"patches must have shape (..., {grid.num_patches}, {grid.dimensions}) for samples of shape "
            f"{tuple(shape)} in patches of size {patch_size} with stride {grid.stride}, got {tuple(patches.shape)}"
        )
    return grid
