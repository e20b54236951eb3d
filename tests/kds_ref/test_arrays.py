"""The checks behind every public function: their limits, and what their messages say."""

import math
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from kds_ref._arrays import (
    check_same_shape,
    common_namespace,
    holds,
    is_compiling,
    on_accelerator,
    prepare,
    root,
    to_compute,
    to_numpy,
    trailing,
)
from kds_ref._bandwidth_option import resolve_bandwidth
from kds_ref._checks import check_callable, check_flag, check_integer, check_number, check_positive

NUMPY = common_namespace(x=np.zeros(1))


def message(function: Any, *args: Any, **options: Any) -> str:
    """The error of a call, with its type."""
    with pytest.raises((TypeError, ValueError)) as caught:
        function(*args, **options)
    return f"{caught.type.__name__}: {caught.value}"


def test_numbers_are_taken_up_to_both_limits_and_come_back_as_floats() -> None:
    for value in (0, 1, 0.5, np.float32(0.5), np.int64(1), Fraction(1, 4)):
        number = check_number("x", value, low=0.0, high=1.0)
        assert type(number) is float
        assert number == value
    assert check_number("x", -1e300) == -1e300


def test_numbers_beyond_the_limits_or_without_end_are_refused() -> None:
    text = "ValueError: x must be finite and in [0, 1], got 1.5"
    assert message(check_number, "x", 1.5, low=0.0, high=1.0) == text
    for value in (-1e-9, math.nan, math.inf, -math.inf):
        text = f"ValueError: x must be finite and at least 0, got {value}"
        assert message(check_number, "x", value, low=0.0) == text
    for value in (math.nan, math.inf, -math.inf):
        assert message(check_number, "x", value) == f"ValueError: x must be finite, got {value}"
    assert message(check_number, "x", True) == "TypeError: x must be one Python number, got bool (True)"
    assert message(check_number, "x", "1") == "TypeError: x must be one Python number, got str ('1')"
    assert message(check_number, "x", np.zeros(1)) == (
        "TypeError: x must be one Python number, got ndarray (array([0.]))"
    )


def test_positive_numbers_are_above_zero_and_below_the_limit() -> None:
    for value in (5e-324, 1, Fraction(1, 4), np.float32(0.5)):
        assert check_positive("x", value) == value
        assert type(check_positive("x", value)) is float
    for value in (0, -1.0, math.nan, math.inf):
        text = f"ValueError: x must be finite and positive, got {float(value)}; try 1"
        assert message(check_positive, "x", value, remedy="; try 1") == text
    for value in (0.0, 1.0, math.nan):
        assert message(check_positive, "x", value, below=1.0) == f"ValueError: x must be in (0, 1), got {value}"
    assert message(check_positive, "x", True) == "TypeError: x must be one Python number, got bool (True)"
    assert message(check_positive, "x", None) == "TypeError: x must be one Python number, got NoneType (None)"


def test_integers_are_taken_up_to_both_limits_and_come_back_as_int() -> None:
    for value in (1, 3, np.int32(2)):
        number = check_integer("n", value, low=1, high=3)
        assert type(number) is int
        assert number == value
    assert check_integer("n", 10**9, low=1) == 10**9
    assert message(check_integer, "n", 0, low=1) == "ValueError: n must be at least 1, got 0"
    assert message(check_integer, "n", 0, low=1, high=3) == "ValueError: n must be in [1, 3], got 0"
    assert message(check_integer, "n", 4, low=1, high=3) == "ValueError: n must be in [1, 3], got 4"
    assert message(check_integer, "n", 1.0, low=1) == "TypeError: n must be an integer, got float (1.0)"
    assert message(check_integer, "n", True, low=1) == "TypeError: n must be an integer, got bool (True)"


def test_what_came_is_shown_on_one_line_of_sixty_characters() -> None:
    for length in (58, 59, 60):  # with its quotation marks 60, 61 and 62
        text = "a" * length
        shown = repr(text) if length == 58 else "'" + "a" * 56 + "..."
        assert message(check_flag, "flag", text) == f"TypeError: flag must be True or False, got str ({shown})"
    assert "\n" not in message(check_flag, "flag", np.zeros((3, 3)))
    assert "[0., 0., 0.], [0., 0., 0.]" in message(check_flag, "flag", np.zeros((2, 3)))


def test_flags() -> None:
    assert check_flag("flag", True) is True
    assert check_flag("flag", False) is False
    assert message(check_flag, "flag", 0) == "TypeError: flag must be True or False, got int (0)"


def test_callables() -> None:
    check_callable("f", len)
    check_callable("f", len, optional=True)
    check_callable("f", None, optional=True)
    assert message(check_callable, "f", None) == "TypeError: f must be a callable, got NoneType"
    assert message(check_callable, "f", 3, optional=True) == "TypeError: f must be a callable or None, got int"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bandwidths_are_the_normal_numbers_of_the_maths(dtype: str) -> None:
    x, info = np.zeros((1, 1), dtype=dtype), np.finfo(dtype)
    for ends in (float(info.smallest_normal), float(info.max)):
        assert resolve_bandwidth(ends, x, (), NUMPY) == ends
    assert type(resolve_bandwidth(1, x, (), NUMPY)) is float
    text = message(resolve_bandwidth, float(info.smallest_normal) / 2.0, x, (), NUMPY)
    assert text.startswith(
        f"ValueError: bandwidth must be in [{info.smallest_normal:.3g}, {info.max:.3g}], the normal numbers of {dtype}"
    )
    assert text.endswith("; strength=0 switches steering off")


