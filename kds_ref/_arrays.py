"""Checks and conversions that every public function of the package starts with.

No equation of the paper lives here. Arrays of any array-API namespace (NumPy, torch, array-api-strict) come
in, are checked, and go to the maths in at least float32; the caller casts the result back to the dtype that
came in.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, TypeAlias

import array_api_compat
import numpy as np
from numpy.typing import NDArray

# The array-API standard has no common type to annotate with; shapes are stated in the docstrings.
Array: TypeAlias = Any
Namespace: TypeAlias = Any
DType: TypeAlias = Any


def prepare(**arrays: Array) -> tuple[Namespace, DType, list[Array]]:
    """Check named arrays and return (namespace, dtype that came in, arrays in the dtype of the maths).

    Raises:
        TypeError: If one is not an array, is not of a real floating dtype, or two differ in namespace or
            dtype.
        ValueError: If one holds NaN or infinity, or two lie on different devices.
    """
    xp = common_namespace(**arrays)
    first_name, first = next(iter(arrays.items()))
    for name, x in arrays.items():
        if not xp.isdtype(x.dtype, "real floating"):
            raise TypeError(f"{name} has dtype {x.dtype}; a real floating dtype is needed: convert it first")
        if x.dtype != first.dtype:
            raise TypeError(
                f"{name} has dtype {x.dtype} but {first_name} has {first.dtype}; convert one to the other's"
            )
        if array_api_compat.device(x) != array_api_compat.device(first):
            raise ValueError(
                f"{name} is on device {array_api_compat.device(x)} but {first_name} is on "
                f"{array_api_compat.device(first)}; move one to the other's device"
            )
    return xp, first.dtype, [to_compute(name, x, xp) for name, x in arrays.items()]


def common_namespace(**arrays: Array) -> Namespace:
    """The array-API namespace that all named arrays share; TypeError otherwise."""
    for name, x in arrays.items():
        if not array_api_compat.is_array_api_obj(x):
            raise TypeError(f"{name} is a {type(x).__name__}; pass an array (NumPy, torch, ...)")
    try:
        return array_api_compat.array_namespace(*arrays.values())
    except TypeError as error:
        kinds = ", ".join(f"{name}: {type(x).__module__}" for name, x in arrays.items())
        raise TypeError(f"arrays of different libraries cannot be mixed ({kinds}); use one") from error


def to_compute(name: str, x: Array, xp: Namespace) -> Array:
    """Cast to at least float32 and check that every value is finite; the input is never written to."""
    x = xp.astype(x, xp.float32, copy=False) if xp.finfo(x.dtype).bits < 32 else x
    # Maximum and minimum pass NaN on: two looks at x and no array as large as x.
    if 0 not in x.shape and not holds(lambda v: xp.isfinite(xp.max(v)) & xp.isfinite(xp.min(v)), x, xp):
        raise ValueError(f"{name} of shape {tuple(x.shape)} holds NaN or infinity; all values must be finite")
    return x


def trailing(values: float | Array, count: int, xp: Namespace) -> float | Array:
    """Append axes of length 1 to an array; a Python number needs none.

    `type() is` and not `isinstance`, here and for bandwidths elsewhere: a NumPy scalar is a float too, but it is what
    NumPy makes of an array without axes, and warns where a Python float does not.
    """
    if type(values) is float:
        return values
    for _ in range(count):
        values = xp.expand_dims(values, axis=-1)
    return values


def holds(condition: Callable[[Array], Array], x: Array, xp: Namespace) -> bool:
    """Whether a condition is true of every value; True without a look where a compiler or vmap hides them.

    torch.compile, torch.func.vmap and jax.jit run the code on stand-ins for the values to come. No choice can be
    made by a value then, so checks of values are left out; checks of shape and dtype stay.
    """
    if is_compiling(xp):
        return True
    met = xp.all(condition(x))
    try:
        return bool(met)
    except (RuntimeError, TypeError):  # vmap; a tracer of JAX
        return True


def is_compiling(xp: Namespace) -> bool:
    """Whether torch.compile is at work: Dynamo stops at bool(tensor) before an exception could be caught."""
    compiler = getattr(xp, "compiler", None)
    return compiler is not None and bool(compiler.is_compiling())


def to_numpy(x: Array, xp: Namespace) -> NDArray[np.float64]:
    """Copy an array of any library and device to NumPy, in float64."""
    wide = xp.astype(x, xp.float64, copy=False)
    if array_api_compat.is_array_api_strict_namespace(xp):  # it has no device called "cpu"
        view = np.from_dlpack(wide)
    else:
        view = np.asarray(array_api_compat.to_device(wide, "cpu"))
    return np.array(view, dtype=np.float64)


def check_same_shape(**arrays: Array) -> None:
    """ValueError unless all named arrays have one shape."""
    (first_name, first), *others = arrays.items()
    for name, x in others:
        if tuple(x.shape) != tuple(first.shape):
            raise ValueError(
                f"{name} has shape {tuple(x.shape)} but {first_name} has {tuple(first.shape)}; they must be equal"
            )


def check_number(name: str, value: object, *, low: float = -math.inf, high: float = math.inf) -> float:
    """Return a finite Python float within [low, high], or raise naming the argument."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} is a {type(value).__name__} ({_shown(value)}); pass one Python number")
    number = float(value)
    if not (-math.inf < number < math.inf and low <= number <= high):  # isfinite would break a graph
        raise ValueError(f"{name} is {number}; it must be finite and in [{low}, {high}]")
    return number


def check_bandwidth(bandwidth: float, x: Array, xp: Namespace) -> float:
    """Return the bandwidth as a Python float; it must be positive and a normal number of the maths' dtype."""
    number = check_number("bandwidth", bandwidth)
    smallest, largest = float(xp.finfo(x.dtype).smallest_normal), float(xp.finfo(x.dtype).max)
    if not smallest <= number <= largest:
        raise ValueError(
            f"bandwidth is {number}; it must be positive and in [{smallest:.3g}, {largest:.3g}], the normal "
            f"numbers of {x.dtype}; strength=0 switches steering off"
        )
    return number


def check_integer(name: str, value: object, *, low: int, high: int | None = None) -> int:
    """Return a Python int within [low, high], or raise naming the argument."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} is a {type(value).__name__} ({_shown(value)}); pass an integer")
    number = int(value)
    if number < low or (high is not None and number > high):
        accepted = f"at least {low}" if high is None else f"in [{low}, {high}]"
        raise ValueError(f"{name} is {number}; it must be {accepted}")
    return number


def check_flag(name: str, value: object) -> bool:
    """Return True or False, or raise naming the argument."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} is a {type(value).__name__} ({_shown(value)}); pass True or False")
    return value


def _shown(value: object) -> str:
    """One short line for an error message, whatever came."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else text[:57] + "..."


def check_callable(name: str, value: object, *, optional: bool = False) -> None:
    """TypeError unless the value can be called (or is None where that is allowed)."""
    if not callable(value) and not (optional and value is None):
        accepted = "a callable or None" if optional else "a callable"
        raise TypeError(f"{name} is a {type(value).__name__}; pass {accepted}")
