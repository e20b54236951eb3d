"""Checks and conversions of arrays that every public function of the package starts with.

No equation of the paper lives here. Arrays of any array-API namespace (NumPy, torch, array-api-strict) come in, are
checked, and go to the maths in at least float32; the caller casts the result back to the dtype that came in.

Checks of shapes, dtypes and devices happen always. Checks of values (finite, in range) need to read the values: on
an accelerator the program would have to wait for it at every step, so they are left out there (`holds`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import array_api_compat
import numpy as np
from numpy.typing import NDArray

# The array-API standard has no common type to annotate with; shapes are stated in the docstrings.
Array: TypeAlias = Any
Namespace: TypeAlias = Any
DType: TypeAlias = Any

# Sums of up to this many differences of two values must not overflow either.
_HEADROOM = 4096.0


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
        check_real_floating(name, x, xp)
        if x.dtype != first.dtype:
            raise TypeError(f"{name} must have the dtype of {first_name}, {first.dtype}, got {x.dtype}; convert one")
        check_same_device(name, x, first_name, first)
    return xp, first.dtype, [to_compute(name, x, xp) for name, x in arrays.items()]


def common_namespace(**arrays: Array) -> Namespace:
    """The array-API namespace that all named arrays share; TypeError otherwise."""
    for name, x in arrays.items():
        if not array_api_compat.is_array_api_obj(x):
            raise TypeError(f"{name} must be an array (NumPy, torch, ...), got {type(x).__name__}")
        if isinstance(x, np.ma.MaskedArray):
            raise TypeError(f"{name} must be an array without a mask, got MaskedArray; fill it or leave values out")
    try:
        return array_api_compat.array_namespace(*arrays.values())
    except TypeError as error:
        kinds = ", ".join(f"{name}: {type(x).__module__}" for name, x in arrays.items())
        raise TypeError(f"arrays must be of one library, got {kinds}; convert them to one") from error


def check_real_floating(name: str, x: Array, xp: Namespace) -> None:
    """TypeError unless an array has a real floating dtype."""
    if not xp.isdtype(x.dtype, "real floating"):
        raise TypeError(f"{name} must have a real floating dtype, got {x.dtype}; convert it first")


def check_same_device(name: str, x: Array, other_name: str, other: Array) -> None:
    """ValueError unless two arrays lie on one device."""
    here, there = array_api_compat.device(x), array_api_compat.device(other)
    if here != there:
        raise ValueError(f"{name} must be on the device of {other_name}, {there}, got {here}; move one of them")


def check_same_shape(**arrays: Array) -> None:
    """ValueError unless all named arrays have one shape."""
    (first_name, first), *others = arrays.items()
    for name, x in others:
        if tuple(x.shape) != tuple(first.shape):
            raise ValueError(f"{name} must have the shape of {first_name}, {tuple(first.shape)}, got {tuple(x.shape)}")


def check_points(name: str, x: Array) -> None:
    """ValueError unless an array has axes (..., points, dimensions)."""
    if x.ndim < 2 or 0 in x.shape:
        raise ValueError(f"{name} must have axes (..., points, dimensions), none empty, got shape {tuple(x.shape)}")


def to_compute(name: str, x: Array, xp: Namespace) -> Array:
    """Cast to at least float32 and check that every value is finite; the input is never written to."""
    x = xp.astype(x, xp.float32, copy=False) if xp.finfo(x.dtype).bits < 32 else x
    if 0 in x.shape:
        return x
    # Maximum and minimum pass NaN on, which no comparison holds of: two looks at x and no array as large as x.
    most = float(xp.finfo(x.dtype).max) / _HEADROOM
    if not holds(lambda v: (xp.max(v) <= most) & (xp.min(v) >= -most), x, xp):
        raise ValueError(
            f"{name} must hold finite numbers (at most {most:.2g} in size), got NaN, infinity or more in shape "
            f"{tuple(x.shape)}"
        )
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


def root(squares: Array, xp: Namespace) -> Array:
    """Square roots whose gradient at 0 is 0, not the infinity that turns into NaN one step further back."""
    zero = squares == 0.0
    return xp.where(zero, 0.0, xp.sqrt(xp.where(zero, 1.0, squares)))


def holds(condition: Callable[[Array], Array], x: Array, xp: Namespace, *, unseen: bool = True) -> bool:
    """Whether a condition is true of every value; `unseen` where the values cannot be looked at, or at a cost.

    torch.compile, torch.func.vmap and jax.jit run the code on stand-ins for the values to come. No choice can be
    made by a value then, and on an accelerator each look would be a synchronisation.
    """
    if is_compiling(xp) or on_accelerator(x):
        return unseen
    met = xp.all(condition(x))
    try:
        return bool(met)
    except (RuntimeError, TypeError):  # vmap; a tracer of JAX
        return unseen


def is_compiling(xp: Namespace) -> bool:
    """Whether torch.compile is at work: Dynamo stops at bool(tensor) before an exception could be caught."""
    compiler = getattr(xp, "compiler", None)
    return compiler is not None and bool(compiler.is_compiling())


def on_accelerator(x: Array) -> bool:
    """Whether an array lies on a device that runs asynchronously to the CPU, as torch's devices say by their type.

    Checks of values and the size of blocks depend on it. What says nothing counts as the CPU: all checks run there.
    """
    return getattr(array_api_compat.device(x), "type", "cpu") != "cpu"


def to_numpy(x: Array, xp: Namespace) -> NDArray[np.float64]:
    """Copy an array of any library and device, in at least float32, to NumPy in float64."""
    # Moved first, then widened: not every device has float64.
    if array_api_compat.is_array_api_strict_namespace(xp):  # it has no device called "cpu"
        view = np.from_dlpack(x)
    else:
        view = np.asarray(array_api_compat.to_device(x, "cpu"))
    return np.array(view, dtype=np.float64)
