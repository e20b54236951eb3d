"""The forward process and the conversions between noisy latent, clean latent, noise and velocity.

KDS Eq. 3 and 6 (v1), the score, and the velocity of v-prediction. With a = sqrt(alpha_bar) and s = sqrt(1 - alpha_bar):
x_t = a x0 + s eps and v = a eps - s x0. Each function checks its arguments and calls the formula in
`_forward_process`, which the samplers call without the checks.
"""

from __future__ import annotations

import math
from numbers import Real

from kds_ref import _forward_process as formulas
from kds_ref._arrays import (
    Array,
    DType,
    Namespace,
    check_real_floating,
    check_same_shape,
    common_namespace,
    holds,
    prepare,
    to_compute,
)
from kds_ref._checks import check_number

__all__ = [
    "add_noise",
    "predict_eps",
    "predict_eps_from_v",
    "predict_score",
    "predict_x0",
    "predict_x0_from_v",
    "velocity",
]


def add_noise(x0: Array, eps: Array, alpha_bar: float | Array) -> Array:
    """Diffuse clean latents to a noise level: KDS Eq. 3 (v1).

    x_t = sqrt(alpha_bar) x0 + sqrt(1 - alpha_bar) eps.

    Args:
        x0: Clean latents, any shape, any real floating dtype.
        eps: Standard normal noise, the same shape and dtype.
        alpha_bar: Cumulative alpha in [0, 1]: a number, or an array that broadcasts to x0 (a level per
            sample).

    Returns:
        x_t, of the shape, dtype and device of x0.

    Raises:
        TypeError: If an input is not a real floating array or dtypes differ.
        ValueError: If shapes differ, a value is NaN or infinite, or alpha_bar is outside [0, 1].

    Example:
        >>> import numpy as np
        >>> add_noise(np.asarray([1.0]), np.asarray([-1.0]), 0.36)
        array([-0.2])
    """
    xp, dtype, x, e, a, s = _prepare("x0", x0, "eps", eps, alpha_bar)
    return xp.astype(formulas.noised(x, e, a, s), dtype, copy=False)


def predict_x0(x_t: Array, eps: Array, alpha_bar: float | Array) -> Array:
    """Clean latent that a noise prediction implies: KDS Eq. 6 (v1).

    x0_pred = (x_t - sqrt(1 - alpha_bar) eps) / sqrt(alpha_bar).

    Args:
        x_t: Noisy latents, any shape, any real floating dtype.
        eps: Predicted noise, the same shape and dtype.
        alpha_bar: Cumulative alpha in (0, 1]: a number, or an array as in `add_noise`.

    Returns:
        x0_pred, of the shape, dtype and device of x_t.

    Raises:
        TypeError: If an input is not a real floating array or dtypes differ.
        ValueError: If shapes differ, a value is NaN or infinite, or alpha_bar is outside (0, 1].

    Example:
        >>> import numpy as np
        >>> predict_x0(np.asarray([-0.2]), np.asarray([-1.0]), 0.36)
        array([1.])
    """
    xp, dtype, x, e, a, s = _prepare("x_t", x_t, "eps", eps, alpha_bar)
    _check_not_zero(a, "above 0", "0 (pure noise)", "x0 from eps", xp)
    return xp.astype(formulas.x0_from_eps(x, e, a, s), dtype, copy=False)


