"""Which trailing axes form one sample, and the way from particles to patch locations and back.

Shared by `steering` and `selection`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import array_api_compat

from kds_ref._arrays import Array, Namespace, check_integer
from kds_ref.patches import check_patches, patchify, unpatchify


class Layout(NamedTuple):
    """How particles are cut: shape of one sample, and patch size (None: whole) and stride (None: no overlap)."""

    sample: tuple[int, ...]
    patch_size: int | None = None
    stride: int | None = None


def check_layout(patch_size: int | None, stride: int | None, sample_ndim: int | None) -> None:
    """Check the options that say what one sample and its patches are, as far as that goes without the array."""
    if sample_ndim is not None:
        check_integer("sample_ndim", sample_ndim, low=1)
    if patch_size is not None:
        check_patches(patch_size, stride)
    elif stride is not None:
        raise ValueError(f"stride is {stride} with patch_size=None; the whole sample is one patch: leave stride out")
    if patch_size is not None and sample_ndim == 1:
        raise ValueError(
            f"sample_ndim is 1 with patch_size={patch_size}; patches need samples (C, length), (C, H, W) or "
            "(C, depth, H, W); pass patch_size=None to take the whole sample as one patch"
        )


def sample_shape(name: str, x: Array, patch_size: int | None, sample_ndim: int | None) -> tuple[int, ...]:
    """Shape of one sample of x (..., N, *sample); ValueError if x does not fit or is ambiguous."""
    check_layout(patch_size, None, sample_ndim)
    if sample_ndim is None and patch_size is None and x.ndim == 3:
        raise ValueError(
            f"{name} has shape {tuple(x.shape)}, which may be (ensembles, N, D) or (N, H, W); "
            "say which with sample_ndim=1 or sample_ndim=2"
        )
    if sample_ndim is None:
        sample_ndim = 1 if patch_size is None and x.ndim == 2 else 3
    if x.ndim < sample_ndim + 1 or 0 in x.shape:
        axes = "(..., N, C, H, W)" if sample_ndim == 3 else f"(..., N) and {sample_ndim} axes of the sample"
        remedy = "" if patch_size is None else "; patch_size=None takes samples of any shape"
        raise ValueError(f"{name} has shape {tuple(x.shape)}; it needs axes {axes}, none empty{remedy}")
    return tuple(x.shape[-sample_ndim:])


def to_locations(x: Array, layout: Layout, xp: Namespace) -> Array:
    """(..., N, *sample) -> patches by location (..., L, N, D); a whole sample is one location."""
    sample, patch_size, stride = layout
    if patch_size is None:
        flat = xp.reshape(x, (*x.shape[: -len(sample)], math.prod(sample)))  # (..., N, D)
        return xp.expand_dims(flat, axis=-3)
    return swap_points(patchify(x, patch_size=patch_size, stride=stride, sample_ndim=len(sample)), xp)


def from_locations(patches: Array, layout: Layout, xp: Namespace) -> Array:
    """The way back from `to_locations`: exact without overlap, the average over the patches with it."""
    sample, patch_size, stride = layout
    by_particle = swap_points(patches, xp)  # (..., N, L, D)
    if patch_size is None:
        return xp.reshape(by_particle, (*by_particle.shape[:-2], *sample))
    return unpatchify(by_particle, patch_size=patch_size, stride=stride, shape=sample)


def location_dimensions(like: Array, layout: Layout, xp: Namespace) -> Array:
    """Number of values of the sample in each patch, without padding: (L,), in the dtype of `like`."""
    one = xp.ones((1, *layout.sample), dtype=like.dtype, device=array_api_compat.device(like))
    return xp.sum(to_locations(one, layout, xp), axis=-1)[:, 0]


def common_dimension(layout: Layout) -> int | None:
    """Number of values in a patch if all patches have the same, else None; from the shapes alone."""
    sample, patch_size, stride = layout
    if patch_size is None:
        return math.prod(sample)
    p, step = check_patches(patch_size, stride)
    # Along each side: one patch, or only full ones.
    equal = all(side <= p or (side - p) % step == 0 for side in sample[1:])
    return math.prod([sample[0], *(min(side, p) for side in sample[1:])]) if equal else None


def swap_points(x: Array, xp: Namespace) -> Array:
    """(..., A, B, D) -> (..., B, A, D)."""
    return xp.permute_dims(x, (*range(x.ndim - 3), x.ndim - 2, x.ndim - 3, x.ndim - 1))
