"""Every wrong argument raises, and the message begins with the argument's name."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import kds_ref as k

P = np.zeros((4, 3))
Z = np.zeros((4, 2, 3, 3))
NAN, INF = np.full((4, 3), np.nan), np.full((4, 3), np.inf)
SCHEDULE = k.linear_schedule()


def density(query: Any = P, particles: Any = P, bandwidth: Any = 0.3, **options: Any) -> None:
    k.log_density(query, particles, bandwidth=bandwidth, **options)


def gradient(query: Any = P, particles: Any = P, bandwidth: Any = 0.3, **options: Any) -> None:
    k.log_density_gradient(query, particles, bandwidth=bandwidth, **options)


def shift(query: Any = P, particles: Any = P, bandwidth: Any = 0.3, **options: Any) -> None:
    k.mean_shift(query, particles, bandwidth=bandwidth, **options)


def identity(x: Any, t: int) -> Any:
    return x


def ddim(denoiser: Any = identity, x_T: Any = Z, **options: Any) -> None:
    k.ddim(denoiser, x_T, **{"schedule": SCHEDULE, "timesteps": (500, 0), **options})


def dpm(denoiser: Any = identity, x_T: Any = Z, **options: Any) -> None:
    k.dpm_solver_pp_2s(denoiser, x_T, **{"schedule": SCHEDULE, "timesteps": (500, 0), **options})


Case = tuple[Callable[..., Any], dict[str, Any], type[Exception], str]

POINT_CASES: list[Case] = [
    (function, arguments, error, message)
    for function in (density, gradient, shift)
    for arguments, error, message in [
        ({"query": [[0.0]]}, TypeError, "query is a list"),
        ({"query": P.astype(int)}, TypeError, "query has dtype int64"),
        ({"query": P.astype(complex)}, TypeError, "query has dtype complex128"),
        ({"query": P.astype(np.float32)}, TypeError, "particles has dtype float64 but query has float32"),
        ({"query": NAN}, ValueError, "query of shape .4, 3. holds NaN"),
        ({"particles": INF}, ValueError, "particles of shape .4, 3. holds NaN or inf"),
        ({"query": P[0]}, ValueError, "query has shape .3,."),
        ({"particles": P[:0]}, ValueError, "particles has shape .0, 3."),
        ({"particles": P[:, :2]}, ValueError, "query has 3 dimensions .* particles have 2"),
        (
            {"query": np.zeros((2, 4, 3)), "particles": np.zeros((5, 4, 3))},
            ValueError,
            "leading axes of query",
        ),
        ({"bandwidth": 0.0}, ValueError, "bandwidth is 0"),
        ({"bandwidth": -1.0}, ValueError, "bandwidth is -1"),
        ({"bandwidth": np.nan}, ValueError, "bandwidth is nan"),
        ({"bandwidth": np.inf}, ValueError, "bandwidth is inf"),
        ({"bandwidth": "0.3"}, TypeError, "bandwidth is a str"),
        ({"bandwidth": True}, TypeError, "bandwidth is a bool"),
        ({"bandwidth": np.asarray([0.3])}, TypeError, "bandwidth is a ndarray"),
        (
            {"bandwidth": 1e-40, "query": P.astype("f4"), "particles": P.astype("f4")},
            ValueError,
            "bandwidth is 1e-40",
        ),
        (
            {"bandwidth": 1e40, "query": P.astype("f4"), "particles": P.astype("f4")},
            ValueError,
            "bandwidth is 1e.40",
        ),
        ({"kernel": "Gaussian"}, ValueError, "kernel is 'Gaussian'; known kernels: gaussian"),
        ({"kernel": None}, TypeError, "kernel is a NoneType"),
    ]
]

STEER_CASES: list[Case] = [
    (lambda x=Z, **options: k.steer(x, **options), arguments, error, message)
    for arguments, error, message in [
        ({"x": Z.tolist()}, TypeError, "x0_pred is a list"),
        ({"x": Z.astype(np.int32)}, TypeError, "x0_pred has dtype int32"),
        ({"x": Z + np.nan}, ValueError, "x0_pred of shape .4, 2, 3, 3. holds NaN"),
        ({"x": Z[0]}, ValueError, r"x0_pred has shape \(2, 3, 3\); .*C, H, W.* patch_size=None"),
        ({"x": P}, ValueError, r"x0_pred has shape \(4, 3\); .* patch_size=None"),
        ({"x": Z[:0]}, ValueError, "x0_pred has shape .0, 2, 3, 3."),
        ({"x": Z[0], "patch_size": None}, ValueError, "x0_pred has shape .* sample_ndim=1 or sample_ndim=2"),
        ({"x": P[0], "patch_size": None}, ValueError, "x0_pred has shape .3,."),
        ({"x": P, "patch_size": None, "sample_ndim": 2}, ValueError, "x0_pred has shape .* 2 axes"),
        ({"patch_size": 0}, ValueError, "patch_size is 0"),
        ({"patch_size": 1.0}, TypeError, "patch_size is a float"),
        ({"patch_size": True}, TypeError, "patch_size is a bool"),
        ({"sample_ndim": 2}, ValueError, "sample_ndim is 2 with patch_size=1"),
        ({"sample_ndim": 0, "patch_size": None}, ValueError, "sample_ndim is 0"),
        ({"sample_ndim": "3"}, TypeError, "sample_ndim is a str"),
        ({"strength": 1.5}, ValueError, "strength is 1.5"),
        ({"strength": -0.1}, ValueError, "strength is -0.1"),
        ({"strength": np.nan}, ValueError, "strength is nan"),
        ({"strength": None}, TypeError, "strength is a NoneType"),
        ({"bandwidth": 0}, ValueError, "bandwidth is 0"),
        ({"kernel": "flat"}, ValueError, "kernel is 'flat'"),
        ({"band_width": 1.0}, TypeError, "band_width"),
    ]
]

SETTINGS_CASES: list[Case] = [
    (k.KernelDensitySteering, arguments, error, message)
    for arguments, error, message in [
        ({"num_train_timesteps": 0}, ValueError, "num_train_timesteps is 0"),
        ({"num_train_timesteps": 1000.0}, TypeError, "num_train_timesteps is a float"),
        ({"bandwidth": 0.0}, ValueError, "bandwidth is 0"),
        ({"bandwidth": np.inf}, ValueError, "bandwidth is inf"),
        ({"strength": 2}, ValueError, "strength is 2"),
        ({"cutoff": 30}, ValueError, "cutoff is 30"),
        ({"patch_size": -1}, ValueError, "patch_size is -1"),
        ({"kernel": "L2"}, ValueError, "kernel is 'L2'"),
        ({"sample_ndim": 2}, ValueError, "sample_ndim is 2"),
    ]
]

OTHER_CASES: list[Case] = [
    (k.patchify, {"z": Z[0, 0], "patch_size": 1}, ValueError, "z has shape .3, 3."),
    (k.patchify, {"z": Z, "patch_size": 0}, ValueError, "patch_size is 0"),
    (k.patchify, {"z": Z, "patch_size": (2, 2)}, TypeError, "patch_size is a tuple"),
    (k.patchify, {"z": None, "patch_size": 1}, TypeError, "z is a NoneType"),
    (k.unpatchify, {"patches": P, "patch_size": 1, "shape": (3, 2)}, ValueError, "shape is .3, 2."),
    (k.unpatchify, {"patches": P, "patch_size": 1, "shape": (3, 2, 2.0)}, TypeError, "shape is a float"),
    (k.unpatchify, {"patches": P, "patch_size": 1, "shape": 12}, ValueError, "shape is 12"),
    (
        k.unpatchify,
        {"patches": P, "patch_size": 2, "shape": (3, 2, 2)},
        ValueError,
        r"patches has shape .*1, 12",
    ),
    (k.unpatchify, {"patches": P[0], "patch_size": 1, "shape": (3, 2, 2)}, ValueError, "patches has shape"),
    (k.select_particle, {"z": [1.0]}, TypeError, "z is a list"),
    (k.select_particle, {"z": Z[0]}, ValueError, "z has shape .* sample_ndim=1 or"),
    (k.select_particle, {"z": NAN}, ValueError, "z of shape"),
    (k.select_particle, {"z": P, "sample_ndim": 2}, ValueError, "z has shape"),
    (k.select_particle, {"z": P, "sample_ndim": 1.0}, TypeError, "sample_ndim is a float"),
    (k.steering_strength, {"t": -1, "num_train_timesteps": 1000}, ValueError, "t is -1"),
    (k.steering_strength, {"t": 1001, "num_train_timesteps": 1000}, ValueError, "t is 1001"),
    (
        k.steering_strength,
        {"t": np.asarray([5, 1001]), "num_train_timesteps": 1000},
        ValueError,
        "t of shape",
    ),
    (
        k.steering_strength,
        {"t": np.asarray([np.nan, 1.0]), "num_train_timesteps": 1000},
        ValueError,
        "t of shape",
    ),
    (k.steering_strength, {"t": np.asarray([1j, 1j]), "num_train_timesteps": 1000}, TypeError, "t has dtype"),
    (k.steering_strength, {"t": "300", "num_train_timesteps": 1000}, TypeError, "t is a str"),
    (k.steering_strength, {"t": [300], "num_train_timesteps": 1000}, TypeError, "t is a list"),
    (k.steering_strength, {"t": 3, "num_train_timesteps": 50.5}, TypeError, "num_train_timesteps is a float"),
    (k.steering_strength, {"t": 3, "num_train_timesteps": 50, "cutoff": -0.1}, ValueError, "cutoff is -0.1"),
    (k.steering_strength, {"t": 3, "num_train_timesteps": 50, "strength": 3}, ValueError, "strength is 3"),
    (k.NoiseSchedule, {"alphas_cumprod": np.asarray([0.5, 0.9])}, ValueError, "alphas_cumprod must be"),
    (k.NoiseSchedule, {"alphas_cumprod": np.asarray([1.0, 0.9])}, ValueError, "alphas_cumprod must be"),
    (k.NoiseSchedule, {"alphas_cumprod": np.asarray([0.5, np.nan])}, ValueError, "alphas_cumprod must be"),
    (k.NoiseSchedule, {"alphas_cumprod": np.asarray([])}, ValueError, "alphas_cumprod has shape"),
    (k.NoiseSchedule, {"alphas_cumprod": np.ones((2, 2))}, ValueError, "alphas_cumprod has shape"),
    (k.NoiseSchedule, {"alphas_cumprod": ["a"]}, TypeError, "alphas_cumprod cannot"),
    (SCHEDULE.alpha_bar, {"t": 1000}, ValueError, "t is 1000"),
    (SCHEDULE.alpha_bar, {"t": -1}, ValueError, "t is -1"),
    (SCHEDULE.alpha_bar, {"t": 1.0}, TypeError, "t is a float"),
    (k.linear_schedule, {"num_train_timesteps": 0}, ValueError, "num_train_timesteps is 0"),
    (k.linear_schedule, {"beta_end": 1.0}, ValueError, "beta_end is 1"),
    (k.scaled_linear_schedule, {"beta_start": 0.0}, ValueError, "beta_start is 0"),
    (k.cosine_schedule, {"max_beta": 1.0}, ValueError, "max_beta is 1"),
    (k.time_grid, {"num_inference_steps": 0}, ValueError, "num_inference_steps is 0"),
    (k.time_grid, {"num_inference_steps": 1001}, ValueError, "num_inference_steps is 1001"),
    (k.time_grid, {"num_inference_steps": 1000, "spacing": "dpm"}, ValueError, "num_inference_steps is 1000"),
    (k.time_grid, {"num_inference_steps": 50.0}, TypeError, "num_inference_steps is a float"),
    (k.time_grid, {"num_inference_steps": 5, "spacing": "karras"}, ValueError, "spacing is 'karras'; known"),
    (k.time_grid, {"num_inference_steps": 5, "spacing": None}, ValueError, "spacing is None"),
    (k.time_grid, {"num_inference_steps": 1000, "steps_offset": 1}, ValueError, "steps_offset is 1"),
    (k.time_grid, {"num_inference_steps": 5, "steps_offset": -1}, ValueError, "steps_offset is -1"),
]

PAIR = {"eps_cond": P, "eps_uncond": P, "weight": 2.0}
GUIDANCE_CASES: list[Case] = [
    (k.classifier_free_guidance, {**PAIR, **arguments}, error, message)
    for arguments, error, message in [
        ({"eps_cond": 1.0}, TypeError, "eps_cond is a float"),
        ({"eps_uncond": NAN}, ValueError, "eps_uncond of shape"),
        ({"eps_uncond": P[:1]}, ValueError, "eps_uncond has shape .1, 3. but eps_cond has .4, 3."),
        ({"weight": np.inf}, ValueError, "weight is inf"),
        ({"weight": P}, TypeError, "weight is a ndarray"),
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
        (k.velocity, "x0", "eps"),
        (k.predict_x0_from_v, "x_t", "v"),
        (k.predict_eps_from_v, "x_t", "v"),
    ]
    for arguments, error, message in [
        (lambda a, b: {a: 3.0}, TypeError, lambda a, b: f"{a} is a float"),
        (lambda a, b: {b: P.astype(int)}, TypeError, lambda a, b: f"{b} has dtype int64"),
        (lambda a, b: {b: NAN}, ValueError, lambda a, b: f"{b} of shape"),
        (lambda a, b: {b: P[:1]}, ValueError, lambda a, b: f"{b} has shape .1, 3. but {a} has"),
        (lambda a, b: {"alpha_bar": 1.1}, ValueError, lambda a, b: "alpha_bar is 1.1"),
        (lambda a, b: {"alpha_bar": -0.1}, ValueError, lambda a, b: "alpha_bar is -0.1"),
        (lambda a, b: {"alpha_bar": np.nan}, ValueError, lambda a, b: "alpha_bar is nan"),
        (lambda a, b: {"alpha_bar": None}, TypeError, lambda a, b: "alpha_bar is a NoneType"),
        (lambda a, b: {"alpha_bar": np.full((4, 1), 2.0)}, ValueError, lambda a, b: "alpha_bar of shape"),
        (lambda a, b: {"alpha_bar": np.full((4, 1), 1)}, TypeError, lambda a, b: "alpha_bar has dtype"),
        # one level per sample without the other axes would be taken as one per column
        (lambda a, b: {"alpha_bar": np.full(3, 0.5)}, ValueError, lambda a, b: "alpha_bar has shape .3,."),
        (
            lambda a, b: {"alpha_bar": np.full((2, 1), 0.5)},
            ValueError,
            lambda a, b: "alpha_bar has shape .2, 1.",
        ),
    ]
] + [
    (k.predict_x0, {"x_t": P, "eps": P, "alpha_bar": 0.0}, ValueError, "alpha_bar is 0 .pure noise."),
    (k.predict_x0, {"x_t": P, "eps": P, "alpha_bar": np.asarray([[0.0]] * 4)}, ValueError, "alpha_bar is 0"),
    (k.predict_eps, {"x_t": P, "x0": P, "alpha_bar": 1.0}, ValueError, "alpha_bar is 1 .no noise."),
    (k.predict_eps, {"x_t": P, "x0": P, "alpha_bar": np.ones((4, 1))}, ValueError, "alpha_bar is 1"),
]

ZERO_SIGNAL = k.NoiseSchedule(np.asarray([0.9, 0.0]))
SAMPLER_CASES: list[Case] = [
    (function, arguments, error, message)
    for function in (ddim, dpm)
    for arguments, error, message in [
        ({"denoiser": None}, TypeError, "denoiser is a NoneType"),
        ({"x_T": Z.tolist()}, TypeError, "x_T is a list"),
        ({"x_T": Z.astype(int)}, TypeError, "x_T has dtype int64"),
        ({"x_T": Z + np.inf}, ValueError, "x_T of shape"),
        ({"schedule": SCHEDULE.alphas_cumprod}, TypeError, "schedule is a ndarray"),
        ({"timesteps": ()}, ValueError, "timesteps are"),
        ({"timesteps": (0, 500)}, ValueError, "timesteps are .0, 500.; .* descend"),
        ({"timesteps": (500, 500)}, ValueError, "timesteps are"),
        ({"timesteps": (1000, 0)}, ValueError, "timesteps is 1000"),
        ({"timesteps": (500, -1)}, ValueError, "timesteps is -1"),
        ({"timesteps": (500.0, 0.0)}, TypeError, "timesteps is a float"),
        ({"timesteps": 50}, TypeError, "timesteps is a int"),
        ({"steering": 0.3}, TypeError, "steering is a float"),
        ({"callback": "print"}, TypeError, "callback is a str"),
        ({"prediction_type": "eps"}, ValueError, "prediction_type is 'eps'; known"),
        ({"prediction_type": None}, ValueError, "prediction_type is None"),
        (
            {"schedule": ZERO_SIGNAL, "timesteps": (1, 0)},
            ValueError,
            "prediction_type 'epsilon' .* alpha_bar is 0",
        ),
        ({"denoiser": lambda x, t: x[:1]}, ValueError, "output of denoiser at t = 500 has shape"),
        ({"denoiser": lambda x, t: x * np.nan}, ValueError, "output of denoiser at t = 500 of shape"),
        ({"denoiser": lambda x, t: 0.0}, TypeError, "output of denoiser at t = 500 is a float"),
        ({"denoiser": lambda x, t: x.astype(int)}, TypeError, "output of denoiser at t = 500 has dtype"),
        ({"steering": lambda x, t: (x[:1], None)}, ValueError, "x0_steered of steering at t = 500 has shape"),
        (
            {"steering": lambda x, t: (x + np.inf, None)},
            ValueError,
            "x0_steered of steering at t = 500 of shape",
        ),
    ]
] + [
    (ddim, {"eta": -0.1}, ValueError, "eta is -0.1"),
    (ddim, {"eta": 1.1}, ValueError, "eta is 1.1"),
    (ddim, {"eta": 0.5}, ValueError, "noise is None but eta is 0.5"),
    (ddim, {"eta": 0.5, "noise": Z}, TypeError, "noise is a ndarray"),
    (ddim, {"eta": 0.5, "noise": lambda x, step: x[:1]}, ValueError, "noise at step 0 has shape"),
    (
        dpm,
        {"schedule": ZERO_SIGNAL, "timesteps": (1, 0), "prediction_type": "v_prediction"},
        ValueError,
        "timesteps start at 1, where alpha_bar is 0",
    ),
]

CASES = (
    POINT_CASES
    + STEER_CASES
    + SETTINGS_CASES
    + OTHER_CASES
    + GUIDANCE_CASES
    + DIFFUSION_CASES
    + SAMPLER_CASES
)


def identify(case: Case) -> str:
    return f"{getattr(case[0], '__name__', 'steer').strip('<>')}: {case[3]}"


@pytest.mark.parametrize("case", CASES, ids=identify)
def test_the_error_names_the_argument(case: Case) -> None:
    function, arguments, error, message = case
    with pytest.raises(error, match=message) as caught:
        function(**arguments)
    assert type(caught.value) is error
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", sorted(k.__all__))
def test_unknown_options_are_errors(name: str) -> None:
    function = getattr(k, name)
    with pytest.raises(TypeError, match="not_an_option"):
        function(not_an_option=1)


def test_libraries_are_not_mixed() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match=r"different libraries .*query: numpy, particles: torch"):
        k.mean_shift(P, torch.zeros(4, 3, dtype=torch.float64), bandwidth=0.3)
    with pytest.raises(TypeError, match="different libraries"):
        ddim(denoiser=lambda x, t: torch.from_numpy(x))


def test_devices_are_not_mixed() -> None:
    strict = pytest.importorskip("array_api_strict")
    query = strict.asarray(P, device=strict.Device("device1"))
    with pytest.raises(ValueError, match=r"particles is on device .* move one"):
        k.mean_shift(query, strict.asarray(P), bandwidth=0.3)
