"""Other defaults of the process: no result depends on torch's default dtype or device."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import kds_ref as k

torch = pytest.importorskip("torch")
TorchDispatchMode = pytest.importorskip("torch.utils._python_dispatch").TorchDispatchMode

Z = torch.from_numpy(np.random.default_rng(0).normal(size=(5, 3, 4, 6)).astype(np.float32))
P, Q = Z.reshape(5, 72)[:, :2], Z.reshape(5, 72)[:3, 2:4]
EPS = torch.from_numpy(np.random.default_rng(1).normal(size=Z.shape).astype(np.float32))
SCHEDULE = k.scaled_linear_schedule()
LEVELS, BANDWIDTHS = torch.full((5, 1, 1, 1), 0.4), torch.full((24,), 0.4)


def half(x: Any, t: Any) -> Any:
    return 0.5 * x


def sampled(sampler: Callable[..., Any], prediction_type: str = "epsilon") -> Any:
    grid = k.time_grid(4, spacing="dpm")
    steering = k.KernelDensitySteering(bandwidth="median", patch_size=2, stride=1)
    options = {"schedule": SCHEDULE, "timesteps": grid, "prediction_type": prediction_type}
    return sampler(lambda x, t: 0.5 * x, Z, steering=steering, **options).x0


def by_ode() -> Any:
    ode = k.ProbabilityFlowODE(lambda x, t: 0.5 * x, Z, schedule=SCHEDULE, steering=k.KernelDensitySteering())
    y = ode.flatten(Z)
    return [ode.unflatten(ode(700.0, y)), ode.predict_x0(10.0, y)]


def all_steered() -> list[Any]:
    options: list[dict[str, Any]] = [{"kernel": name} for name in ("gaussian", "laplacian", "flat", "l2", "matern32")]
    options += [{"bandwidth": rule, "scale_with_dimension": True} for rule in ("median", "scott", "likelihood")]
    options += [{"patch_size": 4}, {"patch_size": 3, "stride": 2}, {"patch_size": None, "bandwidth": 3.0}]
    options += [{"bandwidth": 1e-9}, {"bandwidth": BANDWIDTHS}]
    results = [k.steer(Z, **one) for one in options]
    return [x for moved, info in results for x in (moved, info.effective_particles, info.shift_norm)]


PATCHES: dict[str, Any] = {"patch_size": 3, "stride": 2}
# what every name of `kds_ref.__all__` gives that takes or returns arrays
CALLS: dict[str, Callable[[], Any]] = {
    "add_noise": lambda: k.add_noise(Z, EPS, LEVELS),
    "blurring_mean_shift": lambda: list(k.blurring_mean_shift(P, bandwidth=0.5)),
    "classifier_free_guidance": lambda: k.classifier_free_guidance(Z, EPS, 3.0),
    "ddim": lambda: sampled(k.ddim),
    "density_guidance": lambda: k.density_guidance(half, quantile=0.9)(Z, 500),
    "dpm_solver_pp_2m": lambda: sampled(k.dpm_solver_pp_2m, "v_prediction"),
    "dpm_solver_pp_2s": lambda: sampled(k.dpm_solver_pp_2s, "sample"),
    "high_density_sampling": lambda: k.high_density_sampling(half)(Z, 100),
    "KernelDensitySteering": lambda: k.KernelDensitySteering(cutoff_nsr=0.5)(Z, 0, alpha_bar=0.5)[0],
    "likelihood_bandwidth": lambda: k.likelihood_bandwidth(P),
    "log_density": lambda: k.log_density(Q, P, bandwidth=0.5),
    "log_density_gradient": lambda: k.log_density_gradient(Q, P, bandwidth="scott"),
    "mean_shift": lambda: [k.mean_shift(Q, P, bandwidth=h) for h in (0.5, 1e-9, "median")],
    "mean_then_renoise": lambda: k.mean_then_renoise(
        k.ddim, half, Z, EPS[:1], schedule=SCHEDULE, timesteps=k.time_grid(5)
    ).x0,
    "median_bandwidth": lambda: k.median_bandwidth(P),
    "median_norm": lambda: k.median_norm(Z),
    "merge_modes": lambda: list(k.merge_modes(P, bandwidth=0.5)),
    "patchify": lambda: k.patchify(Z, **PATCHES),
    "patchify_adjoint": lambda: k.patchify_adjoint(k.patchify(Z, **PATCHES), shape=(3, 4, 6), **PATCHES),
    "predict_eps": lambda: k.predict_eps(Z, EPS, LEVELS),
    "predict_eps_from_v": lambda: k.predict_eps_from_v(Z, EPS, 0.4),
    "predict_score": lambda: k.predict_score(Z, EPS, 0.4),
    "predict_x0": lambda: k.predict_x0(Z, EPS, 0.4),
    "predict_x0_from_v": lambda: k.predict_x0_from_v(Z, EPS, 0.4),
    "ProbabilityFlowODE": by_ode,
    "scott_bandwidth": lambda: k.scott_bandwidth(P),
    "seek_modes": lambda: list(k.seek_modes(Q, P, bandwidth=0.5)),
    "select_particle": lambda: k.select_particle(Z),
    "silverman_bandwidth": lambda: k.silverman_bandwidth(P),
    "steer": all_steered,
    "SteeredDenoiser": lambda: k.SteeredDenoiser(half, cutoff_sigma=0.5)(Z, 1.0),
    "steering_strength": lambda: k.steering_strength(torch.full((2,), 300.0, dtype=torch.float32, device="cpu"), 1000),
    "unpatchify": lambda: k.unpatchify(k.patchify(Z, **PATCHES), shape=(3, 4, 6), **PATCHES),
    "vp_denoiser": lambda: k.vp_denoiser(half, schedule=SCHEDULE)(Z, SCHEDULE.noise_to_signal(500)),
    "velocity": lambda: k.velocity(Z, EPS, 0.4),
}
# NumPy alone, or no arrays at all
OTHERS = {
    "Kernel",
    "MergedModes",
    "ModeSeekingResult",
    "NoiseSchedule",
    "SamplerResult",
    "SamplerState",
    "SteeringInfo",
    "cosine_schedule",
    "linear_schedule",
    "scaled_linear_schedule",
    "shadow_kernel",
    "time_grid",
}


def as_list(results: Any) -> list[Any]:
    return results if isinstance(results, list) else [results]


def test_the_whole_public_api_is_listed() -> None:
    # a new function has to be added to CALLS, so that it is tried under odd defaults, too
    missing = set(k.__all__) - set(CALLS) - OTHERS
    assert not missing


@pytest.fixture(params=["bfloat16", "float64", "meta"])
def odd_default(request: pytest.FixtureRequest) -> Iterator[str]:
    """Half or double precision by default, or a device whose arrays mix with no others."""
    try:
        if request.param == "meta":
            torch.set_default_device("meta")
        else:
            torch.set_default_dtype(getattr(torch, request.param))
        yield request.param
    finally:
        torch.set_default_device(None)
        torch.set_default_dtype(torch.float32)


EXPECTED = {name: as_list(call()) for name, call in CALLS.items()}


@pytest.mark.parametrize("name", CALLS)
def test_no_result_depends_on_the_default(odd_default: str, name: str) -> None:
    for ours, expected in zip(as_list(CALLS[name]()), EXPECTED[name], strict=True):
        assert ours.dtype == expected.dtype
        assert ours.device == expected.device
        assert torch.equal(ours, expected)


class WithoutDouble(TorchDispatchMode):
    """A device that has no float64, as Apple's."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = function(*args, **(kwargs or {}))
        for one in out if isinstance(out, tuple | list) else [out]:
            if isinstance(one, torch.Tensor) and one.dtype == torch.float64:
                raise TypeError(f"{function} makes float64")
        return out


@pytest.mark.parametrize("name", CALLS)
def test_single_precision_needs_no_double(name: str) -> None:
    with WithoutDouble():
        CALLS[name]()


def test_the_device_without_double_refuses_it() -> None:
    with pytest.raises(TypeError, match="makes float64"), WithoutDouble():
        Z.double()
