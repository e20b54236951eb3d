"""Calibration of samples: exact where the posterior is known."""

import numpy as np
import pytest

from real.bench.calibration import distances, exchangeability, hole_ranks, rank_counts, truth_ranks


def rows_of(spread: float, *, photos: int = 400, particles: int = 10) -> list[dict[str, float]]:
    """Samples of N(mean, spread^2) where truths come from N(mean, 1)."""
    rng = np.random.default_rng(3)
    mean = rng.standard_normal((photos, 3, 4, 4)) * 5
    truths = mean + rng.standard_normal(mean.shape)
    samples = mean[:, None] + spread * rng.standard_normal((photos, particles, 3, 4, 4))
    return [distances(s, t) for s, t in zip(samples, truths, strict=True)]


def test_by_hand() -> None:
    found = distances(np.array([[0.0, 0.0], [2.0, 0.0]]), np.array([1.0, 1.0]))
    assert found == {"between": 2.0, "to_truth": 1.0}  # 4 / 2 values; (1 + 1) / 2 values


def test_pairs_are_what_a_loop_over_them_gives() -> None:
    rng = np.random.default_rng(0)
    samples, truth = rng.standard_normal((5, 3, 2, 2)), rng.standard_normal((3, 2, 2))
    pairs = [np.square(a - b).mean() for i, a in enumerate(samples) for b in samples[i + 1 :]]
    assert distances(samples, truth)["between"] == pytest.approx(np.mean(pairs))


@pytest.mark.parametrize("spread", [1.0, 0.5, 1.5])
def test_the_ratio_of_gaussians(spread: float) -> None:
    found = exchangeability(rows_of(spread))
    expected = 2 * spread**2 / (1 + spread**2)
    assert found["ratio"] == pytest.approx(expected, abs=5 * found["standard_error"])
    assert 0.0 < found["standard_error"] < 0.02


def test_the_jackknife_is_the_spread_over_repetitions() -> None:
    rows = rows_of(1.0, photos=2000)
    ratios = [exchangeability(rows[i : i + 40])["ratio"] for i in range(0, 2000, 40)]
    errors = [exchangeability(rows[i : i + 40])["standard_error"] for i in range(0, 2000, 40)]
    assert np.std(ratios) == pytest.approx(np.mean(errors), rel=0.25)


def test_ranks_are_uniform_where_the_truth_is_one_of_them_and_like_a_u_where_samples_agree_too_much() -> None:
    rng = np.random.default_rng(1)
    good, narrow = [], []
    for _ in range(60):
        stack = rng.standard_normal((10, 3, 20, 20))
        good.append(truth_ranks(stack[:9], stack[9]))
        narrow.append(truth_ranks(0.5 * stack[:9], stack[9]))
    for side, counts in rank_counts(good, 9).items():
        assert sum(counts) == 60 * 16 * 3
        assert np.abs(np.array(counts) / (6 * 48) - 1).max() < 0.45, side
    for counts in rank_counts(narrow, 9).values():
        assert counts[0] + counts[-1] > 2 * (counts[4] + counts[5])


def test_photos_of_different_sizes_are_counted_where_they_have_the_box() -> None:
    small, large = {"1": [0, 1]}, {"1": [2], "16": [1, 1]}
    for rows in ([small, large], [large, small]):
        assert rank_counts(rows, 2) == {"1": [1, 1, 1], "16": [0, 2, 0]}


def test_boxes_that_do_not_fit_are_left_out() -> None:
    assert list(truth_ranks(np.zeros((2, 3, 8, 8)), np.ones((3, 8, 8)))) == ["1", "4"]


def test_shapes() -> None:
    with pytest.raises(ValueError, match="samples must be"):
        distances(np.zeros((1, 2)), np.zeros(2))
    with pytest.raises(ValueError, match="samples must be"):
        distances(np.zeros((3, 2)), np.zeros(3))


def test_ranks_in_a_hole_see_the_hole_alone() -> None:
    rng = np.random.default_rng(4)
    hole = np.zeros((12, 12), bool)
    hole[3:9, 2:7] = hole[11, 11] = True
    good, narrow = [], []
    for _ in range(60):
        stack = rng.standard_normal((10, 3, 12, 12))
        good.append(hole_ranks(stack[:9], stack[9], hole))
        narrow.append(hole_ranks(0.5 * stack[:9], stack[9], hole))
    other = np.where(hole, stack, 7.0 * np.arange(10)[:, None, None, None])
    assert hole_ranks(other[:9], other[9], hole) == good[-1]
    for side, counts in rank_counts(good, 9).items():
        assert sum(counts) == 60 * 16 * 3
        assert np.abs(np.array(counts) / (6 * 48) - 1).max() < 0.6, side
    for counts in rank_counts(narrow, 9).values():
        assert counts[0] + counts[-1] > 2 * (counts[4] + counts[5])


def test_a_box_around_a_pixel_of_the_hole_by_hand() -> None:
    """One pixel alone, far from the rest: every box around it has its value."""
    hole = np.zeros((20, 40), bool)
    hole[2, 35] = True
    truth = np.zeros((1, 20, 40))
    samples = np.stack([truth + 1.0, truth - 1.0, truth - 2.0])
    assert hole_ranks(samples, truth, hole) == {side: [2] * 16 for side in ("1", "4", "16")}