def predict_eps(x_t: Array, x0: Array, alpha_bar: float | Array) -> Array:
    """Noise that a clean latent implies (Algorithm 2): (x_t - sqrt(alpha_bar) x0) / sqrt(1 - alpha_bar).

    Args:
        x_t: Noisy latents, any shape, any real floating dtype.
        x0: Clean latents, the same shape and dtype.
        alpha_bar: Cumulative alpha in [0, 1): a number, or an array as in `add_noise`.

    Returns:
        eps, of the shape, dtype and device of x_t.

    Raises:
        TypeError: If an input is not a real floating array or dtypes differ.
        ValueError: If shapes differ, a value is NaN or infinite, or alpha_bar is outside [0, 1).

    Example:
        >>> import numpy as np
        >>> predict_eps(np.asarray([-0.2]), np.asarray([1.0]), 0.36)
        array([-1.])
    """
    xp, dtype, x, clean, a, s = _prepare("x_t", x_t, "x0", x0, alpha_bar)
    _check_not_zero(s, "below 1", "1 (no noise)", "eps from x0", xp)
    return xp.astype(formulas.eps_from_x0(x, clean, a, s), dtype, copy=False)


def predict_score(x_t: Array, x0: Array, alpha_bar: float | Array) -> Array:
    """Score that a clean latent implies: s of KDS Eq. 3 (CR), with the sign that makes it a score.

    grad log p_t(x_t) = (sqrt(alpha_bar) x0 - x_t) / (1 - alpha_bar), for x0 = E[x_0 | x_t]. It is linear in
    x0: steering by strength * m adds strength * sqrt(alpha_bar) * m / (1 - alpha_bar).

    Args:
        x_t: Noisy latents, any shape, any real floating dtype.
        x0: Clean latents, predicted or steered, the same shape and dtype.
        alpha_bar: Cumulative alpha in [0, 1): a number, or an array as in `add_noise`.

    Returns:
        The score, of the shape, dtype and device of x_t, in inverse units of x_t.

    Raises:
        TypeError: If an input is not a real floating array or dtypes differ.
        ValueError: If shapes differ, a value is NaN or infinite, or alpha_bar is outside [0, 1).

    Example:
        >>> import numpy as np
        >>> predict_score(np.asarray([-0.2]), np.asarray([1.0]), 0.36)
        array([1.25])
    """
    xp, dtype, x, clean, a, s = _prepare("x_t", x_t, "x0", x0, alpha_bar)
    _check_not_zero(s, "below 1", "1 (no noise)", "the score", xp)
    return xp.astype(formulas.score_from_x0(x, clean, a, s), dtype, copy=False)


def velocity(x0: Array, eps: Array, alpha_bar: float | Array) -> Array:
    """Velocity, the target of v-prediction: v = sqrt(alpha_bar) eps - sqrt(1 - alpha_bar) x0.

    Args:
        x0: Clean latents, any shape, any real floating dtype.
        eps: Noise, the same shape and dtype.
        alpha_bar: Cumulative alpha in [0, 1]: a number, or an array as in `add_noise`.

    Returns:
        v, of the shape, dtype and device of x0.

    Raises:
        TypeError: If an input is not a real floating array or dtypes differ.
        ValueError: If shapes differ, a value is NaN or infinite, or alpha_bar is outside [0, 1].

    Example:
        >>> import numpy as np
        >>> velocity(np.asarray([1.0]), np.asarray([-1.0]), 0.36)
        array([-1.4])
    """
    xp, dtype, x, e, a, s = _prepare("x0", x0, "eps", eps, alpha_bar)
    return xp.astype(formulas.velocity_from(x, e, a, s), dtype, copy=False)


def predict_x0_from_v(x_t: Array, v: Array, alpha_bar: float | Array) -> Array:
    """Clean latent that a velocity prediction implies: sqrt(alpha_bar) x_t - sqrt(1 - alpha_bar) v.

    Args:
        x_t: Noisy latents, any shape, any real floating dtype.
        v: Predicted velocity, the same shape and dtype.
        alpha_bar: Cumulative alpha in [0, 1]: a number, or an array as in `add_noise`.

    Returns:
        x0_pred, of the shape, dtype and device of x_t.

    Raises:
        TypeError: If an input is not a real floating array or dtypes differ.
        ValueError: If shapes differ, a value is NaN or infinite, or alpha_bar is outside [0, 1].

    Example:
        >>> import numpy as np
        >>> np.round(predict_x0_from_v(np.asarray([-0.2]), np.asarray([-1.4]), 0.36), 6)
        array([1.])
    """
    xp, dtype, x, v_, a, s = _prepare("x_t", x_t, "v", v, alpha_bar)
    return xp.astype(formulas.x0_from_v(x, v_, a, s), dtype, copy=False)


