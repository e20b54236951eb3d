"""The bandwidth rules: by hand, against scipy, scikit-learn and a brute-force search, scaling, no spread at all."""

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kds_ref import likelihood_bandwidth, median_bandwidth, scott_bandwidth, silverman_bandwidth
from kds_ref._arrays import common_namespace
from kds_ref._leave_one_out import LeaveOneOut, highest_maximum

RULES: dict[str, Callable[[Any], Any]] = {
    "median": median_bandwidth,
    "scott": scott_bandwidth,
    "silverman": silverman_bandwidth,
    "likelihood": likelihood_bandwidth,
}
SEEDS = st.integers(0, 2**32 - 1)
every_rule = pytest.mark.parametrize("name", RULES)


def points(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def likelihood(p: np.ndarray, h: Any) -> np.ndarray:
    """Leave-one-out log-likelihood up to a constant, for each of the bandwidths h."""
    h = np.asarray(h)
    total = -p.size * np.log(h)
    for i, x in enumerate(p):
        squared = ((np.delete(p, i, axis=0) - x) ** 2).sum(axis=1)
        logits = -squared / (2.0 * h[..., None] ** 2)
        peak = logits.max(axis=-1)
        total = total + peak + np.log(np.exp(logits - peak[..., None]).sum(axis=-1))
    return total


def test_worked_by_hand(xp: Any) -> None:
    # 0, 1, 3 and 7: distances 1 2 3 4 6 7, median 3.5; mean 2.75, squared deviations 28.75
    p = xp.array([[0.0], [1.0], [3.0], [7.0]])
    expected = {
        "median": 3.5 / math.sqrt(2.0),
        "scott": math.sqrt(28.75 / 3.0) * 4.0**-0.2,
        "silverman": math.sqrt(28.75 / 3.0) * 3.0**-0.2,
    }
    for name, value in expected.items():
        h = RULES[name](p)
        xp.check_like(h, p, shape=())
        assert float(xp.numpy(h)) == pytest.approx(value, rel=1e-14)


@pytest.mark.parametrize("n", [2, 3, 4, 7, 10])
def test_median_equals_numpy_over_scipy_distances(xp: Any, n: int) -> None:
    distance = pytest.importorskip("scipy.spatial.distance")
    p = points(n, n, 3)
    expected = np.median(distance.pdist(p)) / math.sqrt(2.0)
    assert float(xp.numpy(median_bandwidth(xp.array(p)))) == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize(("rule", "method"), [(scott_bandwidth, "scott"), (silverman_bandwidth, "silverman")])
@pytest.mark.parametrize(("n", "dimension"), [(2, 1), (10, 1), (15, 2), (40, 6)])
def test_factors_are_scipys(rule: Callable[[Any], Any], method: str, n: int, dimension: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    p = points(n, n, dimension) * np.linspace(0.5, 2.0, dimension)
    # scipy needs as many particles as dimensions and keeps the data's covariance; ours is its mean variance
    kde = stats.gaussian_kde(p.T, bw_method=method)
    spread = math.sqrt(np.trace(np.atleast_2d(np.cov(p.T))) / dimension)
    assert float(rule(p)) == pytest.approx(kde.factor * spread, rel=1e-13)
    if dimension == 1:
        assert float(rule(p)) == pytest.approx(math.sqrt(kde.covariance[0, 0]), rel=1e-13)


@pytest.mark.parametrize("shape", ["normal", "two clusters", "heavy tails", "outlier"])
@pytest.mark.parametrize(("n", "dimension"), [(3, 1), (10, 1), (10, 4), (25, 2)])
def test_likelihood_equals_a_brute_force_search(xp: Any, shape: str, n: int, dimension: int) -> None:
    optimize = pytest.importorskip("scipy.optimize")
    p = points(n, n, dimension)
    if shape == "two clusters":
        p[::2] = 0.03 * p[::2] + 4.0
    elif shape == "heavy tails":
        p = p**5
    elif shape == "outlier":
        p[0] += 30.0
    grid = np.geomspace(1e-5, 1e5, 2001)
    values = likelihood(p, grid)
    j = int(np.argmax(values))
    found = optimize.minimize_scalar(
        lambda log_h: -float(likelihood(p, math.exp(log_h))),
        bounds=(math.log(grid[j - 1]), math.log(grid[j + 1])),
        method="bounded",
        options={"xatol": 1e-10},
    )
    assert float(xp.numpy(likelihood_bandwidth(xp.array(p)))) == pytest.approx(math.exp(found.x), rel=1e-6)


@pytest.mark.parametrize(("gap", "higher"), [(0.19, 0), (0.21, 1)])
def test_likelihood_finds_the_higher_of_two_maxima(gap: float, higher: int) -> None:
    # four pairs, one apart: one maximum is the distance within pairs, the other that between them
    p = np.concatenate([np.arange(4.0), np.arange(4.0) + gap])[:, None]
    grid = np.geomspace(1e-4, 1e2, 4001)
    values = likelihood(p, grid)
    peaks = np.flatnonzero((values[1:-1] > values[:-2]) & (values[1:-1] > values[2:])) + 1
    assert len(peaks) == 2
    assert np.argmax(values[peaks]) == higher
    assert float(likelihood_bandwidth(p)) == pytest.approx(grid[peaks[higher]], rel=2e-3)


@pytest.mark.parametrize("copies", [1, 2])
@pytest.mark.parametrize("dimension", [1, 3])
def test_the_search_runs_from_the_nearest_to_all_particles(copies: int, dimension: int) -> None:
    p = np.repeat(points(dimension, 5, dimension), copies, axis=0)
    p = (p - p[0]) / np.abs(p - p[0]).max()  # the unit in which the search is made
    squared = ((p[:, None] - p) ** 2).sum(axis=-1)
    n = len(p)
    to_all = math.sqrt(squared.sum() / (n * (n - 1)) / dimension)
    nearest = np.sort(squared, axis=1)[:, 1]
    to_nearest = max(math.sqrt(nearest.mean() / dimension), np.finfo(float).eps * to_all)
    likelihood = LeaveOneOut(squared, dimension, common_namespace(p=p))
    np.testing.assert_allclose((likelihood.low, likelihood.high), (to_nearest, to_all), rtol=1e-12)


def between(value_and_slope: Any) -> Any:
    """A stand-in for the likelihood, to be searched between 1e-3 and 1e3."""
    return SimpleNamespace(
        low=np.asarray(1e-3),
        high=np.asarray(1e3),
        value_and_slope=value_and_slope,
        slope=lambda h: value_and_slope(h)[1],
    )


@pytest.mark.parametrize(("first", "second", "found"), [(1.0, 0.9, 0.02), (0.9, 1.0, 30.0)])
def test_the_grid_is_geometric_and_the_highest_point_refined(first: float, second: float, found: float) -> None:
    # two peaks in log h, of these heights
    seen = []

    def value_and_slope(h: Any) -> tuple[Any, Any]:
        seen.append(float(h))
        x, y = np.log(h / 0.02), np.log(h / 30.0)
        left, right = first * np.exp(-(x**2)), second * np.exp(-(y**2))
        return left + right, -2.0 * x * left - 2.0 * y * right

    best = highest_maximum(between(value_and_slope), np)
    np.testing.assert_allclose(seen[:25], np.geomspace(1e-3, 1e3, 25), rtol=1e-12)
    assert len(seen) == 25 + 30
    assert float(best) == pytest.approx(found, rel=1e-7)


def test_of_two_equal_maxima_the_smaller_bandwidth_is_taken() -> None:
    def value_and_slope(h: Any) -> tuple[Any, Any]:
        x = np.round(np.log10(h), 9)
        return -abs(abs(x) - 1.0), np.sign(np.sign(x) - x)

    best = highest_maximum(between(value_and_slope), np)
    assert float(best) == pytest.approx(0.1, rel=1e-8)


@pytest.mark.parametrize("dimension", [1, 3])
def test_likelihood_equals_scikit_learns_leave_one_out_search(dimension: int) -> None:
    selection = pytest.importorskip("sklearn.model_selection")
    neighbors = pytest.importorskip("sklearn.neighbors")
    p = points(3, 12, dimension)
    ours = float(likelihood_bandwidth(p))
    grid = ours * np.geomspace(0.25, 4.0, 41)  # ours is the middle one
    search = selection.GridSearchCV(
        neighbors.KernelDensity(rtol=0, atol=0), {"bandwidth": grid}, cv=selection.LeaveOneOut()
    ).fit(p)
    assert search.best_params_["bandwidth"] == pytest.approx(ours, rel=1e-12)


@every_rule
@settings(max_examples=25)
@given(seed=SEEDS, n=st.integers(1, 8), d=st.integers(1, 4), c=st.floats(1e-12, 1e12))
def test_scaling_the_particles_scales_the_bandwidth(xp: Any, name: str, seed: int, n: int, d: int, c: float) -> None:
    p = points(seed, n, d)
    ours, scaled = (xp.numpy(RULES[name](xp.array(x))) for x in (p, c * p))
    np.testing.assert_allclose(scaled, c * ours, rtol=1e-7)
    assert np.all(ours > 0.0) or n == 1


@every_rule
@settings(max_examples=25)
@given(seed=SEEDS, n=st.integers(2, 8), d=st.integers(1, 4))
def test_moving_turning_and_permuting_the_particles_keeps_the_bandwidth(
    xp: Any, name: str, seed: int, n: int, d: int
) -> None:
    p = points(seed, n, d)
    turn, _ = np.linalg.qr(points(seed + 1, d, d))
    other = np.random.default_rng(seed).permutation(p @ turn.T + 10.0 * points(seed + 2, d))
    np.testing.assert_allclose(xp.numpy(RULES[name](xp.array(other))), RULES[name](p), rtol=1e-7)


@every_rule
def test_leading_axes_are_a_loop(xp: Any, name: str) -> None:
    p = points(4, 2, 3, 7, 2) * np.asarray([0.1, 1.0, 20.0])[:, None, None]
    h = RULES[name](xp.array(p))
    xp.check_like(h, xp.array(p), shape=(2, 3))
    for i, j in np.ndindex(2, 3):
        np.testing.assert_allclose(xp.numpy(h)[i, j], RULES[name](p[i, j]), rtol=1e-12)


@every_rule
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_spread_gives_zero(xp: Any, name: str, dtype: str) -> None:
    one, equal = points(5, 3, 1, 2), np.repeat(points(5, 3, 1, 2), 4, axis=1)
    for p in (one, equal):
        h = RULES[name](xp.array(p, dtype))
        xp.check_like(h, xp.array(p, dtype), shape=(3,))
        assert np.all(xp.numpy(h) == 0.0)


@every_rule
@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_float32_neither_underflows_nor_overflows(xp: Any, name: str, scale: float) -> None:
    p = points(6, 6, 3)
    h = xp.numpy(RULES[name](xp.array(scale * p, "float32")))
    np.testing.assert_allclose(h, scale * RULES[name](p), rtol=1e-4)


def test_copies_of_every_particle_give_a_tiny_likelihood_bandwidth(xp: Any) -> None:
    p = np.repeat(points(7, 4, 2), 2, axis=0)
    h = float(xp.numpy(likelihood_bandwidth(xp.array(p))))
    assert 0.0 < h < 1e-14
    assert likelihood(p, 1e-9) > likelihood(p, 1e-3) > likelihood(p, 1.0)  # it has no maximum


def test_half_precision_is_float32_rounded() -> None:
    torch = pytest.importorskip("torch")
    p = torch.tensor(points(8, 9, 3)).to(torch.bfloat16)
    for rule in RULES.values():
        assert rule(p).dtype == torch.bfloat16
        assert rule(p) == rule(p.float()).to(torch.bfloat16)
