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
        ({"query": [[0.0]]}, TypeError, "query must be .*, got list"),
        ({"query": P.astype(int)}, TypeError, "query must .*, got .*int64"),
        ({"query": P.astype(complex)}, TypeError, "query must .*, got .*complex128"),
        ({"query": P.astype(np.float32)}, TypeError, "particles must have the dtype of query, float32, got float64"),
        ({"query": NAN}, ValueError, r"query must hold finite numbers .* shape .4, 3."),
        ({"particles": INF}, ValueError, r"particles must hold finite .*, got NaN, infinity or more in shape \(4, 3\)"),
        ({"query": P[0]}, ValueError, "query must .*, got .*.3,."),
        ({"particles": P[:0]}, ValueError, "particles must .*, got .*.0, 3."),
        ({"particles": P[:, :2]}, ValueError, r"particles must .*, got 2 in shape \(4, 2\)"),
        (
            {"query": np.zeros((2, 4, 3)), "particles": np.zeros((5, 4, 3))},
            ValueError,
            "leading axes of query",
        ),
        ({"bandwidth": 0.0}, ValueError, r"bandwidth must be finite and positive, got 0\.0"),
        ({"bandwidth": -1.0}, ValueError, r"bandwidth must be finite and positive, got -1\.0"),
        ({"bandwidth": np.nan}, ValueError, "bandwidth must be finite and positive, got nan"),
        ({"bandwidth": np.inf}, ValueError, "bandwidth must be finite and positive, got inf"),
        ({"bandwidth": "0.3"}, ValueError, r"bandwidth must .*, got '0\.3'"),
        ({"bandwidth": [0.3]}, TypeError, r"bandwidth must be a number, an array or the n.*, got list \(\[0\.3\]\)"),
        ({"bandwidth": None}, TypeError, "bandwidth must be .*, got NoneType"),
        ({"bandwidth": True}, TypeError, "bandwidth must be .*, got bool"),
        ({"bandwidth": np.asarray([0.3])}, ValueError, r"bandwidth must .*, got .*\(1,\)"),
        ({"bandwidth": np.asarray(1)}, TypeError, "bandwidth must .*, got .*int64"),
        ({"bandwidth": np.asarray(1j)}, TypeError, "bandwidth must .*, got .*complex128"),
        ({"bandwidth": np.asarray(np.nan)}, ValueError, "bandwidth must be positive.*, got values from nan to nan"),
        ({"bandwidth": np.zeros((0,))}, ValueError, r"bandwidth must .*, got \(0,\)"),
        (
            {"bandwidth": np.asarray([0.3, 0.0]), "query": np.zeros((2, 4, 3))},
            ValueError,
            r"bandwidth must be positive and in \[2\.23e-308, 1\.8e\+308\], got values from 0 to 0\.3 in shape \(2,\)",
        ),
        (
            {"bandwidth": np.full(3, 0.3), "query": np.zeros((2, 4, 3))},
            ValueError,
            r"bandwidth must have the axes \(2,\) of the ensembles, each equal or 1, got \(3,\)",
        ),
        (
            {"bandwidth": np.asarray(1e-40), "query": P.astype("f4"), "particles": P.astype("f4")},
            ValueError,
            r"bandwidth must be positive and in \[1\.18e-38, .*, got values from 1e-40 to 1e-40 in shape \(\)",
        ),
        (
            {"bandwidth": np.asarray(1e40), "query": P.astype("f4"), "particles": P.astype("f4")},
            ValueError,
            r"bandwidth must be positive and in \[1\.18e-38, .*, got values from 1e\+40 to 1e\+40 in shape \(\)",
        ),
        (
            {"bandwidth": 1e-40, "query": P.astype("f4"), "particles": P.astype("f4")},
            ValueError,
            r"bandwidth must be in \[1\.18e-38, 3\.4e\+38\], the normal numbers of float32, got 1e-40",
        ),
        (
            {"bandwidth": 1e40, "query": P.astype("f4"), "particles": P.astype("f4")},
            ValueError,
            r"bandwidth must be in \[1\.18e-38, 3\.4e\+38\], the normal numbers of float32, got 1e\+40",
        ),
        ({"kernel": "Gaussian"}, ValueError, "kernel must be one of gaussian, laplacian, ep.*, got 'Gaussian'"),
        ({"kernel": None}, TypeError, "kernel must be .*, got NoneType"),
    ]
]

