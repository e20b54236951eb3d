"""The known wrong implementations of KDS: each is written out here, and is not ours.

Every test holds two things: ours equals an independent right formula, and the wrong one differs from it.
"""

import math
from typing import Any

import numpy as np
import pytest

from kds_ref import (
    KernelDensitySteering,
    NoiseSchedule,
    SamplerState,
    ddim,
    dpm_solver_pp_2s,
    mean_shift,
    patchify,
    scaled_linear_schedule,
    select_particle,
    steer,
    steering_strength,
    time_grid,
    unpatchify,
)

R = np.random.default_rng(17)
POINTS = 0.4 * R.normal(size=(6, 2))
Z = 0.4 * R.normal(size=(4, 3, 4, 4))
SCHEDULE = scaled_linear_schedule()


def pairwise(p: np.ndarray) -> np.ndarray:
    return ((p[:, None] - p[None]) ** 2).sum(axis=-1)


def shift_with(weights: np.ndarray, p: np.ndarray) -> np.ndarray:
    return weights @ p / weights.sum(axis=1, keepdims=True) - p


def assert_ours_is_right(ours: np.ndarray, right: np.ndarray, wrong: np.ndarray, apart: float) -> None:
    np.testing.assert_allclose(ours, right, rtol=1e-10, atol=1e-13)
    assert np.abs(np.asarray(right) - np.asarray(wrong)).max() > apart


def test_1_kernel_exponent_divides_by_h_squared_not_h_to_the_fourth(oracle: Any) -> None:
    h = 0.3
    wrong = shift_with(np.exp(-pairwise(POINTS) / (2 * h**4)), POINTS)
    ours = mean_shift(POINTS, POINTS, bandwidth=h)
    assert_ours_is_right(ours, oracle.mean_shift(POINTS, POINTS, h), wrong, apart=0.01)
    at_one = shift_with(np.exp(-pairwise(POINTS) / 2.0), POINTS)  # h = 1 hides the mistake
    np.testing.assert_allclose(mean_shift(POINTS, POINTS, bandwidth=1.0), at_one, rtol=1e-10)


def test_1_kernel_exponent_has_the_factor_one_half(oracle: Any) -> None:
    # the reading of "Gaussian kernel" chosen here: h is the standard deviation
    wrong = shift_with(np.exp(-pairwise(POINTS) / 0.3**2), POINTS)
    ours = mean_shift(POINTS, POINTS, bandwidth=0.3)
    assert_ours_is_right(ours, oracle.mean_shift(POINTS, POINTS, 0.3), wrong, apart=0.01)


def test_2_steers_by_the_shift_not_by_the_score(oracle: Any) -> None:
    h, strength = 0.3, 0.3
    m = oracle.mean_shift(POINTS, POINTS, h)
    ours, info = steer(POINTS, bandwidth=h, strength=strength, patch_size=None)
    assert_ours_is_right(ours, POINTS + strength * m, POINTS + strength * m / h**2, apart=0.1)
    too_strong = strength * np.abs(m / h**2) / np.abs(ours - POINTS)
    np.testing.assert_allclose(too_strong, 1.0 / 0.09, rtol=1e-6)  # 11 times
    np.testing.assert_allclose(info.shift_norm[:, 0], np.linalg.norm(m, axis=1), rtol=1e-9)


def test_3_selects_by_the_ensemble_mean_not_by_each_particles_own_pixel_mean() -> None:
    # the flat particle is nearest to its own pixel mean, and far from the others
    flat = np.full((1, 1, 2, 2), 9.0)
    textured = np.asarray([[[[1.0, -1.0], [-1.0, 1.0]]]])
    z = np.concatenate([flat, textured, 1.1 * textured, 0.9 * textured])
    own_mean = z.mean(axis=(1, 2, 3), keepdims=True)
    wrong = int(np.argmin(((z - own_mean) ** 2).sum(axis=(1, 2, 3))))
    right = int(np.argmin([np.linalg.norm(z[i] - z.mean(axis=0)) for i in range(4)]))
    assert wrong == 0 != right
    assert int(select_particle(z)) == right


def test_4_images_of_a_batch_never_mix(oracle: Any) -> None:
    z = np.stack([Z, Z + 0.3])  # two images x four particles
    ours, _ = steer(z, bandwidth=0.5, strength=1.0)
    right = np.stack([oracle.steer(image, 0.5, 1.0) for image in z])
    wrong = oracle.steer(z.reshape(8, 3, 4, 4), 0.5, 1.0).reshape(z.shape)
    assert_ours_is_right(ours, right, wrong, apart=0.05)


def test_5_patches_do_not_overlap_and_are_put_back_once() -> None:
    z = Z[0]
    folded, count = np.zeros_like(z), np.zeros_like(z)
    for top in range(3):  # patches of 2 x 2 at stride 1, added up without dividing by the overlap
        for left in range(3):
            folded[:, top : top + 2, left : left + 2] += z[:, top : top + 2, left : left + 2]
            count[:, top : top + 2, left : left + 2] += 1
    ours = unpatchify(patchify(z, patch_size=2), patch_size=2, shape=(3, 4, 4))
    assert_ours_is_right(ours, z, folded, apart=0.5)
    assert count.max() == 4.0
    still, _ = steer(Z, strength=0.0, patch_size=2)
    np.testing.assert_array_equal(still, Z)


def test_6_steers_early_not_late() -> None:
    t = np.arange(1000)
    right = np.where(t / 1000 >= 0.3, 0.3, 0.0)
    wrong = np.where(t / 1000 < 0.3, 0.3, 0.0)
    assert_ours_is_right(steering_strength(t, 1000), right, wrong, apart=0.2)
    assert [steering_strength(int(i), 1000) for i in t] == right.tolist()
    steered_at: list[int] = []
    run_ddim(callback=lambda state: steered_at.append(state.t) if state.info is not None else None)
    assert steered_at == [t for t in time_grid(50) if t >= 300]
    assert steered_at[0] == 980  # the noisiest step is steered


