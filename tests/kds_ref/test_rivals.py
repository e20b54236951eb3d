"""High-density sampling, density guidance and mean-then-renoise: by hand, by their laws, in every array library."""

import math
from typing import Any

import numpy as np
import pytest

import kds_ref as k

SCHEDULE = k.scaled_linear_schedule()
GRID = k.time_grid(20, spacing="trailing")


def gaussian(x_t: Any, t: int) -> Any:
    """The exact noise prediction of the standard normal distribution: eps = sqrt(1 - alpha_bar) x_t."""
    return (1.0 - SCHEDULE.alpha_bar(t)) ** 0.5 * x_t


def ddim(denoiser: Any, x_T: Any) -> Any:
    return k.ddim(denoiser, x_T, schedule=SCHEDULE, timesteps=GRID).x0


def test_the_score_is_doubled_below_the_cut_off_only(xp: Any) -> None:
    x = xp.array([[1.0, -2.0]])
    doubled = k.high_density_sampling(gaussian, cutoff=0.3)
    for t, factor in ((999, 1.0), (300, 1.0), (299, 2.0), (0, 2.0)):
        eps = doubled(x, t)
        xp.check_like(eps, x)
        np.testing.assert_allclose(xp.numpy(eps), factor * xp.numpy(gaussian(x, t)))


def test_high_density_sampling_ends_nearer_to_the_mode_of_a_gaussian() -> None:
    # In the scale sigma = sqrt((1 - ab)/ab): d log u / d sigma = 2 sigma / (1 + sigma^2), so u falls with 1 + sigma^2
    # where the plain sampler's falls with its root. From the cut-off on that is another factor sqrt(1 + sigma^2).
    grid = k.time_grid(1000)
    late = max(t for t in grid if t < 300)
    x = np.ones((1, 1))
    ends = [
        k.ddim(d, x, schedule=SCHEDULE, timesteps=grid).x0.item()
        for d in (gaussian, k.high_density_sampling(gaussian, cutoff=0.3))
    ]
    assert ends[1] / ends[0] == pytest.approx(SCHEDULE.alpha_bar(late) ** 0.5, rel=2e-3)


def test_without_a_cut_off_or_with_the_factor_1_nothing_changes() -> None:
    x = np.random.default_rng(0).standard_normal((4, 3))
    for options in ({"cutoff": 0.0}, {"cutoff": 1.0, "factor": 1.0}):
        assert np.array_equal(ddim(k.high_density_sampling(gaussian, **options), x), ddim(gaussian, x))


@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.9])
def test_density_guidance_is_its_formula(xp: Any, quantile: float) -> None:
    stats = pytest.importorskip("scipy.stats")
    values = np.random.default_rng(1).standard_normal((2, 5, 3, 4, 4))
    x = xp.array(values)
    eps = k.density_guidance(lambda x_t, t: x_t, quantile=quantile)(x, 10)
    xp.check_like(eps, x)
    for sample, found in zip(values.reshape(10, -1), xp.numpy(eps).reshape(10, -1), strict=True):
        factor = 1.0 + math.sqrt(2.0 * 48) * stats.norm.ppf(quantile) / sum(v * v for v in sample)
        np.testing.assert_allclose(found, factor * sample, rtol=1e-12)


def test_a_higher_quantile_leads_to_a_higher_density() -> None:
    stats = pytest.importorskip("scipy.stats")
    x = k.median_norm(np.random.default_rng(2).standard_normal((200, 64)))
    log_density = [
        stats.norm.logpdf(ddim(k.density_guidance(gaussian, quantile=q), x)).sum(-1).mean() for q in (0.1, 0.5, 0.9)
    ]
    assert log_density[0] < log_density[1] - 5 < log_density[2] - 10


def test_density_guidance_leaves_a_prediction_of_zero_alone() -> None:
    eps = k.density_guidance(lambda x_t, t: 0.0 * x_t, quantile=0.9)(np.ones((2, 3)), 1)
    assert np.array_equal(eps, np.zeros((2, 3)))


