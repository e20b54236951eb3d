"""Wrong arguments of guidance, diffusion and samplers: the message begins with the argument's name."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import kds_ref as k

P = np.zeros((4, 3))
Z = np.zeros((4, 2, 3, 3))
NAN = np.full((4, 3), np.nan)
SCHEDULE = k.linear_schedule()


def identity(x: Any, t: int) -> Any:
    return x


def ddim(denoiser: Any = identity, x_T: Any = Z, **options: Any) -> None:
    k.ddim(denoiser, x_T, **{"schedule": SCHEDULE, "timesteps": (500, 0), **options})


def dpm(denoiser: Any = identity, x_T: Any = Z, **options: Any) -> None:
    k.dpm_solver_pp_2s(denoiser, x_T, **{"schedule": SCHEDULE, "timesteps": (500, 0), **options})


def dpm_multistep(denoiser: Any = identity, x_T: Any = Z, **options: Any) -> None:
    k.dpm_solver_pp_2m(denoiser, x_T, **{"schedule": SCHEDULE, "timesteps": (500, 0), **options})


def ode(denoiser: Any = identity, x_T: Any = Z, *, t: Any = 500.0, y: Any = None, **options: Any) -> None:
    """Build the ODE and evaluate it once."""
    right_hand_side = k.ProbabilityFlowODE(denoiser, x_T, **{"schedule": SCHEDULE, **options})
    right_hand_side(t, np.zeros(72) if y is None else y)


def unflatten(y: Any) -> None:
    k.ProbabilityFlowODE(identity, Z, schedule=SCHEDULE).unflatten(y)


def flatten(x: Any) -> None:
    k.ProbabilityFlowODE(identity, Z, schedule=SCHEDULE).flatten(x)


Case = tuple[Callable[..., Any], dict[str, Any], type[Exception], str]

PAIR = {"eps_cond": P, "eps_uncond": P, "weight": 2.0}
GUIDANCE_CASES: list[Case] = [
    (k.classifier_free_guidance, {**PAIR, **arguments}, error, message)
    for arguments, error, message in [
        ({"eps_cond": 1.0}, TypeError, "eps_cond must be .*, got float"),
        ({"eps_uncond": NAN}, ValueError, "eps_uncond must hold finite numbers .* got NaN"),
        ({"eps_uncond": P[:1]}, ValueError, "eps_uncond must have the shape of eps_cond, .4, 3., got .1, 3."),
        ({"weight": np.inf}, ValueError, "weight must be finite, got inf"),
        ({"weight": P}, TypeError, "weight must be .*, got ndarray"),
    ]
]

DIFFUSION_CASES: list[Case] = [
    (
        function,
        {first: P, second: P, "alpha_bar": 0.5, **arguments(first, second)},
        error,
        message(first, second),
    )
    for function, first, second in [
        (k.add_noise, "x0", "eps"),
        (k.predict_x0, "x_t", "eps"),
        (k.predict_eps, "x_t", "x0"),
        (k.predict_score, "x_t", "x0"),
        (k.velocity, "x0", "eps"),
        (k.predict_x0_from_v, "x_t", "v"),
        (k.predict_eps_from_v, "x_t", "v"),
    ]
    for arguments, error, message in [
        (lambda a, b: {a: 3.0}, TypeError, lambda a, b: f"{a} must be an array .*, got float"),
        (lambda a, b: {b: P.astype(int)}, TypeError, lambda a, b: f"{b} must have a real floating dtype, got int64"),
        (lambda a, b: {b: NAN}, ValueError, lambda a, b: f"{b} must hold finite numbers .* got NaN"),
        (lambda a, b: {b: P[:1]}, ValueError, lambda a, b: f"{b} must have the shape of {a}, .4, 3., got .1, 3."),
        (lambda a, b: {"alpha_bar": 1.1}, ValueError, lambda a, b: "alpha_bar must be finite and in .0, 1., got 1.1"),
        (lambda a, b: {"alpha_bar": -0.1}, ValueError, lambda a, b: "alpha_bar must be finite and in .0, 1., got -0.1"),
        (lambda a, b: {"alpha_bar": np.nan}, ValueError, lambda a, b: "alpha_bar must be .*, got nan"),
        (lambda a, b: {"alpha_bar": None}, TypeError, lambda a, b: "alpha_bar must be .*, got NoneType"),
        (
            lambda a, b: {"alpha_bar": np.full((4, 1), 2.0)},
            ValueError,
            lambda a, b: "alpha_bar must be in .0, 1., got other values in shape .4, 1.",
        ),
        (
            lambda a, b: {"alpha_bar": np.full((4, 1), np.nan)},
            ValueError,
            lambda a, b: "alpha_bar must hold finite numbers .* got NaN, infinity or more in shape .4, 1.",
        ),
        (
            lambda a, b: {"alpha_bar": np.full((4, 1), 1)},
            TypeError,
            lambda a, b: "alpha_bar must have a real floating dtype, got int64",
        ),
        # one level per sample without the other axes would be taken as one per column
        (lambda a, b: {"alpha_bar": np.full(3, 0.5)}, ValueError, lambda a, b: "alpha_bar must .*, got .*.3,."),
        (
            lambda a, b: {"alpha_bar": np.full((2, 1), 0.5)},
            ValueError,
            lambda a, b: "alpha_bar must .*, got .*.2, 1.",
        ),
    ]
] + [
    (
        k.predict_x0,
        {"x_t": P, "eps": P, "alpha_bar": 0.0},
        ValueError,
        "alpha_bar must be above 0 for x0 from eps, got 0 .pure noise.",
    ),
    (k.predict_x0, {"x_t": P, "eps": P, "alpha_bar": np.asarray([[0.0]] * 4)}, ValueError, "alpha_bar must be above 0"),
    (
        k.predict_eps,
        {"x_t": P, "x0": P, "alpha_bar": 1.0},
        ValueError,
        "alpha_bar must be below 1 for .*, got 1 .no noise.",
    ),
    (k.predict_eps, {"x_t": P, "x0": P, "alpha_bar": np.ones((4, 1))}, ValueError, "alpha_bar must be below 1"),
    (
        k.predict_score,
        {"x_t": P, "x0": P, "alpha_bar": 1.0},
        ValueError,
        "alpha_bar must be below 1 for .*, got 1 .no noise.",
    ),
]

ZERO_SIGNAL = k.NoiseSchedule(np.asarray([0.9, 0.0]))
SAMPLER_CASES: list[Case] = [
    (function, arguments, error, message)
    for function in (ddim, dpm, dpm_multistep, ode)
    for arguments, error, message in [
        ({"denoiser": None}, TypeError, "denoiser must be .*, got NoneType"),
        ({"x_T": Z.tolist()}, TypeError, "x_T must be .*, got list"),
        ({"x_T": Z.astype(int)}, TypeError, "x_T must .*, got .*int64"),
        ({"x_T": Z + np.inf}, ValueError, "x_T must hold finite numbers .* got NaN"),
        ({"schedule": SCHEDULE.alphas_cumprod}, TypeError, "schedule must be .*, got ndarray"),
        ({"steering": 0.3}, TypeError, "steering must be .*, got float"),
        ({"prediction_type": "eps"}, ValueError, "prediction_type must be one of epsilon, .*, got 'eps'"),
        ({"prediction_type": None}, ValueError, "prediction_type must be one of .*, got None"),
        (
            {"denoiser": lambda x, t: x[:1]},
            ValueError,
            "output of denoiser at t = 500.* must have the shape of x_T, .4, 2, 3, 3., got .1, 2, 3, 3.",
        ),
        (
            {"denoiser": lambda x, t: x * np.nan},
            ValueError,
            "output of denoiser at t = 500.* must hold finite numbers .* got NaN",
        ),
        ({"denoiser": lambda x, t: 0.0}, TypeError, "output of denoiser at t = 500.* must be an array .*, got float"),
        (
            {"denoiser": lambda x, t: x.astype(int)},
            TypeError,
            "output of denoiser at t = 500.* must have a real floating dtype, got int64",
        ),
        (
            {"steering": lambda x, t: (x[:1], None)},
            ValueError,
            "x0_steered of steering at t = 500.* must have the shape of x_T, .4, 2, 3, 3., got .1, 2, 3, 3.",
        ),
        (
            {"steering": lambda x, t: (x + np.inf, None)},
            ValueError,
            "x0_steered of steering at t = 500.* must hold finite numbers .* got NaN",
        ),
    ]
]
GRID_CASES: list[Case] = [
    (function, arguments, error, message)
    for function in (ddim, dpm, dpm_multistep)
    for arguments, error, message in [
        ({"timesteps": ()}, ValueError, "timesteps must be at least one .*, got ..;"),
        ({"timesteps": (0, 500)}, ValueError, "timesteps must .* descend, got .0, 500."),
        ({"timesteps": (500, 500)}, ValueError, "timesteps must .* descend, got .500, 500."),
        ({"timesteps": (1000, 0)}, ValueError, "timesteps must be in .0, 999., got 1000"),
        ({"timesteps": (500, -1)}, ValueError, "timesteps must be in .0, 999., got -1"),
        ({"timesteps": (500.0, 0.0)}, TypeError, "timesteps must be .*, got float"),
        ({"timesteps": 50}, TypeError, "timesteps must be .*, got int"),
        ({"callback": "print"}, TypeError, "callback must be .*, got str"),
        (
            {"schedule": ZERO_SIGNAL, "timesteps": (1, 0)},
            ValueError,
            "timesteps must have alpha_bar > 0 with prediction_type 'epsilon'.* got alpha_bar = 0 at t = 1",
        ),
    ]
] + [
    (ddim, {"eta": -0.1}, ValueError, "eta must be finite and in .0, 1., got -0.1"),
    (ddim, {"eta": 1.1}, ValueError, "eta must be finite and in .0, 1., got 1.1"),
    (ddim, {"eta": 0.5}, ValueError, "noise must be .* with eta=0.5, got None"),
    (ddim, {"eta": 0.5, "noise": Z}, TypeError, "noise must be .*, got ndarray"),
    (ddim, {"eta": 0.5, "noise": lambda x, step: x[:1]}, ValueError, "noise at step 0 must have the shape of x_T"),
    *(
        (
            function,
            {"schedule": ZERO_SIGNAL, "timesteps": (1, 0), "prediction_type": "v_prediction"},
            ValueError,
            "timesteps must start where alpha_bar > 0 .*, got 1",
        )
        for function in (dpm, dpm_multistep)
    ),
]

ODE_CASES: list[Case] = [
    (ode, {"t": -1.0}, ValueError, "t must be finite and in .0, 999., got -1.0"),
    (ode, {"t": 999.5}, ValueError, "t must be finite and in .0, 999., got 999.5"),
    (ode, {"t": "500"}, TypeError, "t must be .*, got str"),
    (ode, {"y": np.zeros(71)}, ValueError, "y must be the flat state of x_T .4, 2, 3, 3., shape .72,., got .71,."),
    (ode, {"y": Z}, ValueError, "y must .*, got .*.4, 2, 3, 3."),
    (ode, {"y": np.zeros(72, dtype=int)}, TypeError, "y must .*, got .*int64"),
    (ode, {"y": np.zeros(72, dtype=complex)}, TypeError, "y must .*, got .*complex128"),
    (ode, {"y": np.full(72, np.nan)}, ValueError, "y must hold finite numbers, got NaN or infinity in shape .72,."),
    (ode, {"schedule": k.NoiseSchedule([0.5])}, ValueError, "schedule must have two timesteps .*, got 1"),
    (unflatten, {"y": np.zeros((72, 1))}, ValueError, "y must .*, got .*.72, 1."),
    (flatten, {"x": Z[:1]}, ValueError, "x must have the shape of x_T, .4, 2, 3, 3., got .1, 2, 3, 3."),
    (flatten, {"x": Z.tolist()}, TypeError, "x must be .*, got list"),
    (flatten, {"x": Z * np.nan}, ValueError, "x must hold finite numbers .* got NaN"),
]

CASES = GUIDANCE_CASES + DIFFUSION_CASES + SAMPLER_CASES + GRID_CASES + ODE_CASES


def identify(case: Case) -> str:
    return f"{getattr(case[0], '__name__', 'steer').strip('<>')}: {case[3]}"


@pytest.mark.parametrize("case", CASES, ids=identify)
def test_the_error_names_the_argument(case: Case) -> None:
    function, arguments, error, message = case
    with pytest.raises(error, match=f"^{message}") as caught:
        function(**arguments)
    assert type(caught.value) is error
    assert "\n" not in str(caught.value)


def test_a_model_of_another_library_is_refused() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match="arrays must be of one library"):
        ddim(denoiser=lambda x, t: torch.from_numpy(x))


def test_a_denoisers_output_on_another_device_is_named() -> None:
    strict = pytest.importorskip("array_api_strict")
    x = strict.asarray(np.ones((2, 3)))
    there = strict.asarray(np.ones((2, 3)), device=strict.Device("device1"))
    message = r"^output of denoiser at t = 500 must be on the device of x_T, .*CPU_DEVICE.*, got .*device1.*; move one"
    with pytest.raises(ValueError, match=message):
        k.ddim(lambda x_t, t: there, x, schedule=SCHEDULE, timesteps=(500, 0))
