"""The choice of one particle at the end (KDS Eq. 9, v1): only the chosen one is decoded."""

from __future__ import annotations

import math

from kds_ref._arrays import Array, prepare
from kds_ref._locations import check_layout, flat_samples

__all__ = ["select_particle"]

# Squared distances that differ by no more than so many roundings are equal: which is less, rounding decides.
_TIE = 8.0


def select_particle(z: Array, *, sample_ndim: int | None = None) -> Array:
    """Index of the particle nearest to the ensemble mean: KDS Eq. 9 (v1).

    i* = argmin_i || z_i - (1/N) sum_k z_k ||, over the whole latent at once.

    Args:
        z: Final latents, (..., N, *sample), any real floating dtype. Leading axes are separate ensembles.
        sample_ndim: Number of trailing axes that form one sample. None: 1 for (N, D), 3 for four or more axes
            (three axes are ambiguous and refused).

    Returns:
        Indices, an integer array (...,) on the device of z: 0-dimensional for a single ensemble.

    Raises:
        TypeError: If z is not a real floating array or sample_ndim is not an integer.
        ValueError: If the shape does not fit or is ambiguous, or a value is NaN or infinite.

    Notes:
        Of particles equally near, to within rounding, the first is taken: with N = 2 it is always the first. Half
        precision is computed in float32.

    Example:
        >>> import numpy as np
        >>> int(select_particle(np.asarray([[0.0], [1.0], [5.0]])))  # the mean is 2
        1
    """
    xp, _, (x,) = prepare(z=z)
    flat = flat_samples(x, check_layout("z", x, None, None, sample_ndim), xp)  # (..., N, D)

    # From the first particle on, so that the mean of two lies exactly between them, however far from 0 they are.
    moved = flat - flat[..., :1, :]

    # Squares must stay in the range of numbers, whatever the unit; in usual units nothing is divided.
    largest, limits = xp.max(xp.abs(moved), axis=(-2, -1), keepdims=True), xp.finfo(x.dtype)
    least_usual = math.sqrt(float(limits.smallest_normal) / float(limits.eps))
    unusual = (largest < least_usual) | (largest > float(limits.eps) * math.sqrt(float(limits.max)))
    moved = moved / xp.where(unusual & (largest > 0.0), largest, 1.0)

    offset = moved - xp.mean(moved, axis=-2, keepdims=True)
    squared = xp.sum(offset * offset, axis=-1)
    least = xp.min(squared, axis=-1, keepdims=True)
    near = squared <= (1.0 + _TIE * float(xp.finfo(x.dtype).eps)) * least
    return xp.argmax(xp.astype(near, x.dtype), axis=-1)
