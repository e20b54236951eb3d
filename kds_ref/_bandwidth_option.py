"""The forms in which a caller may give a bandwidth: a number, an array, the name of a rule of `bandwidths`."""

from __future__ import annotations

import math
from numbers import Real

import array_api_compat

from kds_ref._arrays import (
    Array,
    Namespace,
    check_real_floating,
    check_same_device,
    common_namespace,
    holds,
    trailing,
)
from kds_ref._checks import check_positive, shown
from kds_ref.bandwidths import RULES, rule_bandwidth

_NO_STEERING = "; strength=0 switches steering off"


def check_bandwidth_option(bandwidth: float | str | Array) -> None:
    """Check what can be checked of a bandwidth before the particles are known."""
    if isinstance(bandwidth, str):
        if bandwidth not in RULES:
            raise ValueError(f"bandwidth must be a number or one of {', '.join(RULES)}, got {bandwidth!r}")
    elif isinstance(bandwidth, Real):
        check_positive("bandwidth", bandwidth, remedy=_NO_STEERING)
    elif array_api_compat.is_array_api_obj(bandwidth):
        _check_array(bandwidth, 0.0, math.inf)
    else:
        raise TypeError(
            f"bandwidth must be a number, an array or the name of a rule ({', '.join(RULES)}), got "
            f"{type(bandwidth).__name__} ({shown(bandwidth)})"
        )


def resolve_bandwidth(
    bandwidth: float | str | Array,
    particles: Array,
    lead: tuple[int, ...],
    xp: Namespace,
    dimensions: Array | int | None = None,
) -> float | Array:
    """The bandwidth as a Python float, or as an array that broadcasts to `lead`, in the dtype of the maths.

    An h from a rule may contain zeros; one given by the caller may not.
    """
    if isinstance(bandwidth, str):
        check_bandwidth_option(bandwidth)
        return rule_bandwidth(bandwidth, particles, xp, dimensions)
    if isinstance(bandwidth, Real) or not array_api_compat.is_array_api_obj(bandwidth):
        check_bandwidth_option(bandwidth)
        return _check_number(float(bandwidth), particles, xp)

    h: Array = bandwidth
    common_namespace(bandwidth=h, particles=particles)
    check_same_device("bandwidth", h, "the points", particles)
    shape = tuple(h.shape)
    if len(shape) > len(lead) or any(a not in (1, b) for a, b in zip(shape[::-1], lead[::-1], strict=False)):
        raise ValueError(f"bandwidth must have the axes {lead} of the ensembles, each equal or 1, got {shape}")

    # Cast up before the limits are checked, and down after it: a number that would become 0 or infinite is refused.
    info = xp.finfo(particles.dtype)
    check_real_floating("bandwidth", h, xp)
    h = xp.astype(h, particles.dtype) if xp.finfo(h.dtype).bits < info.bits else h
    _check_array(h, float(info.smallest_normal), float(info.max))
    return xp.astype(h, particles.dtype, copy=False)


def per_location(bandwidth: float | str | Array, lead: tuple[int, ...]) -> float | str | Array:
    """Give an array with one bandwidth per ensemble the axis of locations; `lead` is (..., L)."""
    if isinstance(bandwidth, Real | str) or not array_api_compat.is_array_api_obj(bandwidth):
        return bandwidth
    h: Array = bandwidth
    if h.ndim not in (0, len(lead) - 1, len(lead)):
        raise ValueError(
            f"bandwidth must have the axes {lead[:-1]}, one per ensemble, or {lead}, one per location, each equal or "
            f"1, got shape {tuple(h.shape)}"
        )
    return trailing(h, 1, common_namespace(bandwidth=h)) if h.ndim < len(lead) else h


def _check_number(bandwidth: float, particles: Array, xp: Namespace) -> float:
    """A positive number must be a normal one of the maths' dtype."""
    info = xp.finfo(particles.dtype)
    smallest, largest = float(info.smallest_normal), float(info.max)
    if not smallest <= bandwidth <= largest:
        raise ValueError(
            f"bandwidth must be in [{smallest:.3g}, {largest:.3g}], the normal numbers of {particles.dtype}, got "
            f"{bandwidth}{_NO_STEERING}"
        )
    return bandwidth


def _check_array(bandwidth: Array, smallest: float, largest: float) -> None:
    xp = common_namespace(bandwidth=bandwidth)
    check_real_floating("bandwidth", bandwidth, xp)
    if 0 in bandwidth.shape:
        raise ValueError(f"bandwidth must have no empty axis, got shape {tuple(bandwidth.shape)}")
    h = xp.astype(bandwidth, xp.float32) if xp.finfo(bandwidth.dtype).bits < 32 else bandwidth
    if not holds(lambda v: (v > 0.0) & (v >= smallest) & (v <= largest) & (v < math.inf), h, xp):
        low, high = float(xp.min(h)), float(xp.max(h))
        limits = f" and in [{smallest:.3g}, {largest:.3g}]" if smallest > 0.0 else " and finite"
        raise ValueError(
            f"bandwidth must be positive{limits}, got values from {low:.3g} to {high:.3g} in shape {tuple(h.shape)}; "
            "where particles are equal any positive number will do"
        )
