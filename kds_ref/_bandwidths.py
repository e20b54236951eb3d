"""The forms in which a caller may give a bandwidth: a number, an array, the name of a rule of `bandwidths`.

Used by `_pairwise` for `density` and `mean_shift`, and by `steering`.
"""

from __future__ import annotations

import math
from numbers import Real

import array_api_compat

from kds_ref._arrays import (
    Array,
    Namespace,
    check_bandwidth,
    check_number,
    common_namespace,
    holds,
    to_compute,
    trailing,
)
from kds_ref.bandwidths import RULES, rule_bandwidth


def check_bandwidth_option(bandwidth: float | str | Array) -> None:
    """Check what can be checked of a bandwidth before the particles are known."""
    if isinstance(bandwidth, str):
        if bandwidth not in RULES:
            raise ValueError(f"bandwidth is {bandwidth!r}; known rules: {', '.join(RULES)}; or pass a number")
    elif isinstance(bandwidth, Real):
        if check_number("bandwidth", bandwidth) <= 0.0:
            raise ValueError(f"bandwidth is {bandwidth}; it must be positive (strength=0 switches steering off)")
    elif array_api_compat.is_array_api_obj(bandwidth):
        _check_array(bandwidth, 0.0, math.inf)
    else:
        raise TypeError(
            f"bandwidth is a {type(bandwidth).__name__}; pass a number, an array or the name of a rule: "
            f"{', '.join(RULES)}"
        )


def resolve_bandwidth(
    bandwidth: float | str | Array,
    particles: Array,
    lead: tuple[int, ...],
    xp: Namespace,
    dimensions: Array | int | None = None,
) -> float | Array:
    """The bandwidth as a Python float, or as an array that broadcasts to `lead`, in the dtype of the maths.

    A rule's h may hold zeros, a number or array of the caller may not.
    """
    check_bandwidth_option(bandwidth)
    if isinstance(bandwidth, str):
        return rule_bandwidth(bandwidth, particles, xp, dimensions)
    if isinstance(bandwidth, Real):
        return check_bandwidth(float(bandwidth), particles, xp)
    h: Array = bandwidth
    common_namespace(bandwidth=h, particles=particles)
    if array_api_compat.device(h) != array_api_compat.device(particles):
        raise ValueError(
            f"bandwidth is on device {array_api_compat.device(h)} but the points are on "
            f"{array_api_compat.device(particles)}; move one to the other's device"
        )
    shape = tuple(h.shape)
    if len(shape) > len(lead) or any(a not in (1, b) for a, b in zip(shape[::-1], lead[::-1], strict=False)):
        raise ValueError(f"bandwidth has shape {shape}; it needs the axes {lead} of the ensembles, each equal or 1")
    info = xp.finfo(particles.dtype)
    h = xp.astype(h, particles.dtype) if xp.finfo(h.dtype).bits < info.bits else h
    _check_array(h, float(info.smallest_normal), float(info.max))
    return xp.astype(h, particles.dtype, copy=False)


def per_location(bandwidth: float | str | Array, lead: tuple[int, ...]) -> float | str | Array:
    """Give an array with one bandwidth per ensemble the axis of locations; `lead` is (..., L)."""
    if isinstance(bandwidth, Real | str):
        return bandwidth
    check_bandwidth_option(bandwidth)
    h: Array = bandwidth
    if h.ndim not in (0, len(lead) - 1, len(lead)):
        raise ValueError(
            f"bandwidth has shape {tuple(h.shape)}; one per ensemble needs the axes {lead[:-1]}, one per location "
            f"{lead}, each equal or 1"
        )
    return trailing(h, 1, common_namespace(bandwidth=h)) if h.ndim < len(lead) else h


def _check_array(bandwidth: Array, smallest: float, largest: float) -> None:
    xp = common_namespace(bandwidth=bandwidth)
    if not xp.isdtype(bandwidth.dtype, "real floating"):
        raise TypeError(f"bandwidth has dtype {bandwidth.dtype}; a real floating dtype is needed: convert it first")
    if 0 in bandwidth.shape:
        raise ValueError(f"bandwidth has shape {tuple(bandwidth.shape)}; no axis may be empty")
    h = to_compute("bandwidth", bandwidth, xp)
    if not holds(lambda v: (v > 0.0) & (v >= smallest) & (v <= largest), h, xp):
        low, high = float(xp.min(h)), float(xp.max(h))
        raise ValueError(
            f"bandwidth of shape {tuple(h.shape)} holds values from {low:.3g} to {high:.3g}; all must be positive and "
            f"in [{smallest:.3g}, {largest:.3g}]; where particles are equal any positive number will do"
        )
