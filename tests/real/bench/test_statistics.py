"""Intervals cover as often as they say at the numbers of photos that the studies use; verdicts follow from tests."""

import numpy as np
import pytest
from scipy.stats import bootstrap, false_discovery_control, ttest_1samp, ttest_rel
from scipy.stats import t as student

from real.bench.statistics import equivalence, holm, mean_with_interval, paired
from real.bench.verdicts import MARGINS, MeasuredDifference, judge, together

REPETITIONS = 4000


def skewed(rng: np.random.Generator, photos: int) -> np.ndarray:
    """Differences as photos have them: skewed to one side (gamma of shape 2: skewness 1.4), mean 0."""
    return rng.gamma(2.0, size=(REPETITIONS, photos)) - 2.0


@pytest.mark.parametrize("photos", [30, 40, 100])
@pytest.mark.parametrize("shape", ["normal", "skewed"])
def test_the_interval_covers_the_mean_as_often_as_it_says(shape: str, photos: int) -> None:
    rng = np.random.default_rng(5)
    samples = rng.standard_normal((REPETITIONS, photos)) if shape == "normal" else skewed(rng, photos)
    ends = [mean_with_interval(sample) for sample in samples]
    coverage = np.mean([one["low"] <= 0.0 <= one["high"] for one in ends])
    assert (0.94 if shape == "normal" else 0.925) <= coverage <= 0.96  # its own error is 0.0035


def test_at_the_used_numbers_bca_is_no_better() -> None:
    rng = np.random.default_rng(6)
    samples = skewed(rng, 30)[:300]
    known = [
        bootstrap((sample,), np.mean, method="BCa", n_resamples=999, rng=rng, vectorized=True).confidence_interval
        for sample in samples
    ]
    bca = np.mean([one.low <= 0.0 <= one.high for one in known])
    students = np.mean([one["low"] <= 0.0 <= one["high"] for one in map(mean_with_interval, samples)])
    assert bca <= students + 0.01


def test_a_percentile_bootstrap_of_five_photos_does_not() -> None:
    """Why the intervals are Student's: with five photos a percentile interval covers some 84%, not 95%."""
    rng = np.random.default_rng(7)
    samples = rng.standard_normal((REPETITIONS, 5))
    means = samples[:, rng.integers(0, 5, (2000, 5))].mean(-1)
    low, high = np.quantile(means, [0.025, 0.975], axis=1)
    assert np.mean((low <= 0.0) & (high >= 0.0)) < 0.88
    students = [mean_with_interval(sample) for sample in samples]
    assert np.mean([one["low"] <= 0.0 <= one["high"] for one in students]) == pytest.approx(0.95, abs=0.012)


def test_paired_differences_are_those_of_scipy() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=12)
    b = a + rng.normal(0.3, 0.5, size=12)
    found, known = paired(a, b), ttest_rel(a, b)
    assert found["p"] == pytest.approx(known.pvalue)
    assert (found["low"], found["high"]) == pytest.approx(tuple(known.confidence_interval()))
    assert found["mean"] == pytest.approx((a - b).mean())
    assert found["positive"] == int((a > b).sum())
    assert paired(b, a)["mean"] == -found["mean"]


def test_equal_values_and_single_photos() -> None:
    a = np.arange(10.0)
    nothing = {"mean": 0.0, "low": 0.0, "high": 0.0, "standard_error": 0.0, "p": 1.0, "positive": 0, "photos": 10}
    assert paired(a, a) == nothing
    shifted = {"mean": 0.5, "low": 0.5, "high": 0.5, "standard_error": 0.0, "p": 0.0, "positive": 10, "photos": 10}
    assert paired(a + 0.5, a) == shifted
    one = {"mean": 1.0, "low": None, "high": None, "standard_error": None, "p": None, "positive": 1, "photos": 1}
    assert paired(np.array([2.0]), np.array([1.0])) == one
    assert mean_with_interval(np.array([])) == {"mean": None, "low": None, "high": None}
    assert paired(np.array([]), np.array([]))["p"] is None
    for wrong in (np.array([1.0, np.nan]), np.ones((2, 2))):
        with pytest.raises(ValueError, match="values must be finite"):
            mean_with_interval(wrong)


