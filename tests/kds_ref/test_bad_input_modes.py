"""Wrong arguments of mode seeking: the message begins with the argument's name."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kds_ref import blurring_mean_shift, merge_modes, seek_modes

P = np.zeros((4, 3))
NAN = np.full((4, 3), np.nan)
Case = tuple[Callable[..., Any], dict[str, Any], type[Exception], str]

CLOUD_CASES = [
    ({"x": P.tolist()}, TypeError, "x must be .*, got list"),
    ({"x": P.astype(int)}, TypeError, "x must .*, got .*int64"),
    ({"x": P.astype(complex)}, TypeError, "x must .*, got .*complex128"),
    ({"x": NAN}, ValueError, "x must hold finite numbers .* got NaN, infinity or more in shape .4, 3."),
    ({"x": P + np.inf}, ValueError, "x must hold finite numbers .* got NaN"),
    ({"x": P[0]}, ValueError, "x must have axes .*, got shape .3,."),
    ({"x": P[:0]}, ValueError, "x must .*, got .*.0, 3."),
    ({"x": P[:, :0]}, ValueError, "x must .*, got .*.4, 0."),
    ({"bandwidth": 0.0}, ValueError, "bandwidth must be finite and positive, got 0.0"),
    ({"bandwidth": -1.0}, ValueError, "bandwidth must be finite and positive, got -1.0"),
    ({"bandwidth": np.nan}, ValueError, "bandwidth must be finite and positive, got nan"),
    ({"bandwidth": None}, TypeError, "bandwidth must be .*, got NoneType"),
]
STOP_CASES = [
    ({"kernel": "box"}, ValueError, "kernel must be one of .*, got 'box'"),
    ({"kernel": 1}, TypeError, "kernel must be .*, got int"),
    ({"tolerance": -1e-9}, ValueError, "tolerance must be finite and at least 0, got -1e-09"),
    ({"tolerance": np.inf}, ValueError, "tolerance must be finite and at least 0, got inf"),
    ({"tolerance": "small"}, TypeError, "tolerance must be .*, got str"),
    ({"max_iterations": 0}, ValueError, "max_iterations must be at least 1, got 0"),
    ({"max_iterations": 10.0}, TypeError, "max_iterations must be .*, got float"),
    ({"max_iterations": True}, TypeError, "max_iterations must be .*, got bool"),
]
MERGE_CASES = [
    ({"merge_distance": -0.1}, ValueError, "merge_distance must be finite and at least 0, got -0.1"),
    ({"merge_distance": np.nan}, ValueError, "merge_distance must be .*, got nan"),
    ({"merge_distance": None}, TypeError, "merge_distance must be .*, got NoneType"),
]
PAIR_CASES = [
    ({"particles": P[:, :2]}, ValueError, "particles must have the dimensions of query, 3 in shape .4, 3., got 2"),
    ({"particles": P.astype(np.float32)}, TypeError, "particles must have the dtype of query, float64, got float32"),
    (
        {"query": np.zeros((2, 4, 3)), "particles": np.zeros((3, 4, 3))},
        ValueError,
        "particles must have the leading axes of query, .2, 4, 3., each equal or 1, got .3, 4, 3.",
    ),
]


def named(function: Callable[..., Any], name: str, cases: list[Any], **others: Any) -> list[Case]:
    """The cases of one argument x, as the argument `name` of the function."""
    return [
        (
            function,
            {name: P, **others, "bandwidth": 0.3} | {name if k == "x" else k: v for k, v in arguments.items()},
            error,
            name + message[1:] if "x" in arguments else message,
        )
        for arguments, error, message in cases
    ]


CASES = [
    *named(seek_modes, "query", CLOUD_CASES + STOP_CASES + PAIR_CASES, particles=P),
    *named(seek_modes, "particles", [case for case in CLOUD_CASES if "x" in case[0]], query=P),
    *named(blurring_mean_shift, "particles", CLOUD_CASES + STOP_CASES),
    *named(merge_modes, "points", CLOUD_CASES + MERGE_CASES),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0].__name__}: {case[3]}")
def test_the_error_names_the_argument(case: Case) -> None:
    function, arguments, error, message = case
    with pytest.raises(error, match=f"^{message}") as caught:
        function(**arguments)
    assert type(caught.value) is error
    assert "\n" not in str(caught.value)


def test_arrays_of_two_libraries_are_refused() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match="arrays must be of one library"):
        seek_modes(P, torch.from_numpy(P), bandwidth=0.3)


@pytest.mark.parametrize("function", [seek_modes, blurring_mean_shift, merge_modes])
def test_unknown_options_are_refused(function: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'tol'"):
        function(P, bandwidth=0.3, tol=1e-3)