STEER_CASES: list[Case] = [
    (lambda x=Z, **options: k.steer(x, **options), arguments, error, message)
    for arguments, error, message in [
        ({"x": Z.tolist()}, TypeError, "x0_pred must be .*, got list"),
        ({"x": Z.astype(np.int32)}, TypeError, "x0_pred must .*, got .*int32"),
        ({"x": Z + np.nan}, ValueError, r"x0_pred must hold finite numbers .* in shape \(4, 2, 3, 3\)"),
        ({"x": Z[0]}, ValueError, r"x0_pred must have axes \(\.\.\., N, C, H, W\), none empty, got shape \(2, 3, 3\)"),
        ({"x": P}, ValueError, r"x0_pred must have axes \(\.\.\., N, C, H, W\), none empty, got shape \(4, 3\)"),
        ({"x": Z[:0]}, ValueError, "x0_pred must .*, got .*.0, 2, 3, 3."),
        (
            {"x": Z[0], "patch_size": None},
            ValueError,
            "sample_ndim must be 1 or 2 for x0_pred of shape .2, 3, 3., got None",
        ),
        ({"x": P[0], "patch_size": None}, ValueError, "x0_pred must .*, got .*.3,."),
        ({"x": P, "patch_size": None, "sample_ndim": 2}, ValueError, r"x0_pred must .*, got shape \(4, 3\)"),
        ({"patch_size": 0}, ValueError, "patch_size must be at least 1, got 0"),
        ({"patch_size": 1.0}, TypeError, "patch_size must be .*, got float"),
        ({"patch_size": True}, TypeError, "patch_size must be .*, got bool"),
        ({"sample_ndim": 1}, ValueError, "sample_ndim must be at least 2 with patch_size=1, got 1"),
        ({"sample_ndim": 4}, ValueError, r"x0_pred must .*, got shape \(4, 2, 3, 3\)"),
        ({"stride": 2}, ValueError, r"stride must be in \[1, 1\] with patch_size=1, got 2"),
        ({"stride": 0, "patch_size": 2}, ValueError, "stride must be at least 1, got 0"),
        ({"stride": 1.0, "patch_size": 2}, TypeError, "stride must be .*, got float"),
        ({"stride": 1, "patch_size": None}, ValueError, "stride must be None with patch_size=None, got 1"),
        ({"scale_with_dimension": 1}, TypeError, "scale_with_dimension must be .*, got int"),
        ({"bandwidth": "Scott"}, ValueError, "bandwidth must .*, got 'Scott'"),
        ({"bandwidth": np.full((4,), 0.3)}, ValueError, r"bandwidth must .*, got \(4,\)"),
        ({"bandwidth": np.full((1, 9), 0.3)}, ValueError, r"bandwidth must .*, got shape \(1, 9\)"),
        ({"bandwidth": np.asarray(-1.0)}, ValueError, "bandwidth must .*, got values from -1 to -1"),
        ({"x": Z[None, None], "bandwidth": np.full(9, 0.3)}, ValueError, r"bandwidth must .*, got shape \(9,\)"),
        ({"sample_ndim": 0, "patch_size": None}, ValueError, "sample_ndim must be at least 1, got 0"),
        ({"sample_ndim": "3"}, TypeError, "sample_ndim must be .*, got str"),
        ({"strength": 1.5}, ValueError, r"strength must be finite and in \[0, 1\], got 1\.5"),
        ({"strength": -0.1}, ValueError, r"strength must be finite and in \[0, 1\], got -0\.1"),
        ({"strength": np.nan}, ValueError, r"strength must be finite and in \[0, 1\], got nan"),
        ({"strength": None}, TypeError, "strength must be .*, got NoneType"),
        ({"bandwidth": 0}, ValueError, r"bandwidth must be finite and positive, got 0\.0"),
        ({"kernel": "box"}, ValueError, "kernel must be one of gaussian, laplacian, ep.*, got 'box'"),
        ({"band_width": 1.0}, TypeError, "band_width"),
    ]
]

