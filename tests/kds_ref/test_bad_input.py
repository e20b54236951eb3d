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
        ({"bandwidth": "0.3"}, ValueError, "bandwidth is '0.3'; known rules: median, scott, silverman, likelihood"),
        ({"bandwidth": [0.3]}, TypeError, "bandwidth is a list; pass a number, an array or the name of a rule"),
        ({"bandwidth": None}, TypeError, "bandwidth is a NoneType"),
        ({"bandwidth": True}, TypeError, "bandwidth is a bool"),
        ({"bandwidth": np.asarray([0.3])}, ValueError, r"bandwidth has shape \(1,\)"),
        ({"bandwidth": np.asarray(1)}, TypeError, "bandwidth has dtype int64"),
        ({"bandwidth": np.asarray(1j)}, TypeError, "bandwidth has dtype complex128"),
        ({"bandwidth": np.asarray(np.nan)}, ValueError, "bandwidth of shape .* holds NaN or infinity"),
        ({"bandwidth": np.zeros((0,))}, ValueError, "bandwidth has shape .0,.; no axis may be empty"),
        (
            {"bandwidth": np.asarray([0.3, 0.0]), "query": np.zeros((2, 4, 3))},
            ValueError,
            "bandwidth of shape .2,. holds values from 0 to 0.3; all must be positive",
        ),
        (
            {"bandwidth": np.full(3, 0.3), "query": np.zeros((2, 4, 3))},
            ValueError,
            r"bandwidth has shape \(3,\).*\(2,\)",
        ),
        (
            {"bandwidth": np.asarray(1e-40), "query": P.astype("f4"), "particles": P.astype("f4")},
            ValueError,
            "bandwidth of shape .. holds values from 1e-40",
        ),
        (
            {"bandwidth": np.asarray(1e40), "query": P.astype("f4"), "particles": P.astype("f4")},
            ValueError,
            "bandwidth of shape .. holds values from 1e.40",
        ),
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
        ({"sample_ndim": 1}, ValueError, "sample_ndim is 1 with patch_size=1"),
        ({"sample_ndim": 4}, ValueError, r"x0_pred has shape \(4, 2, 3, 3\); it needs axes .* 4 axes of the sample"),
        ({"stride": 2}, ValueError, "stride is 2 with patch_size=1; it must be in .1, 1."),
        ({"stride": 0, "patch_size": 2}, ValueError, "stride is 0"),
        ({"stride": 1.0, "patch_size": 2}, TypeError, "stride is a float"),
        ({"stride": 1, "patch_size": None}, ValueError, "stride is 1 with patch_size=None"),
        ({"scale_with_dimension": 1}, TypeError, "scale_with_dimension is a int"),
        ({"bandwidth": "Scott"}, ValueError, "bandwidth is 'Scott'; known rules"),
        ({"bandwidth": np.full((4,), 0.3)}, ValueError, r"bandwidth has shape \(4,\).*\(9,\)"),
        ({"bandwidth": np.full((1, 9), 0.3)}, ValueError, r"bandwidth has shape \(1, 9\).*\(9,\)"),
        ({"bandwidth": np.asarray(-1.0)}, ValueError, "bandwidth of shape .. holds values from -1"),
        ({"x": Z[None, None], "bandwidth": np.full(9, 0.3)}, ValueError, r"bandwidth has shape \(9,\).*\(1, 1, 9\)"),
        ({"sample_ndim": 0, "patch_size": None}, ValueError, "sample_ndim is 0"),
        ({"sample_ndim": "3"}, TypeError, "sample_ndim is a str"),
        ({"strength": 1.5}, ValueError, "strength is 1.5"),
        ({"strength": -0.1}, ValueError, "strength is -0.1"),
        ({"strength": np.nan}, ValueError, "strength is nan"),
        ({"strength": None}, TypeError, "strength is a NoneType"),
        ({"bandwidth": 0}, ValueError, "bandwidth is 0"),
        ({"kernel": "box"}, ValueError, "kernel is 'box'; known kernels: gaussian, laplacian, .*flat, l2"),
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
        ({"sample_ndim": 1}, ValueError, "sample_ndim is 1 with patch_size=1"),
        ({"stride": 2}, ValueError, "stride is 2 with patch_size=1"),
        ({"bandwidth": "mean"}, ValueError, "bandwidth is 'mean'; known rules"),
        ({"bandwidth": (0.3,)}, TypeError, "bandwidth is a tuple"),
        ({"bandwidth": np.asarray([0.3, -0.3])}, ValueError, "bandwidth of shape .2,. holds values from -0.3"),
        ({"scale_with_dimension": "yes"}, TypeError, "scale_with_dimension is a str"),
    ]
]

