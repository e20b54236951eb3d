"""Mode seeking against plain loops, scipy and scikit-learn; ascent, stationarity and merging as properties."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kds_ref import (
    _distances,
    blurring_mean_shift,
    log_density,
    log_density_gradient,
    mean_shift,
    merge_modes,
    seek_modes,
    silverman_bandwidth,
    steer,
)

SEEDS = st.integers(0, 2**32 - 1)
BANDWIDTHS = st.floats(0.1, 3.0)
TOLERANCE = 1e-5


def points(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def three_groups(seed: int, n: int = 20) -> np.ndarray:
    """3 n points of the plane around corners that are about 4 apart."""
    corners = np.asarray([[0.0, 0.0], [4.0, 0.5], [1.0, 4.0]])
    return (corners[:, None] + 0.4 * points(seed, 3, n, 2)).reshape(-1, 2)


def bar_of(h: float, x: np.ndarray, tolerance: float) -> np.ndarray:
    """Length of the shift below which a point of float64 counts as arrived."""
    return np.maximum(tolerance * h, 2.0 * np.finfo(float).eps * np.linalg.norm(x, axis=-1))


# ---- fixed data


def test_one_particle_is_reached_in_one_shift(xp: Any) -> None:
    query = xp.array([[3.0, -1.0], [0.25, 0.5], [-40.0, 7.0]])
    result = seek_modes(query, xp.array([[0.25, 0.5]]), bandwidth=0.3)
    np.testing.assert_array_equal(xp.numpy(result.points), [[0.25, 0.5]] * 3)
    np.testing.assert_array_equal(xp.numpy(result.num_iterations), [1, 0, 1])
    assert np.all(xp.numpy(result.converged))
    xp.check_like(result.points, query)
    assert result.num_iterations.dtype == xp.namespace.int64
    assert result.converged.dtype == xp.namespace.bool


def test_two_particles_have_the_modes_of_their_equation(xp: Any) -> None:
    # particles at -a and a: x = a tanh(a x / h^2) at a stationary point; two modes for a > h, one for a <= h
    starts = xp.array([[-0.7], [0.0], [1e-3], [2.0]])
    result = seek_modes(starts, xp.array([[-1.0], [1.0]]), bandwidth=0.7, tolerance=1e-12)
    x = xp.numpy(result.points)[:, 0]
    np.testing.assert_allclose(x, np.tanh(x / 0.49), atol=1e-11)
    np.testing.assert_allclose(x, [-x[2], 0.0, x[2], x[2]], atol=1e-10)  # 0 is a saddle, left by no shift
    assert x[2] > 0.9
    merged = seek_modes(starts, xp.array([[-1.0], [1.0]]), bandwidth=1.3, tolerance=1e-12)
    np.testing.assert_allclose(xp.numpy(merged.points), 0.0, atol=1e-10)


@given(SEEDS, st.integers(1, 6), st.integers(1, 3), BANDWIDTHS)
def test_fixed_data_is_the_plain_loop(xp: Any, oracle: Any, seed: int, n: int, d: int, h: float) -> None:
    particles, query = points(seed, n, d), 2.0 * points(seed + 1, 4, d)
    result = seek_modes(xp.array(query), xp.array(particles), bandwidth=h, tolerance=1e-3, max_iterations=30)
    ends, counts, arrived = [], [], []
    for x in query[:, None]:
        count = 0
        shift = oracle.mean_shift(x, particles, h)
        while np.linalg.norm(shift) > 1e-3 * h and count < 30:
            x, count = x + shift, count + 1
            shift = oracle.mean_shift(x, particles, h)
        ends.append(x[0])
        counts.append(count)
        arrived.append(np.linalg.norm(shift) <= 1e-3 * h)
    np.testing.assert_allclose(xp.numpy(result.points), ends, rtol=1e-9, atol=1e-10)
    np.testing.assert_array_equal(xp.numpy(result.num_iterations), counts)
    np.testing.assert_array_equal(xp.numpy(result.converged), arrived)


@given(SEEDS, st.integers(1, 8), st.integers(1, 4), BANDWIDTHS)
def test_the_density_never_falls_on_the_way(xp: Any, seed: int, n: int, d: int, h: float) -> None:
    particles, query = xp.array(points(seed, n, d)), xp.array(2.0 * points(seed + 1, 5, d))
    path = [xp.numpy(log_density(query, particles, bandwidth=h))]
    for iterations in range(1, 7):
        reached = seek_modes(query, particles, bandwidth=h, max_iterations=iterations, tolerance=0.0).points
        path.append(xp.numpy(log_density(reached, particles, bandwidth=h)))
    rise = np.diff(np.asarray(path), axis=0)
    assert np.all(rise >= -1e-11 * (1.0 + np.abs(path[0])))


@given(SEEDS, st.integers(1, 8), st.integers(1, 4), BANDWIDTHS)
def test_end_points_are_stationary(xp: Any, seed: int, n: int, d: int, h: float) -> None:
    particles, query = xp.array(points(seed, n, d)), xp.array(2.0 * points(seed + 1, 5, d))
    result = seek_modes(query, particles, bandwidth=h, tolerance=TOLERANCE)
    arrived = xp.numpy(result.converged)
    shift = np.linalg.norm(xp.numpy(mean_shift(result.points, particles, bandwidth=h)), axis=-1)
    bar = bar_of(h, xp.numpy(result.points), TOLERANCE)
    np.testing.assert_array_equal(arrived, shift <= bar)
    slope = np.linalg.norm(xp.numpy(log_density_gradient(result.points, particles, bandwidth=h)), axis=-1)
    assert np.all(h * slope[arrived] <= 1.001 * bar[arrived] / h)
    np.testing.assert_array_equal(xp.numpy(result.num_iterations)[~arrived], 1000)


def sorted_rows(rows: Any) -> np.ndarray:
    rows = np.asarray(rows)
    return rows[np.lexsort(rows.T)]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_modes_of_the_plane_are_those_of_an_independent_search(seed: int) -> None:
    # scikit-learn's density on a fine grid, its local maxima polished by scipy: all modes, without any mean shift
    neighbors, optimize = pytest.importorskip("sklearn.neighbors"), pytest.importorskip("scipy.optimize")
    ndimage = pytest.importorskip("scipy.ndimage")
    h, particles = 0.45, np.concatenate([three_groups(seed), [[7.0, 7.0]]])
    density = neighbors.KernelDensity(bandwidth=h, kernel="gaussian", rtol=1e-12).fit(particles)
    axis = np.linspace(-2.0, 9.0, 111)
    nodes = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1)
    level = density.score_samples(nodes.reshape(-1, 2)).reshape(111, 111)
    tops = nodes[level == ndimage.maximum_filter(level, size=3)]
    options = {"xatol": 1e-9, "fatol": 1e-14}
    expected = [
        optimize.minimize(lambda x: -density.score_samples(x[None])[0], top, method="Nelder-Mead", options=options).x
        for top in tops
    ]
    ends = seek_modes(particles, particles, bandwidth=h, tolerance=1e-8)
    modes = merge_modes(ends.points, bandwidth=h).modes
    assert len(modes) == len(expected) >= 4
    np.testing.assert_allclose(sorted_rows(modes), sorted_rows(expected), atol=2e-6)


def test_every_start_arrives_where_an_independent_ascent_does() -> None:
    # scipy follows the numerical gradient of scikit-learn's density from the same starts
    neighbors, integrate = pytest.importorskip("sklearn.neighbors"), pytest.importorskip("scipy.integrate")
    particles, h = three_groups(5), 0.6
    density = neighbors.KernelDensity(bandwidth=h, kernel="gaussian", rtol=1e-12).fit(particles)
    step = 1e-5 * np.eye(2)

    def gradient(_: float, y: np.ndarray) -> np.ndarray:
        x = y.reshape(-1, 2)
        sides = [density.score_samples(x + e) - density.score_samples(x - e) for e in step]
        return np.stack(sides, axis=-1).ravel() / 2e-5

    path = integrate.solve_ivp(gradient, (0.0, 12.0), particles.ravel(), rtol=1e-6, atol=1e-8)
    ends = seek_modes(particles, particles, bandwidth=h, tolerance=1e-8)
    np.testing.assert_allclose(ends.points, path.y[:, -1].reshape(-1, 2), atol=1e-4 * h)
    np.testing.assert_array_equal(merge_modes(ends.points, bandwidth=h).sizes, [20, 20, 20])


def test_a_query_does_not_depend_on_the_others(xp: Any) -> None:
    # one that arrives early waits, and counts only its own shifts
    query, particles = points(1, 3, 6, 2), points(2, 3, 9, 2)
    together = seek_modes(xp.array(query), xp.array(particles), bandwidth=0.5)
    counts = xp.numpy(together.num_iterations)
    assert len(set(counts.ravel())) > 5
    for b in range(3):
        for i in range(6):
            alone = seek_modes(xp.array(query[b, i : i + 1]), xp.array(particles[b]), bandwidth=0.5)
            assert int(xp.numpy(alone.num_iterations)[0]) == counts[b, i]
            np.testing.assert_allclose(xp.numpy(alone.points)[0], xp.numpy(together.points)[b, i], rtol=1e-12)


@pytest.mark.parametrize(("lead_q", "lead_p"), [((), (3,)), ((3,), ()), ((2, 1), (3,)), ((1,), (3,))])
def test_leading_axes_of_query_and_particles_join(xp: Any, lead_q: tuple[int, ...], lead_p: tuple[int, ...]) -> None:
    query, particles = points(1, *lead_q, 4, 2), points(2, *lead_p, 5, 2)
    lead = np.broadcast_shapes(lead_q, lead_p)
    result = seek_modes(xp.array(query), xp.array(particles), bandwidth=0.5)
    full = [np.broadcast_to(x, (*lead, *x.shape[-2:])).copy() for x in (query, particles)]
    expected = seek_modes(*full, bandwidth=0.5)
    assert tuple(result.points.shape) == (*lead, 4, 2)
    assert tuple(result.num_iterations.shape) == tuple(result.converged.shape) == (*lead, 4)
    at_once = seek_modes(xp.array(0.0 * query), xp.array(0.0 * particles), bandwidth=0.5)  # nothing moves
    assert tuple(at_once.points.shape) == (*lead, 4, 2)
    np.testing.assert_allclose(xp.numpy(result.points), expected.points, rtol=1e-12)
    np.testing.assert_array_equal(xp.numpy(result.num_iterations), expected.num_iterations)


def test_stops_at_the_largest_number_of_iterations(xp: Any) -> None:
    particles = xp.array(points(3, 9, 2))
    long = seek_modes(particles, particles, bandwidth=0.5)
    needed = xp.numpy(long.num_iterations)
    short = seek_modes(particles, particles, bandwidth=0.5, max_iterations=int(needed.max()) - 1)
    np.testing.assert_array_equal(xp.numpy(short.num_iterations), np.minimum(needed, needed.max() - 1))
    np.testing.assert_array_equal(xp.numpy(short.converged), needed < needed.max())
    enough = seek_modes(particles, particles, bandwidth=0.5, max_iterations=int(needed.max()))
    assert np.all(xp.numpy(enough.converged))


@given(SEEDS, st.floats(1e-3, 1e3), BANDWIDTHS)
def test_the_tolerance_is_relative_to_the_bandwidth(xp: Any, seed: int, scale: float, h: float) -> None:
    particles = points(seed, 6, 2)
    scale = 2.0 ** round(math.log2(scale))  # a power of two scales without rounding
    for search in (
        lambda p, width: seek_modes(p, p, bandwidth=width),
        lambda p, width: blurring_mean_shift(p, bandwidth=width),
    ):
        ours, scaled = (search(xp.array(c * particles), c * h) for c in (1.0, scale))
        np.testing.assert_array_equal(xp.numpy(scaled.num_iterations), xp.numpy(ours.num_iterations))
        np.testing.assert_allclose(xp.numpy(scaled.points), scale * xp.numpy(ours.points), rtol=1e-11)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_far_from_the_origin_rounding_counts_as_zero(xp: Any, dtype: str) -> None:
    # at 1e4 the numbers of float32 are 1e-3 apart: no shift can be as short as 1e-5 bandwidths
    particles = xp.array(1e4 + points(4, 7, 2), dtype)
    for result in (
        seek_modes(particles, particles, bandwidth=1.5, tolerance=0.0, max_iterations=3000),
        blurring_mean_shift(particles, bandwidth=1.5, tolerance=0.0),
    ):
        assert np.all(xp.numpy(result.converged))
        assert np.all(np.abs(xp.numpy(result.points) - 1e4) < 3.0)


def test_a_shift_as_long_as_the_limit_has_arrived(xp: Any) -> None:
    particle = xp.array([[0.0]])
    result = seek_modes(xp.array([[0.5], [0.75]]), particle, bandwidth=1.0, tolerance=0.5)
    assert xp.numpy(result.num_iterations).tolist() == [0, 1]
    assert xp.numpy(result.points).tolist() == [[0.5], [0.0]]
    # and so has one of twice the rounding of its point
    eps = np.finfo(float).eps
    near = seek_modes(xp.array([[1.0]]), xp.array([[1.0 + 2.0 * eps]]), bandwidth=1.0, tolerance=0.0)
    far = seek_modes(xp.array([[1.0]]), xp.array([[1.0 + 3.0 * eps]]), bandwidth=1.0, tolerance=0.0)
    assert [int(xp.numpy(r.num_iterations)[0]) for r in (near, far)] == [0, 1]
    # of its own point, however far another is
    options = {"bandwidth": 1.0, "tolerance": 0.0, "max_iterations": 1}
    both = seek_modes(xp.array([[1.0], [1e9]]), xp.array([[1.0 + 3.0 * eps]]), **options)  # type: ignore[arg-type]
    assert xp.numpy(both.num_iterations).tolist() == [1, 1]


def test_a_climb_gives_up_after_a_thousand_shifts() -> None:
    # particles at -h and h: x <- h tanh(x / h) falls to 0 like h sqrt(1.5 / n), so that its shift is 1e-5 h at n = 1552
    result = seek_modes(np.asarray([[1.0]]), np.asarray([[-1.0], [1.0]]), bandwidth=1.0)
    assert result.num_iterations.tolist() == [1000]
    assert not result.converged.any()
    assert result.points[0, 0] == pytest.approx(math.sqrt(1.5 / 1000), rel=0.01)


# ---- blurring


@given(SEEDS, st.integers(1, 6), st.integers(1, 3), BANDWIDTHS)
def test_blurring_is_the_plain_loop(xp: Any, oracle: Any, seed: int, n: int, d: int, h: float) -> None:
    x = points(seed, n, d)
    result = blurring_mean_shift(xp.array(x), bandwidth=h, max_iterations=40)
    count, shift = 0, oracle.mean_shift(x, x, h)
    while np.linalg.norm(shift, axis=-1).max() > 1e-3 * h and count < 40:
        x, count = x + shift, count + 1
        shift = oracle.mean_shift(x, x, h)
    np.testing.assert_allclose(xp.numpy(result.points), x, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(xp.numpy(result.num_iterations), count)
    np.testing.assert_array_equal(xp.numpy(result.converged), np.linalg.norm(shift, axis=-1).max() <= 1e-3 * h)


def test_blurring_is_a_full_steering_step_repeated(xp: Any) -> None:
    x = xp.array(points(6, 8, 3))
    result = blurring_mean_shift(x, bandwidth=0.9, max_iterations=4, tolerance=0.0)
    for _ in range(4):
        x, _ = steer(x, bandwidth=0.9, strength=1.0, patch_size=None)
    np.testing.assert_allclose(xp.numpy(result.points), xp.numpy(x), rtol=1e-12, atol=1e-13)


def test_every_ensemble_blurs_and_stops_by_itself(xp: Any) -> None:
    z = np.stack([0.1 * points(7, 8, 2), points(8, 8, 2), np.zeros((8, 2))])
    result = blurring_mean_shift(xp.array(z), bandwidth=0.4)
    counts = xp.numpy(result.num_iterations)
    assert counts[2, 0] == 0 < counts[0, 0] < counts[1, 0]
    for b in range(3):
        alone = blurring_mean_shift(xp.array(z[b]), bandwidth=0.4)
        np.testing.assert_array_equal(xp.numpy(alone.num_iterations), counts[b])
        np.testing.assert_allclose(xp.numpy(alone.points), xp.numpy(result.points)[b], rtol=1e-12, atol=1e-14)


def test_a_group_collapses_with_cubic_convergence() -> None:
    # Carreira-Perpinan (2006): a Gaussian of standard deviation s becomes one of s^3 / (s^2 + h^2)
    quantiles = pytest.importorskip("scipy.stats").norm.ppf((np.arange(4000) + 0.5) / 4000)[:, None]
    spread = 0.2
    for iterations in (1, 2):
        result = blurring_mean_shift(spread * quantiles[::4], bandwidth=1.0, tolerance=0.0, max_iterations=iterations)
        s = spread
        for _ in range(iterations):
            s = s**3 / (s**2 + 1.0)
        assert result.points.std() == pytest.approx(s, rel=0.01)


@pytest.mark.parametrize(("tolerance", "apart"), [(1e-3, 4.1), (1e-5, 5.2)])
def test_the_tolerance_says_which_groups_stay_apart(tolerance: float, apart: float) -> None:
    # the two numbers of the docstring, and the claim that all end in one point if nothing stops them
    def gap(distance: float) -> float:
        groups = np.repeat([[0.0], [distance]], 5, axis=0)
        return float(np.ptp(blurring_mean_shift(groups, bandwidth=1.0, tolerance=tolerance).points))

    assert apart * math.exp(-(apart**2) / 2) < tolerance
    assert gap(apart) == apart
    groups = np.repeat([[0.0], [apart - 0.1]], 5, axis=0)
    nearer = blurring_mean_shift(groups, bandwidth=1.0, tolerance=tolerance, max_iterations=20000)
    assert np.ptp(nearer.points) < 1e-3


def test_it_gives_up_after_a_thousand_iterations() -> None:
    # two groups that are drawn to each other by 1e-5 bandwidths a time need some ten thousand
    groups = np.asarray([[0.0], [5.1]])
    result = blurring_mean_shift(groups, bandwidth=1.0, tolerance=1e-5)
    assert result.num_iterations.tolist() == [1000, 1000]
    assert not result.converged.any()


# ---- merging


def test_neighbours_are_a_tenth_of_a_bandwidth_apart() -> None:
    ends = np.asarray([[0.0], [0.18], [2.0], [2.22]])
    assert merge_modes(ends, bandwidth=2.0).labels.tolist() == [0, 0, 1, 2]


@given(SEEDS, st.integers(1, 30), st.integers(1, 3), st.floats(0.0, 1.5))
def test_groups_are_the_connected_components_of_scipy(xp: Any, seed: int, m: int, d: int, distance: float) -> None:
    csgraph = pytest.importorskip("scipy.sparse.csgraph")
    x = points(seed, m, d)
    merged = merge_modes(xp.array(x), bandwidth=0.5, merge_distance=distance)
    labels, modes, sizes = (xp.numpy(a) for a in (merged.labels, merged.modes, merged.sizes))
    near = np.linalg.norm(x[:, None] - x, axis=-1) <= 0.5 * distance
    count, expected = csgraph.connected_components(near)
    assert len(modes) == len(sizes) == count
    np.testing.assert_array_equal(labels[:, None] == labels, expected[:, None] == expected)
    for k in range(count):
        assert sizes[k] == (labels == k).sum() > 0
        np.testing.assert_allclose(modes[k], x[labels == k].mean(axis=0), rtol=1e-12, atol=1e-13)
    order = sorted(range(count), key=lambda k: (-sizes[k], *modes[k]))
    assert order == list(range(count))


@given(SEEDS, st.integers(1, 20), st.floats(0.0, 1.5))
def test_the_order_of_the_points_does_not_matter(xp: Any, seed: int, m: int, distance: float) -> None:
    x = points(seed, m, 2)
    order = np.random.default_rng(seed + 1).permutation(m)
    merged, shuffled = (merge_modes(xp.array(v), bandwidth=0.5, merge_distance=distance) for v in (x, x[order]))
    np.testing.assert_allclose(xp.numpy(shuffled.modes), xp.numpy(merged.modes), rtol=1e-12, atol=1e-13)
    np.testing.assert_array_equal(xp.numpy(shuffled.labels), xp.numpy(merged.labels)[order])


def test_a_chain_is_one_mode_and_the_limit_is_included(xp: Any) -> None:
    x = xp.array([[0.0], [0.5], [2.0], [1.0], [1.5], [2.625]])
    merged = merge_modes(x, bandwidth=5.0, merge_distance=0.1)
    np.testing.assert_array_equal(xp.numpy(merged.labels), [0, 0, 0, 0, 0, 1])
    np.testing.assert_array_equal(xp.numpy(merged.modes), [[1.0], [2.625]])
    assert merged.labels.dtype == merged.sizes.dtype == xp.namespace.int64
    xp.check_like(merged.modes, x, shape=(2, 1))
    xp.check_like(merged.sizes, merged.labels, shape=(2,))


def test_equal_points_have_exactly_their_own_mean(xp: Any) -> None:
    x = xp.array(np.full((7, 2), 0.1))
    np.testing.assert_array_equal(xp.numpy(merge_modes(x, bandwidth=1.0, merge_distance=0.0).modes), [[0.1, 0.1]])


def test_several_blocks_of_neighbours_equal_one(xp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    x = xp.array(points(10, 2, 9, 2))
    whole = merge_modes(x, bandwidth=1.0, merge_distance=0.7)
    assert len(set(xp.numpy(whole.sizes).ravel())) > 2
    monkeypatch.setattr(_distances, "_MIN_BLOCK", 1)
    for ours, expected in zip(merge_modes(x, bandwidth=1.0, merge_distance=0.7), whole, strict=True):
        np.testing.assert_array_equal(xp.numpy(ours), xp.numpy(expected))


def test_two_rings_around_one_centre_are_two_modes_at_one_place(xp: Any) -> None:
    grid = np.stack(np.meshgrid(np.arange(-3.0, 4.0), np.arange(-3.0, 4.0)), axis=-1).reshape(-1, 2)
    far = np.abs(grid).max(axis=1)
    rings = np.concatenate([grid[far == 3.0], np.repeat(grid[far == 1.0], 3, axis=0)])  # 24 points each
    merged = merge_modes(xp.array(rings), bandwidth=1.0, merge_distance=1.0)
    np.testing.assert_array_equal(xp.numpy(merged.modes), np.zeros((2, 2)))
    np.testing.assert_array_equal(xp.numpy(merged.sizes), [24, 24])


def test_ensembles_with_fewer_modes_are_filled_up(xp: Any) -> None:
    one, three = np.zeros((5, 2)), np.asarray([[9.0, 0.0], [0.0, 0.0], [9.0, 0.0], [4.0, 1.0], [9.0, 0.0]])
    merged = merge_modes(xp.array(np.stack([one, three])[:, None]), bandwidth=1.0)
    modes, sizes, labels = (xp.numpy(a) for a in (merged.modes, merged.sizes, merged.labels))
    assert modes.shape == (2, 1, 3, 2)
    np.testing.assert_array_equal(sizes[:, 0], [[5, 0, 0], [3, 1, 1]])
    np.testing.assert_array_equal(modes[0, 0], [[0.0, 0.0], [np.nan, np.nan], [np.nan, np.nan]])
    np.testing.assert_array_equal(modes[1, 0], [[9.0, 0.0], [0.0, 0.0], [4.0, 1.0]])
    np.testing.assert_array_equal(labels[:, 0], [[0, 0, 0, 0, 0], [0, 1, 0, 2, 0]])


# ---- both


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_is_float32_rounded(dtype: str) -> None:
    torch = pytest.importorskip("torch")
    half = torch.from_numpy(three_groups(0)).to(getattr(torch, dtype))
    for search in (
        lambda p: seek_modes(p, p, bandwidth=0.5),
        lambda p: blurring_mean_shift(p, bandwidth=0.5),
        lambda p: merge_modes(p, bandwidth=0.5),
    ):
        for ours, wide in zip(search(half), search(half.float()), strict=True):
            if wide.dtype == torch.float32:
                assert ours.dtype == half.dtype
                wide = wide.to(half.dtype)
            assert torch.equal(ours, wide)


def test_inputs_are_never_written_to(xp: Any) -> None:
    values = points(9, 6, 2)
    x, query = xp.array(values), xp.array(values + 0.5)
    seek_modes(query, x, bandwidth=0.5)
    blurring_mean_shift(x, bandwidth=0.5)
    merge_modes(x, bandwidth=0.5)
    np.testing.assert_array_equal(xp.numpy(x), values)
    np.testing.assert_array_equal(xp.numpy(query), values + 0.5)


# ---- bandwidths that are not one number


def test_each_ensemble_can_have_a_bandwidth_of_its_own(xp: Any) -> None:
    particles, widths = points(1, 3, 8, 2), np.asarray([0.2, 0.5, 1.5])
    together = seek_modes(xp.array(particles), xp.array(particles), bandwidth=xp.array(widths))
    blurred = blurring_mean_shift(xp.array(particles), bandwidth=xp.array(widths))
    merged = merge_modes(together.points, bandwidth=xp.array(widths))
    for i, h in enumerate(widths):
        alone = seek_modes(particles[i], particles[i], bandwidth=float(h))
        np.testing.assert_allclose(xp.numpy(together.points)[i], alone.points, rtol=1e-9, atol=1e-12)
        np.testing.assert_array_equal(xp.numpy(together.num_iterations)[i], alone.num_iterations)
        expected = blurring_mean_shift(particles[i], bandwidth=float(h))
        np.testing.assert_allclose(xp.numpy(blurred.points)[i], expected.points, rtol=1e-9, atol=1e-12)
        labels = merge_modes(alone.points, bandwidth=float(h)).labels
        np.testing.assert_array_equal(xp.numpy(merged.labels)[i], labels)


def test_a_rule_reads_the_bandwidth_off_the_particles_once(xp: Any) -> None:
    particles, query = points(4, 12, 2), points(5, 4, 2)
    h = float(silverman_bandwidth(particles))
    by_rule = seek_modes(xp.array(query), xp.array(particles), bandwidth="silverman")
    np.testing.assert_allclose(
        xp.numpy(by_rule.points), seek_modes(query, particles, bandwidth=h).points, rtol=1e-9, atol=1e-12
    )
    blurred = blurring_mean_shift(xp.array(particles), bandwidth="silverman")
    np.testing.assert_allclose(
        xp.numpy(blurred.points), blurring_mean_shift(particles, bandwidth=h).points, rtol=1e-9, atol=1e-12
    )


def test_equal_particles_are_their_own_mode_under_a_rule() -> None:
    result = seek_modes(np.ones((4, 2)), np.ones((4, 2)), bandwidth="scott")
    np.testing.assert_array_equal(result.points, 1.0)
    assert np.all(result.converged)


def test_merging_takes_no_rule() -> None:
    with pytest.raises(TypeError, match=r"bandwidth must be the number .*, got 'scott'"):
        merge_modes(points(1, 4, 2), bandwidth="scott")
