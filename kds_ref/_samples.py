"""Which trailing axes form one sample, and the way from particles to patch locations and back.

Shared by `steering` and `selection`.
"""

from __future__ import annotations

import math

from kds_ref._arrays import Array, Namespace, check_integer
from kds_ref.patches import patchify, unpatchify


def check_sample_ndim(patch_size: int | None, sample_ndim: int | None) -> None:
    """Check the two options that say what one sample is, as far as that goes without the array."""
    if sample_ndim is not None:
        check_integer("sample_ndim", sample_ndim, low=1)
    if patch_size is None:
        return
    check_integer("patch_size", patch_size, low=1)
    if sample_ndim not in (None, 3):
        raise ValueError(
            f"sample_ndim is {sample_ndim} with patch_size={patch_size}; square patches need samples "
            "(C, H, W), sample_ndim=3; pass patch_size=None to take the whole sample as one patch"
        )


def sample_shape(name: str, x: Array, patch_size: int | None, sample_ndim: int | None) -> tuple[int, ...]:
    """Shape of one sample of x (..., N, *sample); ValueError if x does not fit or is ambiguous."""
    check_sample_ndim(patch_size, sample_ndim)
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


def to_locations(x: Array, sample: tuple[int, ...], patch_size: int | None, xp: Namespace) -> Array:
    """(..., N, *sample) -> patches by location (..., L, N, D); a whole sample is one location."""
    lead = tuple(x.shape[: -len(sample)])  # (..., N)
    if patch_size is None:
        return xp.expand_dims(xp.reshape(x, (*lead, math.prod(sample))), axis=-3)
    return swap_points(patchify(x, patch_size=patch_size), xp)


def from_locations(patches: Array, sample: tuple[int, ...], patch_size: int | None, xp: Namespace) -> Array:
    """The exact inverse of `to_locations`."""
    by_particle = swap_points(patches, xp)  # (..., N, L, D)
    if patch_size is None:
        return xp.reshape(by_particle, (*by_particle.shape[:-2], *sample))
    channels, height, width = sample
    return unpatchify(by_particle, patch_size=patch_size, shape=(channels, height, width))


def swap_points(x: Array, xp: Namespace) -> Array:
    """(..., A, B, D) -> (..., B, A, D)."""
    return xp.permute_dims(x, (*range(x.ndim - 3), x.ndim - 2, x.ndim - 3, x.ndim - 1))
