"""DDIM and DDIM + KDS on the exact score: closed forms, statistics of the target, seeds, measured effect."""

import dataclasses
import json
import math

import numpy as np
import pytest
from scipy.stats import multivariate_normal

import kds_ref
from toy.experiment import Run, cutoffs, initial_noise, run_experiment, run_method
from toy.mixture import GaussianMixture, three_modes
from toy.settings import SCHEDULES, Settings


def final(run: Run) -> np.ndarray:
    return run.snapshots[-1].x


def ddim_of_a_gaussian(
    mean: np.ndarray, covariance: np.ndarray, x_T: np.ndarray, alpha_bars: list[float]
) -> np.ndarray:
    """DDIM is linear here: along each axis of the covariance x0 and eps are multiples of the offset."""
    variances, axes = np.linalg.eigh(covariance)
    offset = (x_T - math.sqrt(alpha_bars[0]) * mean) @ axes
    for here, there in zip(alpha_bars, [*alpha_bars[1:], 1.0], strict=True):
        noised = here * variances + 1 - here
        signal = math.sqrt(there * here) * variances / noised
        noise = math.sqrt((1 - there) * (1 - here)) / noised
        offset = offset * (signal + noise)
    return mean + offset @ axes.T


@pytest.mark.parametrize("schedule", ["cosine", "linear", "scaled_linear"])
@pytest.mark.parametrize("steps", [1, 2, 7, 30, 50])
@pytest.mark.parametrize("dimension", [1, 2, 5])
def test_ddim_of_one_gaussian_has_its_closed_form(dimension: int, steps: int, schedule: str) -> None:
    rng = np.random.default_rng(dimension)
    factor = rng.normal(size=(dimension, dimension))
    covariance, mean = factor @ factor.T + 0.1 * np.eye(dimension), rng.normal(size=dimension)
    settings = Settings(n_seeds=2, n_particles=4, num_inference_steps=steps, schedule=schedule)
    run = run_method(GaussianMixture([1.0], [mean], [covariance]), settings, cutoff=None)
    noise_levels = SCHEDULES[schedule](1000)
    # "trailing": 1000, 1000 - 1000/S, ... rounded, less one
    timesteps = [round(1000 - 1000 * index / steps) - 1 for index in range(steps)]
    alpha_bars = [noise_levels.alpha_bar(t) for t in timesteps]
    expected = ddim_of_a_gaussian(mean, covariance, initial_noise(settings, dimension), alpha_bars)
    np.testing.assert_allclose(final(run), expected, rtol=0, atol=1e-7)


def loop_of_algorithm_2(mixture: GaussianMixture, settings: Settings, cutoff: float) -> np.ndarray:
    """KDS Algorithm 2 (v1) for one ensemble, particle by particle, with scipy's densities."""
    schedule = kds_ref.cosine_schedule(1000)
    n_steps = settings.num_inference_steps
    timesteps = [round(1000 - 1000 * index / n_steps) - 1 for index in range(n_steps)]
    x = np.random.default_rng(settings.seed).standard_normal((settings.n_particles, 2))
    for index, t in enumerate(timesteps):
        here = schedule.alpha_bar(t)
        there = schedule.alpha_bar(timesteps[index + 1]) if index + 1 < n_steps else 1.0
        parts = list(zip(mixture.weights, mixture.means, mixture.covariances, strict=True))
        clean = []
        for point in x:
            pull, total = np.zeros(2), 0.0
            for weight, mean, covariance in parts:
                noised = here * covariance + (1 - here) * np.eye(2)
                density = weight * multivariate_normal(math.sqrt(here) * mean, noised).pdf(point)
                pull += density * np.linalg.solve(noised, math.sqrt(here) * mean - point)
                total += density
            clean.append((point + (1 - here) * pull / total) / math.sqrt(here))
        steered = []
        for point in clean:
            weights = [math.exp(-np.sum((point - other) ** 2) / (2 * settings.bandwidth**2)) for other in clean]
            shift = sum(w * other for w, other in zip(weights, clean, strict=True)) / sum(weights) - point
            steered.append(point + (settings.strength if t / 1000 >= cutoff else 0.0) * shift)
        x0 = np.array(steered)
        eps = (x - math.sqrt(here) * x0) / math.sqrt(1 - here)
        x = math.sqrt(there) * x0 + math.sqrt(1 - there) * eps
    return x