@pytest.mark.parametrize(("size", "tolerance"), [(1, 0.04), (2, 0.02), (10, 1e-3), (768, 1e-6)])
def test_the_median_norm_is_that_of_the_chi_distribution(xp: Any, size: int, tolerance: float) -> None:
    stats = pytest.importorskip("scipy.stats")
    values = np.random.default_rng(3).standard_normal((4, size))
    scaled = k.median_norm(xp.array(values))
    xp.check_like(scaled, xp.array(values))
    squared = (xp.numpy(scaled) ** 2).sum(-1)
    np.testing.assert_allclose(squared, stats.chi2.median(size), rtol=tolerance)
    directions = values / np.linalg.norm(values, axis=-1, keepdims=True)
    np.testing.assert_allclose(xp.numpy(scaled) / np.sqrt(squared)[:, None], directions)


def renoise(x_T: Any, noise: Any, sampler: Any = k.ddim, **options: Any) -> Any:
    return k.mean_then_renoise(sampler, gaussian, x_T, noise, schedule=SCHEDULE, **{"timesteps": GRID, **options})


@pytest.mark.parametrize("sampler", [k.ddim, k.dpm_solver_pp_2s, k.dpm_solver_pp_2m])
def test_the_one_particle_starts_from_the_noised_mean(xp: Any, sampler: Any) -> None:
    rng = np.random.default_rng(4)
    x_T, noise = xp.array(rng.standard_normal((2, 6, 3, 2, 2))), xp.array(rng.standard_normal((2, 1, 3, 2, 2)))
    result = renoise(x_T, noise, sampler)
    assert result.num_model_evaluations == 20
    xp.check_like(result.x0, x_T, shape=(2, 1, 3, 2, 2))

    early, late = [t for t in GRID if t >= 300], [t for t in GRID if t < 300]
    ensemble = xp.numpy(sampler(gaussian, x_T, schedule=SCHEDULE, timesteps=early).x0)
    level = SCHEDULE.alpha_bar(late[0])
    start = level**0.5 * ensemble.mean(1, keepdims=True) + (1 - level) ** 0.5 * xp.numpy(noise)
    expected = sampler(gaussian, xp.array(start), schedule=SCHEDULE, timesteps=late).x0
    np.testing.assert_allclose(xp.numpy(result.x0), xp.numpy(expected), rtol=1e-12)


def test_only_the_ensemble_is_steered() -> None:
    rng = np.random.default_rng(5)
    x_T, noise = rng.standard_normal((10, 2)), rng.standard_normal((1, 2))
    seen: list[tuple[int, int]] = []

    def steering(x0: np.ndarray, t: int) -> tuple[np.ndarray, None]:
        seen.append((t, len(x0)))
        return x0 + 1.0, None

    steered = renoise(x_T, noise, steering=steering).x0
    assert seen == [(t, 10) for t in GRID if t >= 300]
    assert not np.allclose(steered, renoise(x_T, noise).x0)


def wrong(function: Any, *arguments: Any, **options: Any) -> Any:
    return lambda: function(*arguments, **options)


X, ONE = np.ones((4, 3)), np.ones((1, 3))


def test_renoising_needs_a_schedule() -> None:
    with pytest.raises(TypeError, match=r"schedule must be a NoiseSchedule, e\.g\. linear_schedule\(\), got float"):
        k.mean_then_renoise(k.ddim, gaussian, X, ONE, schedule=0.5, timesteps=GRID)


def test_the_papers_cutoff_and_any_factor_from_zero_on() -> None:
    plain, half = np.ones(2), k.high_density_sampling(lambda x, t: x, factor=0.5)
    assert [half(plain, t)[0] for t in (999, 300, 299, 0)] == [1.0, 1.0, 0.5, 0.5]
    assert k.high_density_sampling(lambda x, t: x, factor=0.0)(plain, 0)[0] == 0.0


