"""The statistics of an ensemble by hand and by plain loops, and the paired test against scipy."""

import math

import numpy as np
import pytest
from scipy.stats import wilcoxon

from toy.mixture import GaussianMixture, three_modes
from toy.statistics import ensemble_statistics, paired_difference, summarise, within_mode_variance


def test_variance_within_modes_by_hand() -> None:
    # mode 0: (0,0), (2,0) -> squares 1 + 1; mode 1: (9,9) alone; mode 2: empty. 3 - 2 = 1 degree, 2 axes.
    x = np.array([[[0.0, 0.0], [9.0, 9.0], [2.0, 0.0]]])
    assert within_mode_variance(x, np.array([[0, 1, 0]]), 3).tolist() == [1.0]


def test_variance_within_modes_is_that_of_plain_loops() -> None:
    rng = np.random.default_rng(3)
    x, modes = rng.normal(size=(4, 20, 3)), rng.integers(0, 3, size=(4, 20))
    expected = []
    for points, labels in zip(x, modes, strict=True):
        groups = [points[labels == mode] for mode in range(3)]
        squares = sum(((group - group.mean(0)) ** 2).sum() for group in groups)
        expected.append(squares / (3 * sum(len(group) - 1 for group in groups)))
    np.testing.assert_allclose(within_mode_variance(x, modes, 3), expected, rtol=1e-12)


def test_variance_within_modes_is_unbiased() -> None:
    rng = np.random.default_rng(9)
    x, modes = rng.normal(scale=0.5, size=(4000, 6, 2)), rng.integers(0, 3, size=(4000, 6))
    x += 10.0 * modes[..., None]  # the distance between modes must not count
    values = within_mode_variance(x, modes, 3)
    assert np.nanmean(values) == pytest.approx(0.25, abs=4 * np.nanstd(values) / math.sqrt(4000))


def test_variance_is_undefined_where_every_particle_is_alone() -> None:
    x = np.zeros((2, 2, 2))
    assert np.isnan(within_mode_variance(x, np.array([[0, 1], [1, 1]]), 3)).tolist() == [True, False]


def test_statistics_of_known_particles() -> None:
    mixture = GaussianMixture([0.5, 0.5], [[-5.0], [5.0]], [[[1.0]], [[1.0]]])
    x = np.array([[[-5.0], [-4.0], [6.0], [8.0]], [[5.0], [5.0], [5.0], [5.0]]])
    values = ensemble_statistics(x, mixture)
    np.testing.assert_allclose(values["within_mode_variance"], [(0.5 + 2.0) / 2, 0.0])
    np.testing.assert_allclose(values["distance_to_mode_mean"], [(0 + 1 + 1 + 9) / 4, 0.0])
    np.testing.assert_allclose(values["mode_shares"], [[0.5, 0.5], [0.0, 1.0]])
    peak = math.log(0.5 / math.sqrt(2 * math.pi))
    np.testing.assert_allclose(values["mean_log_likelihood"], [peak - 11 / 8, peak], rtol=1e-12)


def test_perfect_samples_have_the_targets_statistics() -> None:
    mixture = three_modes()
    x = mixture.sample(100_000, np.random.default_rng(5)).reshape(500, 200, 2)
    values = ensemble_statistics(x, mixture)
    assert values["within_mode_variance"].mean() == pytest.approx(0.09, abs=0.001)
    assert values["distance_to_mode_mean"].mean() == pytest.approx(0.09, abs=0.001)
    np.testing.assert_allclose(values["mode_shares"].mean(0), mixture.weights, atol=0.007)


def test_summary_leaves_out_what_is_undefined() -> None:
    assert summarise(np.array([1.0, math.nan, 3.0])) == {"mean": 2.0, "standard_error": 1.0, "n_seeds": 2}
    assert summarise(np.array([4.0])) == {"mean": 4.0, "standard_error": None, "n_seeds": 1}
    assert summarise(np.array([math.nan])) == {"mean": None, "standard_error": None, "n_seeds": 0}


def test_paired_difference_is_paired() -> None:
    rng = np.random.default_rng(1)
    baseline = rng.normal(size=40) * 10 + 50
    values = baseline - 0.1 + 0.05 * rng.normal(size=40)  # far smaller than the spread over seeds
    result = paired_difference(values, baseline)
    assert result["p_value"] == pytest.approx(wilcoxon(values, baseline).pvalue, rel=1e-6)
    assert result["p_value"] < 1e-6
    assert result["mean"] == pytest.approx(np.mean(values - baseline))
    assert result["standard_error"] == pytest.approx(np.std(values - baseline, ddof=1) / math.sqrt(40))
    assert result["relative_change"] == pytest.approx(np.mean(values - baseline) / np.mean(baseline))


def test_paired_difference_at_its_edges() -> None:
    same = paired_difference(np.ones(5), np.ones(5))
    assert (same["mean"], same["p_value"], same["relative_change"]) == (0.0, 1.0, 0.0)
    nothing = paired_difference(np.array([math.nan]), np.array([1.0]))
    assert (nothing["mean"], nothing["p_value"], nothing["n_seeds"]) == (None, None, 0)
    assert paired_difference(np.array([1.0, 2.0]), np.array([-1.0, -2.0]))["relative_change"] is None
    # shares: 0.42 - 0.4 and 0.5 - 0.48 differ in the last bit but are the same difference, hence tied
    tied = paired_difference(np.array([0.42, 0.5, 0.06, 0.0, 0.14]), np.array([0.4, 0.48, 0.0, 0.1, 0.0]))
    exact = paired_difference(np.array([2.0, 2.0, 6.0, -10.0, 14.0]), np.zeros(5))
    assert tied["p_value"] == exact["p_value"]