def test_one_value_that_is_not_finite_is_seen_wherever_it_stands() -> None:
    for value in (math.nan, math.inf, -math.inf):
        for place in range(3):
            x = np.asarray([-1.0, 0.5, 2.0])
            x[place] = value
            assert message(to_compute, "x", x, NUMPY) == (
                "ValueError: x must hold finite numbers (at most 4.4e+304 in size), "
                "got NaN, infinity or more in shape (3,)"
            )
    assert message(to_compute, "x", np.asarray([[math.nan, 0.0]]), NUMPY).endswith("in shape (1, 2)")
    x = np.zeros((0, 3))
    assert to_compute("x", x, NUMPY) is x


def test_a_number_whose_sums_would_overflow_is_refused() -> None:
    most = float(np.finfo(np.float32).max) / 4096.0
    for sign in (-1.0, 1.0):
        to_compute("x", np.asarray([0.0, sign * most], dtype=np.float32), NUMPY)
        assert "got NaN, infinity or more" in message(to_compute, "x", np.asarray([sign * 1e35], np.float32), NUMPY)


def test_only_half_precision_is_widened() -> None:
    for dtype, wide in (("float16", "float32"), ("float32", "float32"), ("float64", "float64")):
        x = np.ones(2, dtype=dtype)
        assert to_compute("x", x, NUMPY).dtype == wide
        assert (to_compute("x", x, NUMPY) is x) == (dtype == wide)


def test_no_value_is_looked_at_while_a_compiler_is_at_work() -> None:
    working, idle = (
        SimpleNamespace(compiler=SimpleNamespace(is_compiling=lambda answer=answer: answer), all=np.all)
        for answer in (True, False)
    )
    assert is_compiling(working) is True
    assert is_compiling(idle) is is_compiling(NUMPY) is False
    looked: list[bool] = []
    assert holds(lambda v: looked.append(True) or v > 0.0, np.zeros(1), working) is True
    assert not looked
    assert holds(lambda v: looked.append(True) or v > 0.0, np.zeros(1), idle) is False
    assert looked == [True]


def test_no_value_is_looked_at_on_an_accelerator() -> None:
    torch = pytest.importorskip("torch")
    x, there = torch.ones(2), torch.ones(2, device="meta")  # whose values nobody can look at
    assert not on_accelerator(x)
    assert not on_accelerator(np.ones(2))
    assert on_accelerator(there)
    xp = common_namespace(x=x)
    assert holds(lambda v: v > 2.0, x, xp) is False
    assert holds(lambda v: v > 2.0, there, xp) is True
    assert holds(lambda v: v > 2.0, there, xp, unseen=False) is False


def test_roots_have_the_gradient_zero_at_zero() -> None:
    torch = pytest.importorskip("torch")
    x = torch.tensor([0.0, 4.0], requires_grad=True)
    root(x, common_namespace(x=x)).sum().backward()
    assert x.grad.tolist() == [0.0, 0.25]


@pytest.mark.parametrize("values", [[1.0, 2.0], [[1.0], [2.0]]])
def test_masked_arrays_are_refused(values: Any) -> None:
    x = np.ma.masked_array(np.asarray(values), mask=np.asarray(values) > 1.5)
    text = "TypeError: x must be an array without a mask, got MaskedArray; fill it or leave values out"
    assert message(common_namespace, x=x) == text


def test_arrays_that_do_not_go_together() -> None:
    a, b = np.zeros((2, 3)), np.zeros((2, 3), dtype=np.float32)
    xp, dtype, (x, y) = prepare(a=b, b=b)
    assert dtype == np.float32
    assert x is y is b
    assert xp.asarray(1).shape == ()
    assert message(prepare, a=a, b=b) == "TypeError: b must have the dtype of a, float64, got float32; convert one"
    assert message(prepare, a=a, b=a.astype(int)) == (
        "TypeError: b must have a real floating dtype, got int64; convert it first"
    )
    assert message(common_namespace, a=a, b=[0.0]) == "TypeError: b must be an array (NumPy, torch, ...), got list"
    assert message(check_same_shape, a=a, b=a, c=a[:1]) == (
        "ValueError: c must have the shape of a, (2, 3), got (1, 3)"
    )
    check_same_shape(a=a, b=b)


def test_axes_are_appended_to_arrays_only() -> None:
    assert trailing(0.5, 2, NUMPY) == 0.5
    assert trailing(np.zeros((2, 3)), 2, NUMPY).shape == (2, 3, 1, 1)
    assert trailing(np.asarray(1.0), 1, NUMPY).shape == (1,)


def test_a_copy_in_numpy_is_in_float64_and_the_callers_own(xp: Any) -> None:
    x = xp.array([[1.5, -2.0]], "float32")
    copy = to_numpy(x, common_namespace(x=x))
    assert type(copy) is np.ndarray
    assert copy.dtype == np.float64
    assert copy.tolist() == [[1.5, -2.0]]
    copy[0, 0] = 7.0
    assert float(xp.numpy(x)[0, 0]) == 1.5