def test_guidance_passes_the_timestep_on_and_follows_its_formula_for_small_predictions() -> None:
    seen: list[int] = []

    def quarter(x_t: np.ndarray, t: int) -> np.ndarray:
        seen.append(t)
        return np.full_like(x_t, 0.25)  # a squared norm of 4 / 16

    eps = k.density_guidance(quarter, quantile=0.9)(np.zeros((3, 4)), 421)
    assert seen == [421]
    np.testing.assert_allclose(eps, 0.25 * (1.0 + np.sqrt(8.0) * 1.2815515655446004 / 0.25))


def test_samples_of_signals_need_sample_ndim_and_take_it() -> None:
    """Three axes may be (N, C, length) or ensembles of vectors."""
    x = np.random.default_rng(6).standard_normal((2, 3, 5))
    guided = k.density_guidance(lambda x_t, t: x_t, quantile=0.7, sample_ndim=2)(x, 500)
    ratio = guided / x
    assert np.ptp(ratio.reshape(2, -1), axis=1).max() < 1e-12
    norms = np.linalg.norm(k.median_norm(x, sample_ndim=2).reshape(2, -1), axis=1)
    assert norms[0] == pytest.approx(norms[1])
    result = renoise(x, x[:1], sample_ndim=2)
    assert result.x0.shape == (1, 3, 5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: k.density_guidance(gaussian, quantile=0.9)(np.ones((2, 2, 2)), 3), "sample_ndim must be .* eps of"),
        (lambda: k.median_norm(np.ones((2, 2, 2))), "sample_ndim must be .* x_T of"),
        (lambda: renoise(np.ones((2, 2, 2)), np.ones((1, 2, 2))), "sample_ndim must be .* x_T of"),
        (lambda: renoise(X, ONE, timesteps=(1000, 0)), r"timesteps must be in \[0, 999\], got 1000$"),
        (lambda: renoise(X, ONE, timesteps=(500, -1)), r"timesteps must be in \[0, 999\], got -1$"),
        (
            lambda: renoise(X, ONE, timesteps=(700, 650, 600)),
            "cutoff must leave timesteps on both sides, got 0.3 for 700 to 600$",
        ),
    ],
)
def test_the_message_names_what_is_wrong(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        call()


def test_the_last_timestep_may_be_zero() -> None:
    assert renoise(X, ONE, timesteps=(500, 0)).num_model_evaluations == 2


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (wrong(k.high_density_sampling, 3), TypeError, "denoiser "),
        (wrong(k.high_density_sampling, gaussian, cutoff=1.5), ValueError, "cutoff "),
        (wrong(k.high_density_sampling, gaussian, factor=-1.0), ValueError, "factor "),
        (wrong(k.high_density_sampling, gaussian, num_train_timesteps=0), ValueError, "num_train_timesteps "),
        (wrong(k.density_guidance, None, quantile=0.5), TypeError, "denoiser "),
        (wrong(k.density_guidance, gaussian, quantile=0.0), ValueError, r"quantile must be in \(0, 1\), got 0.0"),
        (wrong(k.density_guidance, gaussian, quantile=1.0), ValueError, "quantile must be"),
        (wrong(k.density_guidance, gaussian, quantile="high"), TypeError, "quantile "),
        (wrong(k.density_guidance(gaussian, quantile=0.9), np.ones((2, 2, 2)), 3), ValueError, "sample_ndim must be"),
        (wrong(k.median_norm, np.zeros((2, 3))), ValueError, "x_T must hold no sample of zeros only"),
        (wrong(k.median_norm, 1.0), TypeError, "x_T "),
        (wrong(renoise, X, np.ones((2, 3))), ValueError, "noise must have the shape of one particle of x_T"),
        (wrong(renoise, X, ONE, cutoff=0.0), ValueError, "cutoff must leave timesteps on both sides, got 0.0 for 999"),
        (wrong(renoise, X, ONE, cutoff=1.0), ValueError, "cutoff must leave timesteps"),
        (wrong(renoise, X, ONE, timesteps=()), ValueError, "timesteps "),
        (wrong(renoise, X, ONE, sampler=None), TypeError, "sampler "),
        (wrong(renoise, X, np.full((1, 3), np.nan)), ValueError, "noise "),
    ],
)
def test_a_wrong_argument_is_named(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}"):
        call()