SETTINGS_CASES: list[Case] = [
    (k.KernelDensitySteering, arguments, error, message)
    for arguments, error, message in [
        ({"num_train_timesteps": 0}, ValueError, "num_train_timesteps must be at least 1, got 0"),
        ({"num_train_timesteps": 1000.0}, TypeError, "num_train_timesteps must be .*, got float"),
        ({"bandwidth": 0.0}, ValueError, r"bandwidth must be finite and positive, got 0\.0"),
        ({"bandwidth": np.inf}, ValueError, "bandwidth must be finite and positive, got inf"),
        ({"strength": 2}, ValueError, r"strength must be finite and in \[0, 1\], got 2\.0"),
        ({"cutoff": 30}, ValueError, r"cutoff must be finite and in \[0, 1\], got 30\.0"),
        ({"patch_size": -1}, ValueError, "patch_size must be at least 1, got -1"),
        ({"kernel": "L2"}, ValueError, "kernel must .*, got 'L2'"),
        ({"sample_ndim": 1}, ValueError, "sample_ndim must be at least 2 with patch_size=1, got 1"),
        ({"stride": 2}, ValueError, r"stride must be in \[1, 1\] with patch_size=1, got 2"),
        ({"bandwidth": "mean"}, ValueError, "bandwidth must .*, got 'mean'"),
        ({"bandwidth": (0.3,)}, TypeError, "bandwidth must be .*, got tuple"),
        (
            {"bandwidth": np.asarray([0.3, -0.3])},
            ValueError,
            r"bandwidth must .*, got values from -0\.3 to 0\.3 in shape \(2,\)",
        ),
        ({"scale_with_dimension": "yes"}, TypeError, "scale_with_dimension must be .*, got str"),
    ]
]

