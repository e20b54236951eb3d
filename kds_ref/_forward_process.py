"""The conversions of `diffusion`, unchecked: with a = sqrt(alpha_bar) and s = sqrt(1 - alpha_bar), numbers or arrays.

x_t = a x0 + s eps and v = a eps - s x0.
"""

from __future__ import annotations

from kds_ref._arrays import Array


def noised(x0: Array, eps: Array, a: Array, s: Array) -> Array:
    """The noisy latent, KDS Eq. 3 (v1)."""
    return a * x0 + s * eps


def x0_from_eps(x_t: Array, eps: Array, a: Array, s: Array) -> Array:
    """The clean latent that a noise prediction implies, KDS Eq. 6 (v1)."""
    return (x_t - s * eps) / a


def eps_from_x0(x_t: Array, x0: Array, a: Array, s: Array) -> Array:
    """The noise that a clean latent implies (Algorithm 2)."""
    return (x_t - a * x0) / s


def score_from_x0(x_t: Array, x0: Array, a: Array, s: Array) -> Array:
    """The score that a clean latent implies, KDS Eq. 3 (CR)."""
    return (a * x0 - x_t) / (s * s)


def velocity_from(x0: Array, eps: Array, a: Array, s: Array) -> Array:
    """The velocity that v-prediction trains on."""
    return a * eps - s * x0


def x0_from_v(x_t: Array, v: Array, a: Array, s: Array) -> Array:
    """The clean latent that a velocity implies."""
    return a * x_t - s * v


def eps_from_v(x_t: Array, v: Array, a: Array, s: Array) -> Array:
    """The noise that a velocity implies."""
    return s * x_t + a * v