def test_equivalence_is_two_one_sided_tests() -> None:
    values = np.random.default_rng(1).normal(0.01, 0.05, size=40)
    error = values.std(ddof=1) / np.sqrt(40)
    found = equivalence(values.mean(), error, 40, margin=0.05)
    below = ttest_1samp(values, 0.05, alternative="less").pvalue
    above = ttest_1samp(values, -0.05, alternative="greater").pvalue
    assert found == pytest.approx(max(below, above))
    assert equivalence(0.06, error, 40, margin=0.05) > 0.5
    assert (equivalence(0.0, 0.0, 5, margin=0.1), equivalence(0.2, 0.0, 5, margin=0.1)) == (0.0, 1.0)


def test_holm_by_hand() -> None:
    # 0.01 x 4, 0.02 x 3, max(0.06, 0.03 x 2), max(0.06, 0.5)
    assert holm([0.03, 0.01, 0.5, 0.02]) == pytest.approx([0.06, 0.04, 0.5, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
    p = np.random.default_rng(0).uniform(size=20)
    assert all(a >= b for a, b in zip(holm(list(p)), false_discovery_control(p), strict=True))  # stricter than Hochberg


def test_holm_keeps_the_error_of_a_whole_page() -> None:
    rng = np.random.default_rng(2)
    samples = rng.standard_normal((1000, 20, 30))  # pages with twenty comparisons of nothing
    p = ttest_1samp(samples, 0.0, axis=-1).pvalue
    assert np.mean((p < 0.05).any(1)) > 0.5
    assert np.mean([min(holm(list(page))) < 0.05 for page in p]) <= 0.065


def difference(mean: float, error: float, *, sign: int = 1, metric: str = "psnr_rgb") -> MeasuredDifference:
    return MeasuredDifference(metric, sign, mean, error, 2.0 * float(student.sf(abs(mean) / error, 29)), 30)


@pytest.mark.parametrize(
    ("mean", "error", "sign", "expected"),
    [
        (0.5, 0.05, 1, "yes"),
        (0.5, 0.05, -1, "no"),
        (-0.5, 0.05, -1, "yes"),
        (0.5, 0.4, 1, "open"),
        (0.04, 0.03, 1, "open"),
        (0.02, 0.005, 1, "no difference that matters"),  # there is one, p = 0.0004, but it is too small
        (0.0, 0.01, 1, "no difference that matters"),
        (0.06, 0.01, 1, "yes"),
    ],
)
def test_a_verdict(mean: float, error: float, sign: int, expected: str) -> None:
    assert judge([difference(mean, error, sign=sign)]) == [expected]


def test_a_verdict_knows_how_many_others_there_are() -> None:
    borderline = difference(0.5, 0.2)  # p = 0.018
    assert judge([borderline]) == ["yes"]
    assert judge([borderline] * 3) == ["open"] * 3
    assert judge([difference(0.5, 0.05), borderline]) == ["yes", "yes"]  # the second is compared with 0.05 again


def test_margins_are_those_of_a_metric() -> None:
    assert {"psnr_rgb": 0.05, "lpips_hed": 0.003}.items() <= MARGINS.items()
    assert judge([difference(0.004, 0.0001, metric="lpips_hed")]) == ["yes"]
    assert judge([difference(0.002, 0.0001, metric="lpips_hed")]) == ["no difference that matters"]
    assert judge([difference(0.0, 0.0001, metric="ssim_rgb")]) == ["open"]  # no margin: nothing is small enough
    assert judge([MeasuredDifference("psnr_rgb", 1, 1.0, None, None, 1)]) == ["open"]


def test_a_claim_of_several_parts() -> None:
    assert together(["yes", "yes"]) == "yes"
    assert together(["yes", "open"]) == "open"
    assert together(["yes", "no difference that matters", "open"]) == "no difference that matters"
    assert together(["no", "yes"]) == "no"
    with pytest.raises(ValueError, match="at least one"):
        together([])
