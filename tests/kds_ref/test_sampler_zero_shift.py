"""Without a shift a sampler is the plain one, bit for bit; particles and images stay apart."""

from collections.abc import Callable
from typing import Any

import array_api_compat
import numpy as np
import pytest

from kds_ref import (
    KernelDensitySteering,
    SamplerState,
    ddim,
    dpm_solver_pp_2m,
    dpm_solver_pp_2s,
    scaled_linear_schedule,
    time_grid,
)

SCHEDULE = scaled_linear_schedule()
SAMPLERS = [ddim, dpm_solver_pp_2m, dpm_solver_pp_2s]
PREDICTIONS = ["epsilon", "v_prediction", "sample"]
X_T = np.random.default_rng(5).normal(size=(6, 2, 3, 3))


def model(x: Any, t: int) -> Any:
    """Some smooth nonlinear network, on any array library."""
    xp = array_api_compat.array_namespace(x)
    return 0.5 * xp.tanh(1.3 * x + t / 1000.0) + 0.3 * x


def run(sampler: Callable[..., Any], x: Any, steps: int, **options: Any) -> tuple[Any, list[SamplerState]]:
    states: list[SamplerState] = []
    grid = time_grid(steps, spacing="leading" if sampler is ddim else "dpm")
    return sampler(model, x, schedule=SCHEDULE, timesteps=grid, callback=states.append, **options), states


def zero_shift_cases() -> list[tuple[str, np.ndarray, Any]]:
    equal = np.repeat(X_T[:1], 6, axis=0)
    return [
        ("strength 0", X_T, KernelDensitySteering(strength=0.0)),
        ("never steered", X_T, KernelDensitySteering(cutoff=1.0)),
        ("tiny bandwidth", X_T, KernelDensitySteering(bandwidth=1e-6, cutoff=0.0, strength=1.0)),
        (
            "tiny bandwidth, whole sample",
            X_T,
            KernelDensitySteering(bandwidth=1e-6, cutoff=0.0, patch_size=None),
        ),
        ("one particle", X_T[:1], KernelDensitySteering(cutoff=0.0, strength=1.0)),
        ("equal particles", equal, KernelDensitySteering(cutoff=0.0, strength=1.0)),
        ("a copy", X_T, lambda x0_pred, t: (x0_pred + 0.0, None)),
    ]


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("prediction_type", PREDICTIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("x", "steering"), [pytest.param(x, s, id=name) for name, x, s in zero_shift_cases()])
def test_a_zero_shift_gives_the_plain_sampler_bit_for_bit(
    sampler: Callable[..., Any], prediction_type: str, dtype: str, x: np.ndarray, steering: Any
) -> None:
    x = x.astype(dtype)
    plain, plain_states = run(sampler, x, 7, prediction_type=prediction_type)
    steered, states = run(sampler, x, 7, prediction_type=prediction_type, steering=steering)
    assert steered.x0.tobytes() == plain.x0.tobytes()
    for ours, theirs in zip(states, plain_states, strict=True):
        assert ours.x_next.tobytes() == theirs.x_next.tobytes()
        assert ours.x0_steered.tobytes() == theirs.x0_pred.tobytes()


def test_a_zero_shift_gives_the_plain_sampler_bit_for_bit_in_torch() -> None:
    torch = pytest.importorskip("torch")
    x = torch.from_numpy(X_T).to(torch.float32)
    for sampler in SAMPLERS:
        plain, _ = run(sampler, x, 7)
        for steering in (
            KernelDensitySteering(strength=0.0),
            KernelDensitySteering(bandwidth=1e-6, cutoff=0.0),
        ):
            assert torch.equal(run(sampler, x, 7, steering=steering)[0].x0, plain.x0)


@pytest.mark.parametrize("eta", [0.5, 1.0])
def test_a_zero_shift_is_plain_with_noise_too(eta: float) -> None:
    def noise(x: np.ndarray, step: int) -> np.ndarray:
        return np.random.default_rng(step).normal(size=x.shape)

    plain, _ = run(ddim, X_T, 7, eta=eta, noise=noise)
    steered, _ = run(ddim, X_T, 7, eta=eta, noise=noise, steering=KernelDensitySteering(bandwidth=1e-6, cutoff=0.0))
    assert steered.x0.tobytes() == plain.x0.tobytes()


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_steering_does_change_the_result(sampler: Callable[..., Any]) -> None:
    plain, _ = run(sampler, X_T, 7)
    steered, _ = run(sampler, X_T, 7, steering=KernelDensitySteering(bandwidth=1.0))
    assert np.abs(steered.x0 - plain.x0).max() > 1e-3


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_plain_particles_do_not_depend_on_how_many_there_are(sampler: Callable[..., Any]) -> None:
    ten = np.random.default_rng(0).normal(size=(10, 2, 3, 3))
    np.testing.assert_array_equal(run(sampler, ten[:5], 7)[0].x0, run(sampler, ten, 7)[0].x0[:5])


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_batch_of_images_is_a_loop(sampler: Callable[..., Any]) -> None:
    x = np.random.default_rng(1).normal(size=(3, 5, 2, 3, 3))
    steering = KernelDensitySteering(bandwidth=1.0)
    batch = run(sampler, x, 7, steering=steering)[0].x0
    for i in range(3):
        one = run(sampler, x[i], 7, steering=steering)[0].x0
        np.testing.assert_allclose(batch[i], one, rtol=1e-11, atol=1e-12)
