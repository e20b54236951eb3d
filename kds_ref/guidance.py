"""Classifier-free guidance (KDS Eq. 11, v1), which comes before steering (Algorithm 3)."""

from __future__ import annotations

from kds_ref._arrays import Array, check_same_shape, prepare
from kds_ref._checks import check_number

__all__ = ["classifier_free_guidance"]


def classifier_free_guidance(eps_cond: Array, eps_uncond: Array, weight: float) -> Array:
    """Combine the conditional and the unconditional prediction: KDS Eq. 11 (v1).

    eps = eps_uncond + weight * (eps_cond - eps_uncond).

    Args:
        eps_cond: Prediction with the condition, any shape; noise, velocity or clean data alike.
        eps_uncond: Prediction without it, the same shape and dtype.
        weight: w; 0 is unconditional, 1 conditional, above 1 extrapolates (the paper tries 1, 2, 4, 6).

    Returns:
        The guided prediction, of the shape, dtype and device of eps_cond.

    Raises:
        TypeError: If an input is not a real floating array, dtypes differ, or weight is not a number.
        ValueError: If shapes differ or a value is NaN or infinite.

    Example:
        >>> import numpy as np
        >>> classifier_free_guidance(np.asarray([1.0]), np.asarray([0.5]), 4.0)
        array([2.5])
    """
    arrays = {"eps_cond": eps_cond, "eps_uncond": eps_uncond}
    xp, dtype, (cond, uncond) = prepare(**arrays)
    check_same_shape(**arrays)
    weight = check_number("weight", weight)
    return xp.astype(uncond + weight * (cond - uncond), dtype, copy=False)