OTHER_CASES: list[Case] = [
    (k.patchify, {"z": Z[0, 0], "patch_size": 1}, ValueError, "z must .*, got .*.3, 3."),
    (k.patchify, {"z": Z, "patch_size": 0}, ValueError, "patch_size must be at least 1, got 0"),
    (k.patchify, {"z": Z, "patch_size": (2, 2)}, TypeError, "patch_size must be .*, got tuple"),
    (k.patchify, {"z": None, "patch_size": 1}, TypeError, "z must be .*, got NoneType"),
    (k.patchify, {"z": Z, "patch_size": 2, "stride": 3}, ValueError, "stride must .*, got 3"),
    (k.patchify, {"z": Z, "patch_size": 2, "stride": "1"}, TypeError, "stride must be .*, got str"),
    (k.patchify, {"z": Z, "patch_size": 2, "sample_ndim": 1}, ValueError, "sample_ndim must be at least 2, got 1"),
    (k.patchify, {"z": Z, "patch_size": 2, "sample_ndim": 5}, ValueError, r"z must .*, got shape \(4, 2, 3, 3\)"),
    (
        k.patchify,
        {"z": Z[..., :0], "patch_size": 2, "sample_ndim": 2},
        ValueError,
        r"z must .*, got shape \(4, 2, 3, 0\)",
    ),
    (k.patchify, {"z": Z[:, :0], "patch_size": 2}, ValueError, r"z must .*, got shape \(4, 0, 3, 3\)"),
    (
        k.unpatchify,
        {"patches": np.zeros((2, 2), dtype=int), "patch_size": 2, "stride": 1, "shape": (1, 3)},
        TypeError,
        "patches must have a floating dtype where they overlap, got int64",
    ),
    *[
        (function, {"patches": P, "patch_size": 1, **arguments}, error, message)
        for function in (k.unpatchify, k.patchify_adjoint)
        for arguments, error, message in [
            ({"shape": (12,)}, ValueError, r"shape must .*, got \(12,\)"),
            ({"shape": (3, 0, 2)}, ValueError, "shape must be at least 1, got 0"),
            ({"shape": (3, 4), "stride": 2}, ValueError, r"stride must be in \[1, 1\] with patch_size=1, got 2"),
            ({"shape": (3, 2)}, ValueError, r"patches must have shape \(\.\.\., 2, 3\) for sampl.*, got \(4, 3\)"),
            ({"shape": (3, 2), "patches": P.tolist()}, TypeError, "patches must be .*, got list"),
        ]
    ],
    *[
        (rule, {"particles": particles}, error, message)
        for rule in (k.median_bandwidth, k.scott_bandwidth, k.silverman_bandwidth, k.likelihood_bandwidth)
        for particles, error, message in [
            ([[0.0]], TypeError, "particles must be .*, got list"),
            (P.astype(int), TypeError, "particles must .*, got .*int64"),
            (P[0], ValueError, r"particles must .*, got .*\(3,\)"),
            (P[:0], ValueError, r"particles must .*, got .*\(0, 3\)"),
            (NAN, ValueError, r"particles must hold finite .*, got NaN, infinity or more in shape \(4, 3\)"),
        ]
    ],
    (k.shadow_kernel, {"kernel": "Flat"}, ValueError, "kernel must be one of gaussian, laplacian, ep.*, got 'Flat'"),
    (k.shadow_kernel, {"kernel": 2}, TypeError, "kernel must be .*, got int"),
    (k.shadow_kernel, {"kernel": "l2"}, ValueError, "kernel must have a shadow, got 'l2' without"),
    (k.unpatchify, {"patches": P, "patch_size": 1, "shape": (3, 2, 2.0)}, TypeError, "shape must be .*, got float"),
    (k.unpatchify, {"patches": P, "patch_size": 1, "shape": 12}, ValueError, "shape must .*, got 12"),
    (
        k.unpatchify,
        {"patches": P, "patch_size": 2, "shape": (3, 2, 2)},
        ValueError,
        r"patches must have shape \(\.\.\., 1, 12\) for samp.*, got \(4, 3\)",
    ),
    (k.unpatchify, {"patches": P[0], "patch_size": 1, "shape": (3, 2, 2)}, ValueError, "patches must .*, got"),
    (k.select_particle, {"z": [1.0]}, TypeError, "z must be .*, got list"),
    (k.select_particle, {"z": Z[0]}, ValueError, "sample_ndim must be 1 or 2 for z of shape .2, 3, 3., got None"),
    (k.select_particle, {"z": NAN}, ValueError, r"z must hold finite numbers .* in shape \(4, 3\)"),
    (k.select_particle, {"z": P, "sample_ndim": 2}, ValueError, "z must .*, got"),
    (k.select_particle, {"z": P, "sample_ndim": 1.0}, TypeError, "sample_ndim must be .*, got float"),
    (k.steering_strength, {"t": -1, "num_train_timesteps": 1000}, ValueError, "t must be .*, got -1"),
    (k.steering_strength, {"t": 1001, "num_train_timesteps": 1000}, ValueError, r"t must .*, got 1001\.0"),
    (
        k.steering_strength,
        {"t": np.asarray([5, 1001]), "num_train_timesteps": 1000},
        ValueError,
        r"t must be in \[0, 1000\], got other values in shape \(2,\)",
    ),
    (
        k.steering_strength,
        {"t": np.asarray([np.nan, 1.0]), "num_train_timesteps": 1000},
        ValueError,
        r"t must be in \[0, 1000\], got other values in shape \(2,\)",
    ),
    (
        k.steering_strength,
        {"t": np.asarray([1j, 1j]), "num_train_timesteps": 1000},
        TypeError,
        "t must .*, got dtype complex128",
    ),
    (k.steering_strength, {"t": "300", "num_train_timesteps": 1000}, TypeError, "t must be .*, got str"),
    (k.steering_strength, {"t": [300], "num_train_timesteps": 1000}, TypeError, "t must be .*, got list"),
    (k.steering_strength, {"t": 3, "num_train_timesteps": 50.5}, TypeError, "num_train_timesteps must .*, got float"),
    (
        k.steering_strength,
        {"t": 3, "num_train_timesteps": 50, "cutoff": -0.1},
        ValueError,
        r"cutoff must .*, got -0\.1",
    ),
    (
        k.steering_strength,
        {"t": 3, "num_train_timesteps": 50, "strength": 3},
        ValueError,
        r"strength must .*, got 3\.0",
    ),
    (
        k.steering_strength,
        {"t": 3, "num_train_timesteps": 50, "strength": -0.1},
        ValueError,
        r"strength must .*, got -0\.1",
    ),
    (k.NoiseSchedule, {"alphas_cumprod": np.asarray([0.5, 0.9])}, ValueError, "alphas_cumprod must be"),
    (k.NoiseSchedule, {"alphas_cumprod": np.asarray([1.0, 0.9])}, ValueError, "alphas_cumprod must be"),
    (k.NoiseSchedule, {"alphas_cumprod": np.asarray([0.5, np.nan])}, ValueError, "alphas_cumprod must be"),
    (k.NoiseSchedule, {"alphas_cumprod": np.asarray([])}, ValueError, "alphas_cumprod must .*, got"),
    (k.NoiseSchedule, {"alphas_cumprod": np.ones((2, 2))}, ValueError, "alphas_cumprod must .*, got"),
    (k.NoiseSchedule, {"alphas_cumprod": ["a"]}, TypeError, r"alphas_cumprod must .*, got \['a'\]"),
    (SCHEDULE.alpha_bar, {"t": 1000}, ValueError, r"t must be in \[0, 999\], got 1000"),
    (SCHEDULE.alpha_bar, {"t": -1}, ValueError, "t must be .*, got -1"),
    (SCHEDULE.alpha_bar, {"t": 1.0}, TypeError, "t must be .*, got float"),
    (k.linear_schedule, {"num_train_timesteps": 0}, ValueError, "num_train_timesteps must be at least 1, got 0"),
    (k.linear_schedule, {"beta_end": 1.0}, ValueError, r"beta_end must be in \(0, 1\), got 1\.0"),
    (k.scaled_linear_schedule, {"beta_start": 0.0}, ValueError, r"beta_start must be in \(0, 1\), got 0\.0"),
    (k.linear_schedule, {"beta_start": None}, TypeError, "beta_start must be .*, got NoneType"),
    (k.cosine_schedule, {"max_beta": 1.0}, ValueError, r"max_beta must be in \(0, 1\), got 1\.0"),
    (k.cosine_schedule, {"max_beta": 0.0}, ValueError, r"max_beta must be in \(0, 1\), got 0\.0"),
    (k.cosine_schedule, {"num_train_timesteps": 0}, ValueError, "num_train_timesteps must be at least 1, got 0"),
    (k.time_grid, {"num_inference_steps": 0}, ValueError, r"num_inference_steps must be in \[1, 1000\], got 0"),
    (k.time_grid, {"num_inference_steps": 1001}, ValueError, r"num_inference_steps must be in \[1, 1000\], got 1001"),
    (k.time_grid, {"num_inference_steps": 1000, "spacing": "dpm"}, ValueError, "num_inference_steps must .*, got 1000"),
    (k.time_grid, {"num_inference_steps": 50.0}, TypeError, "num_inference_steps must be .*, got float"),
    (
        k.time_grid,
        {"num_inference_steps": 1, "num_train_timesteps": 0},
        ValueError,
        "num_train_timesteps must .*, got 0",
    ),
    (k.time_grid, {"num_inference_steps": 5, "steps_offset": 0.5}, TypeError, "steps_offset must be .*, got float"),
    (k.time_grid, {"num_inference_steps": 5, "spacing": "karras"}, ValueError, "spacing must .*, got 'karras'"),
    (k.time_grid, {"num_inference_steps": 5, "spacing": None}, ValueError, "spacing must .*, got None"),
    (
        k.time_grid,
        {"num_inference_steps": 1000, "steps_offset": 1},
        ValueError,
        "steps_offset must .*, got 1 and timestep 1000",
    ),
    (k.time_grid, {"num_inference_steps": 5, "steps_offset": -1}, ValueError, "steps_offset must .*, got -1"),
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
        with pytest.raises(ValueError, match="bandwidth must be positive, got 0 by the rule 'scott'"):
            function(P, P, bandwidth="scott")


def test_bandwidths_of_another_library_or_device_are_refused() -> None:
    torch = pytest.importorskip("torch")
    strict = pytest.importorskip("array_api_strict")
    with pytest.raises(TypeError, match="arrays must be of one library, got bandwidth: numpy, particles: torch"):
        k.steer(torch.from_numpy(Z), bandwidth=np.asarray(0.3))
    h = strict.asarray(0.3, device=strict.Device("device1"))
    with pytest.raises(ValueError, match=r"bandwidth must be on the device of the points, .*, got array.*'device1'\)"):
        k.steer(strict.asarray(Z), bandwidth=h)


def test_libraries_are_not_mixed() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match="arrays must be of one library, got query: numpy, particles: torch"):
        k.mean_shift(P, torch.zeros(4, 3, dtype=torch.float64), bandwidth=0.3)


def test_devices_are_not_mixed() -> None:
    strict = pytest.importorskip("array_api_strict")
    query = strict.asarray(P, device=strict.Device("device1"))
    message = r"particles must be on the device of query, .*device1.*, got array_api_strict\.Device\('CPU_DEVICE'\)"
    with pytest.raises(ValueError, match=message):
        k.mean_shift(query, strict.asarray(P), bandwidth=0.3)