@pytest.mark.parametrize("cutoff", [0.3, 0.0])
def test_kds_is_algorithm_2_written_as_plain_loops(cutoff: float) -> None:
    settings = Settings(seed=5, n_seeds=1, n_particles=6, num_inference_steps=10, bandwidth=0.4, strength=0.5)
    run = run_method(three_modes(), settings, cutoff=cutoff)
    expected = loop_of_algorithm_2(three_modes(), settings, cutoff)
    np.testing.assert_allclose(final(run)[0], expected, rtol=0, atol=1e-6)


def test_many_ddim_steps_give_the_target() -> None:
    mixture = three_modes()
    settings = Settings(seed=20260301, n_seeds=3, n_particles=2000, num_inference_steps=250)
    x = final(run_method(mixture, settings, cutoff=None)).reshape(-1, 2)
    modes = mixture.responsibilities(x).argmax(-1)
    for mode in range(3):
        own = x[modes == mode]
        weight, mean, covariance = mixture.weights[mode], mixture.means[mode], mixture.covariances[mode]
        # 4.5 standard errors, and a little for the 250 steps
        assert abs(len(own) / len(x) - weight) < 4.5 * math.sqrt(weight * (1 - weight) / len(x))
        spread = np.sqrt(np.diag(covariance) / len(own))
        assert (np.abs(own.mean(0) - mean) < 4.5 * spread + 0.003).all()
        outer = np.outer(np.diag(covariance), np.diag(covariance))
        error = np.sqrt((outer + covariance**2) / len(own))
        assert (np.abs(np.cov(own.T) - covariance) < 4.5 * error + 0.01 * np.sqrt(outer)).all()


def test_kds_shrinks_the_modes_and_shrinks_them_more_without_a_cutoff() -> None:
    results, _ = run_experiment(Settings(seed=100, n_seeds=30))
    mild, strong = (
        results["methods"][name]["difference_to_ddim"]["within_mode_variance"]
        for name in ("kds_cutoff_0.3", "kds_cutoff_0")
    )
    assert -0.18 < mild["relative_change"] < -0.05
    assert -0.75 < strong["relative_change"] < -0.50
    assert max(mild["p_value"], strong["p_value"]) < 1e-6
    likelihood = results["methods"]["kds_cutoff_0"]["difference_to_ddim"]["mean_log_likelihood"]
    assert likelihood["mean"] > 0.4
    assert likelihood["p_value"] < 1e-6


def test_strength_zero_is_plain_ddim_bit_for_bit() -> None:
    _, (plain, cut, full) = run_experiment(Settings(n_seeds=2, n_particles=8, strength=0.0))
    np.testing.assert_array_equal(final(plain), final(cut))
    np.testing.assert_array_equal(final(plain), final(full))


def test_seeds_never_mix() -> None:
    together = run_method(three_modes(), Settings(seed=3, n_seeds=4, n_particles=9), cutoff=0.0)
    for index in range(4):
        alone = run_method(three_modes(), Settings(seed=3 + index, n_seeds=1, n_particles=9), cutoff=0.0)
        np.testing.assert_allclose(final(alone)[0], final(together)[index], rtol=0, atol=1e-12)


def test_a_particles_noise_does_not_depend_on_their_number() -> None:
    five, ten = (initial_noise(Settings(n_seeds=3, n_particles=n), 2) for n in (5, 10))
    np.testing.assert_array_equal(five, ten[:, :5])
    more_seeds = initial_noise(Settings(n_seeds=4, n_particles=5), 2)
    np.testing.assert_array_equal(more_seeds[:3], five)
    assert len(np.unique(ten)) == ten.size


