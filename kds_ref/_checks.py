"""Checks of options: numbers, integers, flags and callables, each named in the error that it raises."""

from __future__ import annotations

import math
from numbers import Integral, Real


def check_number(name: str, value: object, *, low: float = -math.inf, high: float = math.inf) -> float:
    """Return a finite Python float within [low, high], or raise naming the argument."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be one Python number, got {type(value).__name__} ({shown(value)})")
    number = float(value)
    if not (-math.inf < number < math.inf and low <= number <= high):  # isfinite would break a graph
        raise ValueError(f"{name} must be finite{_limits(low, high)}, got {number}")
    return number


def check_positive(name: str, value: object, *, below: float = math.inf, remedy: str = "") -> float:
    """Return a finite Python float above 0 and below a limit, or raise naming the argument."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be one Python number, got {type(value).__name__} ({shown(value)})")
    number = float(value)
    if not 0.0 < number < below:
        accepted = "finite and positive" if below == math.inf else f"in (0, {below:g})"
        raise ValueError(f"{name} must be {accepted}, got {number}{remedy}")
    return number


def check_integer(name: str, value: object, *, low: int, high: int | None = None) -> int:
    """Return a Python int within [low, high], or raise naming the argument."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an integer, got {type(value).__name__} ({shown(value)})")
    number = int(value)
    if number < low or (high is not None and number > high):
        accepted = f"at least {low}" if high is None else f"in [{low}, {high}]"
        raise ValueError(f"{name} must be {accepted}, got {number}")
    return number


def check_flag(name: str, value: object) -> bool:
    """Return True or False, or raise naming the argument."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {type(value).__name__} ({shown(value)})")
    return value


def check_callable(name: str, value: object, *, optional: bool = False) -> None:
    """TypeError unless the value can be called (or is None where that is allowed)."""
    if not callable(value) and not (optional and value is None):
        accepted = "a callable or None" if optional else "a callable"
        raise TypeError(f"{name} must be {accepted}, got {type(value).__name__}")


def shown(value: object) -> str:
    """One short line for an error message, whatever came."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else text[:57] + "..."


def _limits(low: float, high: float) -> str:
    if high < math.inf:
        return f" and in [{low:g}, {high:g}]"
    return f" and at least {low:g}" if low > -math.inf else ""
