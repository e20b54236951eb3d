"""Half precision: results equal those computed in float32 from the same numbers, rounded once at the end."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kds_ref import (
    KernelDensitySteering,
    SamplerState,
    add_noise,
    classifier_free_guidance,
    ddim,
    dpm_solver_pp_2m,
    dpm_solver_pp_2s,
    linear_schedule,
    log_density,
    log_density_gradient,
    mean_shift,
    predict_eps,
    predict_eps_from_v,
    predict_score,
    predict_x0,
    predict_x0_from_v,
    select_particle,
    steer,
    time_grid,
    velocity,
)

A, B = np.random.default_rng(1).normal(size=(2, 5, 4, 3, 3))
POINTS_A, POINTS_B = A.reshape(5, 36)[:, :3], B.reshape(5, 36)[:, :3]


def two(function: Callable[..., Any], *options: Any) -> Callable[..., list[Any]]:
    return lambda a, b: [function(a, b, *options)]


FUNCTIONS: dict[str, Callable[..., list[Any]]] = {
    "add_noise": two(add_noise, 0.3),
    "predict_x0": two(predict_x0, 0.3),
    "predict_eps": two(predict_eps, 0.3),
    "predict_score": two(predict_score, 0.3),
    "velocity": two(velocity, 0.3),
    "predict_x0_from_v": two(predict_x0_from_v, 0.3),
    "predict_eps_from_v": two(predict_eps_from_v, 0.3),
    "classifier_free_guidance": two(classifier_free_guidance, 2.5),
    "steer": lambda a, b: [(r := steer(a, bandwidth=0.9))[0], r[1].effective_particles, r[1].shift_norm],
    "steer, by a rule": lambda a, b: [(r := steer(a, bandwidth="median"))[0], r[1].bandwidth],
    "steer, whole sample": lambda a, b: [steer(a, bandwidth=9.0, patch_size=None)[0]],
    "mean_shift": lambda a, b: [mean_shift(a[0, 0], b[0, 0], bandwidth=0.9)],
    "log_density": lambda a, b: [log_density(a[0, 0], b[0, 0], bandwidth=0.9)],
    "log_density_gradient": lambda a, b: [log_density_gradient(a[0, 0], b[0, 0], bandwidth=0.9)],
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_in_torch_is_float32_rounded(name: str, dtype: str) -> None:
    torch = pytest.importorskip("torch")
    half = getattr(torch, dtype)
    a, b = torch.from_numpy(A).to(half), torch.from_numpy(B).to(half)
    for ours, wide in zip(FUNCTIONS[name](a, b), FUNCTIONS[name](a.float(), b.float()), strict=True):
        assert ours.dtype == half
        assert wide.dtype == torch.float32
        assert torch.equal(ours, wide.to(half))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_half_in_numpy_is_float32_rounded(name: str) -> None:
    a, b = A.astype(np.float16), B.astype(np.float16)
    wide_results = FUNCTIONS[name](a.astype(np.float32), b.astype(np.float32))
    for ours, wide in zip(FUNCTIONS[name](a, b), wide_results, strict=True):
        assert ours.dtype == np.float16
        assert wide.dtype == np.float32
        np.testing.assert_array_equal(ours, wide.astype(np.float16))


def test_the_rounding_is_seen() -> None:
    # computed in float16 all the way, steering gives something else: the tests above can fail
    z = A.astype(np.float16)
    flat = z.reshape(5, 4, 9).transpose(2, 0, 1)  # (L, N, D)
    d = flat[:, None] - flat[:, :, None]
    weights = np.exp(-(d * d).sum(-1) / np.float16(2 * 0.81))
    shift = (weights[..., None] * d).sum(2) / weights.sum(2, keepdims=True)
    rough = (flat + np.float16(0.3) * shift).transpose(1, 2, 0).reshape(z.shape)
    assert rough.dtype == np.float16
    steered, _ = steer(z, bandwidth=0.9)
    np.testing.assert_allclose(rough, steered, atol=0.01)
    assert not np.array_equal(rough, steered)


def test_selection_in_half_is_that_in_float32() -> None:
    for seed in range(20):
        z = np.random.default_rng(seed).normal(size=(8, 4, 16, 16)).astype(np.float16)
        assert int(select_particle(z)) == int(select_particle(z.astype(np.float32)))


def test_sums_that_overflow_half_do_not() -> None:
    z = np.full((2, 1, 64, 64), 30.0, dtype=np.float16)
    z[1] = -30.0  # squared distance 1.5e7, above float16's 65504
    steered, info = steer(z, bandwidth=1e6, strength=1.0, patch_size=None)
    np.testing.assert_allclose(steered.astype(np.float64), 0.0, atol=0.01)
    assert np.all(np.isfinite(info.shift_norm))


@pytest.mark.parametrize("sampler", [ddim, dpm_solver_pp_2m, dpm_solver_pp_2s])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_samplers_carry_half_in_float32_and_round_for_the_model(sampler: Callable[..., Any], dtype: str) -> None:
    torch = pytest.importorskip("torch")
    half = getattr(torch, dtype)
    options = {
        "schedule": linear_schedule(),
        "timesteps": time_grid(9, spacing="dpm"),
        "steering": KernelDensitySteering(bandwidth=0.9),
    }

    def model(x: Any, t: int) -> Any:
        assert x.dtype == half
        return torch.tanh(x)

    def model_at_the_border(x: Any, t: int) -> Any:
        return model(x.to(half), t).float()

    x = torch.from_numpy(A).to(half)
    states: list[SamplerState] = []
    ours = sampler(model, x, callback=states.append, **options).x0
    wide = sampler(model_at_the_border, x.float(), **options).x0
    assert wide.dtype == torch.float32
    assert torch.equal(ours, wide.to(half))
    assert all(v.dtype == half for s in states for v in (s.x_t, s.x0_pred, s.x0_steered, s.x_next))