def predict_eps_from_v(x_t: Array, v: Array, alpha_bar: float | Array) -> Array:
    """Noise that a velocity prediction implies: sqrt(1 - alpha_bar) x_t + sqrt(alpha_bar) v.

    Args:
        x_t: Noisy latents, any shape, any real floating dtype.
        v: Predicted velocity, the same shape and dtype.
        alpha_bar: Cumulative alpha in [0, 1]: a number, or an array as in `add_noise`.

    Returns:
        eps, of the shape, dtype and device of x_t.

    Raises:
        TypeError: If an input is not a real floating array or dtypes differ.
        ValueError: If shapes differ, a value is NaN or infinite, or alpha_bar is outside [0, 1].

    Example:
        >>> import numpy as np
        >>> np.round(predict_eps_from_v(np.asarray([-0.2]), np.asarray([-1.4]), 0.36), 6)
        array([-1.])
    """
    xp, dtype, x, v_, a, s = _prepare("x_t", x_t, "v", v, alpha_bar)
    return xp.astype(formulas.eps_from_v(x, v_, a, s), dtype, copy=False)


def _prepare(
    name: str, x: Array, other_name: str, other: Array, alpha_bar: float | Array
) -> tuple[Namespace, DType, Array, Array, Array, Array]:
    """Check two arrays and alpha_bar; return (xp, dtype, x, other, sqrt(alpha_bar), sqrt(1 - alpha_bar))."""
    xp, dtype, (x_, other_) = prepare(**{name: x, other_name: other})
    check_same_shape(**{name: x_, other_name: other_})
    if isinstance(alpha_bar, Real):
        level = check_number("alpha_bar", alpha_bar, low=0.0, high=1.0)
        return xp, dtype, x_, other_, math.sqrt(level), math.sqrt(1.0 - level)
    levels = _check_levels(alpha_bar, name, x_, xp)
    roots = [xp.astype(xp.sqrt(level), x_.dtype, copy=False) for level in (levels, 1.0 - levels)]
    return xp, dtype, x_, other_, roots[0], roots[1]


def _check_levels(alpha_bar: Array, name: str, x: Array, xp: Namespace) -> Array:
    """Check an array of noise levels; return it in its own dtype or float32, since 1 - alpha_bar cancels."""
    common_namespace(**{"alpha_bar": alpha_bar, name: x})
    check_real_floating("alpha_bar", alpha_bar, xp)
    levels = to_compute("alpha_bar", alpha_bar, xp)
    if not holds(lambda level: (level >= 0.0) & (level <= 1.0), levels, xp):
        raise ValueError(f"alpha_bar must be in [0, 1], got other values in shape {tuple(levels.shape)}")

    # Fewer axes than x would line up with the last ones: a level per column where one per sample was meant.
    fits = all(a in (1, b) for a, b in zip(levels.shape, x.shape, strict=False))
    if levels.ndim not in (0, x.ndim) or not fits:
        raise ValueError(
            f"alpha_bar must have every axis of {name}, {tuple(x.shape)}, with 1 where the level is shared, got shape "
            f"{tuple(levels.shape)}; (batch, 1, 1, 1) is one level per sample"
        )
    return levels


def _check_not_zero(root: Array, accepted: str, value: str, what: str, xp: Namespace) -> None:
    """ValueError where a division by sqrt(alpha_bar) or sqrt(1 - alpha_bar) is not defined."""
    if root == 0.0 if isinstance(root, float) else not holds(lambda level: level != 0.0, root, xp):
        raise ValueError(f"alpha_bar must be {accepted} for {what}, got {value}; leave that timestep out")