OTHER_CASES: list[Case] = [
    (k.patchify, {"z": Z[0, 0], "patch_size": 1}, ValueError, "z has shape .3, 3."),
    (k.patchify, {"z": Z, "patch_size": 0}, ValueError, "patch_size is 0"),
    (k.patchify, {"z": Z, "patch_size": (2, 2)}, TypeError, "patch_size is a tuple"),
    (k.patchify, {"z": None, "patch_size": 1}, TypeError, "z is a NoneType"),
    (k.patchify, {"z": Z, "patch_size": 2, "stride": 3}, ValueError, "stride is 3 with patch_size=2"),
    (k.patchify, {"z": Z, "patch_size": 2, "stride": "1"}, TypeError, "stride is a str"),
    (k.patchify, {"z": Z, "patch_size": 2, "sample_ndim": 1}, ValueError, "sample_ndim is 1"),
    (k.patchify, {"z": Z, "patch_size": 2, "sample_ndim": 5}, ValueError, "z has shape .* C and 4 axes of space"),
    (k.patchify, {"z": Z[..., :0], "patch_size": 2, "sample_ndim": 2}, ValueError, "z has shape .* none empty"),
    (k.patchify, {"z": Z[:, :0], "patch_size": 2}, ValueError, "z has shape .4, 0, 3, 3.; .* none empty"),
    (
        k.unpatchify,
        {"patches": np.zeros((2, 2), dtype=int), "patch_size": 2, "stride": 1, "shape": (1, 3)},
        TypeError,
        "patches has dtype int64; overlapping patches are averaged",
    ),
    *[
        (function, {"patches": P, "patch_size": 1, **arguments}, error, message)
        for function in (k.unpatchify, k.patchify_adjoint)
        for arguments, error, message in [
            ({"shape": (12,)}, ValueError, "shape is .12,."),
            ({"shape": (3, 0, 2)}, ValueError, "shape is 0"),
            ({"shape": (3, 4), "stride": 2}, ValueError, "stride is 2 with patch_size=1"),
            ({"shape": (3, 2)}, ValueError, r"patches has shape \(4, 3\); .* need \(\.\.\., 2, 3\)"),
            ({"shape": (3, 2), "patches": P.tolist()}, TypeError, "patches is a list"),
        ]
    ],
    *[
        (rule, {"particles": particles}, error, message)
        for rule in (k.median_bandwidth, k.scott_bandwidth, k.silverman_bandwidth, k.likelihood_bandwidth)
        for particles, error, message in [
            ([[0.0]], TypeError, "particles is a list"),
            (P.astype(int), TypeError, "particles has dtype int64"),
            (P[0], ValueError, r"particles has shape \(3,\)"),
            (P[:0], ValueError, r"particles has shape \(0, 3\)"),
            (NAN, ValueError, "particles of shape .4, 3. holds NaN"),
        ]
    ],
    (k.shadow_kernel, {"kernel": "Flat"}, ValueError, "kernel is 'Flat'; known kernels"),
    (k.shadow_kernel, {"kernel": 2}, TypeError, "kernel is a int"),
    (k.shadow_kernel, {"kernel": "l2"}, ValueError, "kernel 'l2' names no shadow"),
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
    (k.steering_strength, {"t": 3, "num_train_timesteps": 50, "strength": -0.1}, ValueError, "strength is -0.1"),
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
    (k.linear_schedule, {"beta_start": None}, TypeError, "beta_start is a NoneType"),
    (k.cosine_schedule, {"max_beta": 1.0}, ValueError, "max_beta is 1"),
    (k.cosine_schedule, {"max_beta": 0.0}, ValueError, "max_beta is 0"),
    (k.cosine_schedule, {"num_train_timesteps": 0}, ValueError, "num_train_timesteps is 0"),
    (k.time_grid, {"num_inference_steps": 0}, ValueError, "num_inference_steps is 0"),
    (k.time_grid, {"num_inference_steps": 1001}, ValueError, "num_inference_steps is 1001"),
    (k.time_grid, {"num_inference_steps": 1000, "spacing": "dpm"}, ValueError, "num_inference_steps is 1000"),
    (k.time_grid, {"num_inference_steps": 50.0}, TypeError, "num_inference_steps is a float"),
    (k.time_grid, {"num_inference_steps": 1, "num_train_timesteps": 0}, ValueError, "num_train_timesteps is 0"),
    (k.time_grid, {"num_inference_steps": 5, "steps_offset": 0.5}, TypeError, "steps_offset is a float"),
    (k.time_grid, {"num_inference_steps": 5, "spacing": "karras"}, ValueError, "spacing is 'karras'; known"),
    (k.time_grid, {"num_inference_steps": 5, "spacing": None}, ValueError, "spacing is None"),
    (k.time_grid, {"num_inference_steps": 1000, "steps_offset": 1}, ValueError, "steps_offset is 1"),
    (k.time_grid, {"num_inference_steps": 5, "steps_offset": -1}, ValueError, "steps_offset is -1"),
]

CASES = POINT_CASES + STEER_CASES + SETTINGS_CASES + OTHER_CASES


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


def test_a_rule_makes_no_density_of_equal_particles() -> None:
    for function in (k.log_density, k.log_density_gradient):
        with pytest.raises(ValueError, match="bandwidth is 0 by the rule 'scott'"):
            function(P, P, bandwidth="scott")


def test_bandwidths_of_another_library_or_device_are_refused() -> None:
    torch = pytest.importorskip("torch")
    strict = pytest.importorskip("array_api_strict")
    with pytest.raises(TypeError, match=r"different libraries .*bandwidth: numpy, particles: torch"):
        k.steer(torch.from_numpy(Z), bandwidth=np.asarray(0.3))
    h = strict.asarray(0.3, device=strict.Device("device1"))
    with pytest.raises(ValueError, match=r"bandwidth is on device .* move one"):
        k.steer(strict.asarray(Z), bandwidth=h)


def test_libraries_are_not_mixed() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match=r"different libraries .*query: numpy, particles: torch"):
        k.mean_shift(P, torch.zeros(4, 3, dtype=torch.float64), bandwidth=0.3)


def test_devices_are_not_mixed() -> None:
    strict = pytest.importorskip("array_api_strict")
    query = strict.asarray(P, device=strict.Device("device1"))
    with pytest.raises(ValueError, match=r"particles is on device .* move one"):
        k.mean_shift(query, strict.asarray(P), bandwidth=0.3)