def test_7_the_cutoff_itself_is_steered() -> None:
    # t = 300 is a point of the usual grids of 10, 50 and 100 steps
    assert 300 in time_grid(50)
    wrong = 0.3 if 300 / 1000 > 0.3 else 0.0
    assert wrong == 0.0
    assert steering_strength(300, 1000) == 0.3
    assert KernelDensitySteering(bandwidth=1.0)(Z, 300)[1] is not None
    assert KernelDensitySteering(bandwidth=1.0)(Z, 299)[1] is None


def test_8_the_ensemble_is_the_particles_not_noise_around_one_latent(oracle: Any) -> None:
    cloud = POINTS[:1] + 0.3 * R.normal(size=(6, 2))  # the wrong "ensemble" of particle 0
    wrong = oracle.mean_shift(POINTS[:1], cloud, 0.5)
    right = oracle.mean_shift(POINTS[:1], POINTS, 0.5)
    ours = steer(POINTS, bandwidth=0.5, strength=1.0, patch_size=None)[0][:1] - POINTS[:1]
    assert_ours_is_right(ours, right, wrong, apart=0.01)
    # one particle has nothing to steer to, and other particles do matter
    np.testing.assert_array_equal(steer(POINTS[:1], strength=1.0, patch_size=None)[0], POINTS[:1])
    moved = POINTS.copy()
    moved[1] += 0.2
    other = steer(moved, bandwidth=0.5, strength=1.0, patch_size=None)[0][:1] - POINTS[:1]
    assert np.abs(other - ours).max() > 0.01
    # and the result holds no randomness
    np.testing.assert_array_equal(steer(Z)[0], steer(Z)[0])


def model(x: np.ndarray, t: int) -> np.ndarray:
    return 0.5 * np.tanh(1.3 * x + t / 1000.0) + 0.3 * x


def run_ddim(**options: Any) -> np.ndarray:
    defaults = {
        "schedule": SCHEDULE,
        "timesteps": time_grid(50),
        "steering": KernelDensitySteering(bandwidth=0.6),
    }
    return ddim(model, Z, **{**defaults, **options}).x0


@pytest.mark.parametrize("sampler", [ddim, dpm_solver_pp_2s])
def test_9_the_last_step_goes_to_clean_data_not_to_alpha_bar_0(sampler: Any) -> None:
    states: list[SamplerState] = []
    x0 = sampler(model, Z, schedule=SCHEDULE, timesteps=(700, 400, 0), callback=states.append).x0
    last, level = states[-1], SCHEDULE.alpha_bar(0)
    right = last.x0_pred  # alpha_bar = 1: no noise is left
    eps = (last.x_t - math.sqrt(last.alpha_bar) * last.x0_pred) / math.sqrt(1 - last.alpha_bar)
    wrong = math.sqrt(level) * last.x0_pred + math.sqrt(1 - level) * eps
    assert_ours_is_right(x0, right, wrong, apart=0.005)


def test_9_coarse_schedules_make_the_last_step_visible() -> None:
    coarse = NoiseSchedule(np.asarray([0.5, 0.2]))
    states: list[SamplerState] = []
    x0 = ddim(model, Z, schedule=coarse, timesteps=(1, 0), callback=states.append).x0
    last = states[-1]
    wrong = math.sqrt(0.5) * last.x0_pred + math.sqrt(0.5) * model(last.x_t, 0)
    assert_ours_is_right(x0, (last.x_t - math.sqrt(0.5) * model(last.x_t, 0)) / math.sqrt(0.5), wrong, apart=0.1)


def noise(x: np.ndarray, step: int) -> np.ndarray:
    return np.random.default_rng(step).normal(size=x.shape)


def test_10_baseline_and_steered_run_share_eta() -> None:
    # the only difference between baseline and KDS is the steering: the same eta, the same noise
    plain, no_shift = run_ddim(steering=None), run_ddim(steering=KernelDensitySteering(strength=0.0))
    wrong = run_ddim(steering=None, eta=1.0, noise=noise)
    np.testing.assert_array_equal(no_shift, plain)
    np.testing.assert_array_equal(run_ddim(steering=None, eta=0.0, noise=noise), plain)
    assert np.abs(wrong - plain).max() > 0.1
    both = [run_ddim(steering=s, eta=1.0, noise=noise) for s in (None, KernelDensitySteering(strength=0.0))]
    np.testing.assert_array_equal(both[0], both[1])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_11_no_nan_from_empty_weights_in_high_dimension(dtype: str) -> None:
    far = (100.0 * R.normal(size=(1, 16384))).astype(dtype)
    p = R.normal(size=(4, 16384)).astype(dtype)
    weights = np.exp(-((far[:, None] - p[None]) ** 2).sum(axis=-1) / (2 * 0.3**2))
    with np.errstate(invalid="ignore"):
        wrong = weights @ p / weights.sum(axis=1, keepdims=True)  # 0/0
    assert np.all(np.isnan(wrong))
    right = p[np.argmin(((far[0] - p) ** 2).sum(axis=-1))] - far[0]  # all the weight lies on the nearest
    ours = mean_shift(far, p, bandwidth=0.3)
    np.testing.assert_allclose(ours[0], right, rtol=1e-6, atol=1e-4)
    steered, _ = steer(p, bandwidth=1e-6, strength=1.0, patch_size=None)
    np.testing.assert_array_equal(steered, p)