def test_all_methods_start_from_the_same_noise_and_snapshots_are_what_they_say() -> None:
    settings = Settings(n_seeds=2, n_particles=5)
    _, runs = run_experiment(settings)
    for run in runs:
        assert [snapshot.fraction for snapshot in run.snapshots] == [0.999, 0.499, 0.0]
        np.testing.assert_array_equal(run.snapshots[0].x, initial_noise(settings, 2))
        schedule = kds_ref.cosine_schedule(1000)
        assert [s.alpha_bar for s in run.snapshots] == [schedule.alpha_bar(999), schedule.alpha_bar(499), 1.0]
    assert [run.steered_steps for run in runs] == [0, 35, 50]  # t = 999, 979, ..., 319 for the cut-off 0.3
    # the state at t/T = 0.5 is on the way: DDIM from it with the rest of the grid ends where the run ended
    mixture, schedule = three_modes(), kds_ref.cosine_schedule(1000)
    rest = [t for t in kds_ref.time_grid(50, 1000, spacing="trailing") if t <= 499]
    again = kds_ref.ddim(
        lambda x, t: mixture.eps(x, alpha_bar=schedule.alpha_bar(t)),
        runs[0].snapshots[1].x,
        schedule=schedule,
        timesteps=rest,
    )
    np.testing.assert_array_equal(again.x0, final(runs[0]))


def test_few_steps_still_give_snapshots() -> None:
    for steps, fractions in {1: [0.999, 0.0], 2: [0.999, 0.499, 0.0], 3: [0.999, 0.666, 0.0]}.items():
        settings = Settings(n_seeds=1, n_particles=3, num_inference_steps=steps)
        run = run_method(three_modes(), settings, cutoff=0.3)
        assert [snapshot.fraction for snapshot in run.snapshots] == fractions


def test_results_are_json_and_say_what_was_run() -> None:
    settings = Settings(seed=4, n_seeds=3, n_particles=7, num_inference_steps=5, cutoff=0.6)
    calls: list[None] = []
    results, runs = run_experiment(settings, on_step=lambda: calls.append(None))
    assert json.loads(json.dumps(results, allow_nan=False)) == results
    assert results["settings"].items() >= dataclasses.asdict(settings).items()
    assert list(results["methods"]) == [run.name for run in runs] == ["ddim", "kds_cutoff_0.6", "kds_cutoff_0"]
    assert len(calls) == 15
    for numbers in results["methods"].values():
        assert sum(share["mean"] for share in numbers["mode_shares"]) == pytest.approx(1)
        assert numbers["mean_log_likelihood"]["n_seeds"] == 3
    difference = results["methods"]["kds_cutoff_0"]["difference_to_ddim"]["mean_log_likelihood"]
    steered, plain = (results["methods"][m]["mean_log_likelihood"]["mean"] for m in ("kds_cutoff_0", "ddim"))
    assert difference["mean"] == pytest.approx(steered - plain)
    assert run_experiment(settings)[0] == results


def test_a_cutoff_of_zero_is_run_once() -> None:
    assert cutoffs(Settings(cutoff=0.0)) == (None, 0.0)
    assert cutoffs(Settings(cutoff=0.2)) == (None, 0.2, 0.0)


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        ("seed", -1, ValueError),
        ("n_seeds", 0, ValueError),
        ("n_particles", 2001, ValueError),
        ("n_particles", 2.0, TypeError),
        ("n_seeds", True, TypeError),
        ("bandwidth", 0.0, ValueError),
        ("bandwidth", math.inf, ValueError),
        ("strength", 1.01, ValueError),
        ("strength", math.nan, ValueError),
        ("cutoff", -0.1, ValueError),
        ("num_inference_steps", 1001, ValueError),
        ("schedule", "quadratic", ValueError),
    ],
)
def test_settings_out_of_range_are_refused_by_name(field: str, value: object, error: type[Exception]) -> None:
    with pytest.raises(error, match=rf"^{field} must"):
        Settings(**{field: value})
    with pytest.raises(ValueError, match=r"^n_seeds times n_particles must be at most"):
        Settings(n_seeds=5000, n_particles=2000)
