"""Non-overlapping patches of a latent image and the way back (step 1 and 3 of KDS, Algorithm 2).

`steering` shifts patches; the default patch is 1x1, one C-vector per latent pixel. Patches never overlap, so
putting them back needs no averaging and the round trip is exact.
"""

from __future__ import annotations

import array_api_compat

from kds_ref._arrays import Array, Namespace, check_integer, common_namespace


def patchify(z: Array, *, patch_size: int) -> Array:
    """Cut images into square, non-overlapping patches.

    Locations run row by row; within a patch the order is (row, column, channel).
    A size that patch_size does not divide is padded with zeros at the bottom and the right. The padding is
    the same in every particle, so it adds nothing to any distance: the patches at that edge are just smaller
    ones.

    Args:
        z: Images, (..., C, H, W), any dtype.
        patch_size: Side of a patch in pixels, at least 1.

    Returns:
        Patches, (..., L, patch_size^2 * C) with L = ceil(H / patch_size) * ceil(W / patch_size), dtype of z.

    Raises:
        TypeError: If z is not an array or patch_size is not an integer.
        ValueError: If z has fewer than three axes or an empty one, or patch_size is below 1.

    Example:
        >>> import numpy as np
        >>> patchify(np.arange(4.0).reshape(1, 2, 2), patch_size=2)
        array([[0., 1., 2., 3.]])
        >>> patchify(np.zeros((10, 3, 5, 7)), patch_size=2).shape
        (10, 12, 12)
    """
    xp = common_namespace(z=z)
    p = check_integer("patch_size", patch_size, low=1)
    if z.ndim < 3 or 0 in z.shape[-3:]:
        raise ValueError(f"z has shape {tuple(z.shape)}; it needs axes (..., C, H, W), C, H and W not empty")
    lead, (channels, height, width) = tuple(z.shape[:-3]), z.shape[-3:]
    rows, columns = -(-height // p), -(-width // p)
    z = _pad_end(_pad_end(z, -2, rows * p - height, xp), -1, columns * p - width, xp)
    z = xp.reshape(z, (*lead, channels, rows, p, columns, p))
    # (..., C, R, p, K, p) -> (..., R, K, p, p, C)
    z = _permute_end(z, (1, 3, 2, 4, 0), xp)
    return xp.reshape(z, (*lead, rows * columns, p * p * channels))


def unpatchify(patches: Array, *, patch_size: int, shape: tuple[int, int, int]) -> Array:
    """Put patches back at their places; the exact inverse of `patchify`.

    Args:
        patches: Patches, (..., L, patch_size^2 * C), as `patchify` orders them.
        patch_size: Side of a patch in pixels, as given to `patchify`.
        shape: (C, H, W) of the images; what was padded is cropped away.

    Returns:
        Images, (..., C, H, W), dtype of patches.

    Raises:
        TypeError: If patches is not an array, or patch_size or shape are not integers.
        ValueError: If the patches' axes do not belong to that shape and patch_size.

    Example:
        >>> import numpy as np
        >>> z = np.arange(105.0).reshape(3, 5, 7)
        >>> back = unpatchify(patchify(z, patch_size=2), patch_size=2, shape=(3, 5, 7))
        >>> bool(np.all(back == z))
        True
    """
    xp = common_namespace(patches=patches)
    p = check_integer("patch_size", patch_size, low=1)
    if not isinstance(shape, tuple | list) or len(shape) != 3:
        raise ValueError(f"shape is {shape!r}; pass (C, H, W) of the images")
    channels, height, width = (check_integer("shape", size, low=1) for size in shape)
    rows, columns = -(-height // p), -(-width // p)
    expected = (rows * columns, p * p * channels)
    if patches.ndim < 2 or tuple(patches.shape[-2:]) != expected:
        raise ValueError(
            f"patches has shape {tuple(patches.shape)}; images of shape {tuple(shape)} in patches of size "
            f"{p} need (..., {expected[0]}, {expected[1]})"
        )
    lead = tuple(patches.shape[:-2])
    z = xp.reshape(patches, (*lead, rows, columns, p, p, channels))
    # (..., R, K, p, p, C) -> (..., C, R, p, K, p)
    z = _permute_end(z, (4, 0, 2, 1, 3), xp)
    z = xp.reshape(z, (*lead, channels, rows * p, columns * p))
    return z[..., :height, :width]


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
