"""Every kernel: its profile, slope and volume, its use as weights and as density, cusps and edges, one of your own."""

import math
import pickle
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from kds_ref import (
    Kernel,
    KernelDensitySteering,
    log_density,
    log_density_gradient,
    mean_shift,
    shadow_kernel,
    steer,
)

kernels = import_module("kds_ref.kernels")


def test_gaussian_profile_is_exp_of_minus_half_u() -> None:
    u = np.asarray([0.0, 1.0, 4.0])
    np.testing.assert_allclose(np.exp(kernels.GAUSSIAN.log_profile(u)), np.exp([0.0, -0.5, -2.0]))


def test_gaussian_slope_is_minus_twice_the_derivative_of_the_profile() -> None:
    u, step = np.linspace(0.1, 6.0, 30), 1e-6
    kernel = kernels.GAUSSIAN
    derivative = (np.exp(kernel.log_profile(u + step)) - np.exp(kernel.log_profile(u - step))) / (2 * step)
    np.testing.assert_allclose(np.exp(kernel.log_slope(u)), -2.0 * derivative, rtol=1e-8)


@pytest.mark.parametrize("dimension", [1, 2, 5])
def test_gaussian_volume_is_the_integral_of_the_profile(dimension: int) -> None:
    grid = np.linspace(-12.0, 12.0, 20001)
    one_axis = np.sum(np.exp(kernels.GAUSSIAN.log_profile(grid**2))) * (grid[1] - grid[0])
    assert math.exp(kernels.GAUSSIAN.log_volume(dimension)) == pytest.approx(one_axis**dimension, rel=1e-9)


def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"kernel must be one of gaussian, laplacian, ep.*, got 'gausian'"):
        steer(np.zeros((2, 1, 1, 1)), kernel="gausian")


def test_a_kernel_that_is_neither_name_nor_kernel_is_a_type_error() -> None:
    with pytest.raises(TypeError, match=r"kernel must be .*, got int"):
        mean_shift(np.zeros((1, 1)), np.zeros((1, 1)), bandwidth=1.0, kernel=3)  # type: ignore[arg-type]


def student(u: np.ndarray) -> np.ndarray:
    return -2.0 * np.log1p(u)


def student_slope(u: np.ndarray) -> np.ndarray:
    return math.log(4.0) - 3.0 * np.log1p(u)


# K(u) = (1 + u)^-2, -2 K'(u) = 4 (1 + u)^-3, which is not proportional to K; in one dimension it integrates
# to pi/2.
HEAVY_TAILED = Kernel("heavy", student, student_slope, lambda d: math.log(math.pi / 2.0))
WEIGHTS = Kernel("weights of heavy", lambda u: -3.0 * np.log1p(u), shadow=HEAVY_TAILED)


def test_gradient_with_a_kernel_that_is_not_its_own_shadow() -> None:
    r = np.random.default_rng(0)
    particles, query, h, step = r.normal(size=(6, 1)), r.normal(size=(9, 1)), 0.7, 1e-6

    def density(x: np.ndarray) -> np.ndarray:
        return log_density(x, particles, bandwidth=h, kernel=shadow_kernel(WEIGHTS))

    numeric = (density(query + step) - density(query - step)) / (2.0 * step)
    gradient = log_density_gradient(query, particles, bandwidth=h, kernel=HEAVY_TAILED)
    np.testing.assert_allclose(gradient[:, 0], numeric, rtol=1e-6)
    # grad log phat = (2/h^2) (sum g / sum K) m_g, with g = -K'
    u = (query - particles.T) ** 2 / h**2
    ratio = (np.exp(student_slope(u)) / 2.0).sum(axis=1) / np.exp(student(u)).sum(axis=1)
    shift = mean_shift(query, particles, bandwidth=h, kernel=WEIGHTS)
    np.testing.assert_allclose(gradient[:, 0], 2.0 / h**2 * ratio * shift[:, 0], rtol=1e-12)


def test_density_of_another_kernel_integrates_to_one() -> None:
    particles = np.asarray([[-1.0], [2.0]])
    grid = np.linspace(-400.0, 400.0, 400001)[:, None]
    log_p = log_density(grid, particles, bandwidth=0.5, kernel=HEAVY_TAILED)
    assert np.exp(log_p).sum() * (grid[1, 0] - grid[0, 0]) == pytest.approx(1.0, abs=1e-6)


# ---- the listed kernels

PROFILES: dict[str, Callable[[float], float]] = {
    "gaussian": lambda u: math.exp(-0.5 * u),
    "laplacian": lambda u: math.exp(-math.sqrt(u)),
    "epanechnikov": lambda u: max(1.0 - u, 0.0),
    "flat": lambda u: 1.0 if u <= 1.0 else 0.0,
    "l2": lambda u: 1.0,
    "biweight": lambda u: max(1.0 - u, 0.0) ** 2,
    "matern32": lambda u: (1.0 + math.sqrt(u)) * math.exp(-math.sqrt(u)),
}
DENSITIES = sorted(set(PROFILES) - {"l2"})
COMPACT = ["epanechnikov", "flat", "biweight"]  # 0 beyond u = 1


def test_every_listed_kernel_is_tested_and_says_where_it_comes_from() -> None:
    assert set(PROFILES) == set(kernels.KERNELS)
    assert all(kernel.name == name and len(kernel.citation) > 20 for name, kernel in kernels.KERNELS.items())


@pytest.mark.parametrize("name", PROFILES)
def test_profile_is_the_stated_formula(xp: Any, name: str) -> None:
    u = xp.array([0.0, 1e-30, 0.25, 1.0, 1.0 + 1e-12, 4.0, 700.0])
    profile = kernels.KERNELS[name].log_profile(u)
    xp.check_like(profile, u)
    np.testing.assert_allclose(np.exp(xp.numpy(profile)), [PROFILES[name](v) for v in xp.numpy(u)], rtol=1e-13)


@pytest.mark.parametrize("name", sorted(set(DENSITIES) - {"flat"}))
def test_slope_is_minus_twice_the_derivative(name: str) -> None:
    u, step = np.linspace(0.1, 0.9, 9), 1e-6
    numeric = [-(PROFILES[name](v + step) - PROFILES[name](v - step)) / step for v in u]
    np.testing.assert_allclose(np.exp(kernels.KERNELS[name].log_slope(u)), numeric, rtol=1e-8)


def test_the_flat_kernel_has_no_slope() -> None:
    assert np.all(kernels.FLAT.log_slope(np.asarray([0.0, 0.5, 1.0, 2.0])) == -math.inf)


def test_the_cusp_of_the_laplacian_has_no_weight_in_a_slope() -> None:
    slope = kernels.LAPLACIAN.log_slope(np.asarray([0.0, 1.0]))
    assert slope.tolist() == [-math.inf, -1.0]


@pytest.mark.parametrize("dimension", [1, 2, 3, 7])
@pytest.mark.parametrize("name", DENSITIES)
def test_volume_is_the_radial_integral(name: str, dimension: int) -> None:
    integrate = pytest.importorskip("scipy.integrate")
    surface = 2.0 * math.pi ** (dimension / 2) / math.gamma(dimension / 2)
    end = 1.0 if name in COMPACT else 60.0
    integral, _ = integrate.quad(lambda r: r ** (dimension - 1) * PROFILES[name](r * r), 0.0, end, limit=200)
    volume = math.exp(kernels.KERNELS[name].log_volume(dimension))
    assert volume == pytest.approx(surface * integral, rel=1e-8)


@pytest.mark.parametrize(
    ("name", "theirs"), [("laplacian", "exponential"), ("epanechnikov", "epanechnikov"), ("flat", "tophat")]
)
@pytest.mark.parametrize("dimension", [1, 2, 5])
def test_density_equals_scikit_learn(name: str, theirs: str, dimension: int) -> None:
    neighbors = pytest.importorskip("sklearn.neighbors")
    r = np.random.default_rng(dimension)
    particles, query, h = r.normal(size=(12, dimension)), r.normal(size=(20, dimension)), 1.7
    reference = neighbors.KernelDensity(kernel=theirs, bandwidth=h, rtol=0, atol=0).fit(particles)
    value, expected = log_density(query, particles, bandwidth=h, kernel=name), reference.score_samples(query)
    reached = np.isfinite(value)
    np.testing.assert_array_equal(reached, expected > -700.0)  # scikit-learn's log(0) is -745 or -inf
    assert reached.sum() >= 5
    np.testing.assert_allclose(value[reached], expected[reached], rtol=1e-9)


def test_equal_weights_give_the_mean_whatever_the_bandwidth(xp: Any) -> None:
    r = np.random.default_rng(5)
    particles, query = r.normal(size=(6, 3)), r.normal(size=(4, 3))
    for h in (1e-5, 1.0, 1e5):
        shift = mean_shift(xp.array(query), xp.array(particles), bandwidth=h, kernel="l2")
        np.testing.assert_allclose(xp.numpy(shift), particles.mean(axis=0) - query, rtol=1e-13)


def test_flat_is_the_mean_of_the_particles_within_the_bandwidth_edge_included(xp: Any) -> None:
    particles = xp.array([[0.0], [1.0], [2.0], [9.0]])
    shift = mean_shift(particles, particles, bandwidth=1.0, kernel="flat")
    np.testing.assert_allclose(xp.numpy(shift)[:, 0], [0.5, 0.0, -0.5, 0.0], rtol=1e-15)


@pytest.mark.parametrize("name", sorted(set(PROFILES) - {"gaussian"}))
def test_steer_uses_the_named_weights(xp: Any, name: str) -> None:
    z, h = np.random.default_rng(6).normal(size=(5, 2, 2, 2)), 1.3
    steered, info = steer(xp.array(z), bandwidth=h, strength=0.6, kernel=name)
    for row, column in np.ndindex(2, 2):
        p = z[:, :, row, column]
        weights = np.asarray([[PROFILES[name](((a - b) ** 2).sum() / h**2) for b in p] for a in p])
        weights /= weights.sum(axis=1, keepdims=True)
        expected = p + 0.6 * (weights @ p - p)
        np.testing.assert_allclose(xp.numpy(steered)[:, :, row, column], expected, rtol=1e-11, atol=1e-13)
        effective = xp.numpy(info.effective_particles)[:, 2 * row + column]
        np.testing.assert_allclose(effective, 1.0 / (weights**2).sum(axis=1), rtol=1e-11)


# ---- no weight anywhere, cusps and edges


@pytest.mark.parametrize("name", COMPACT)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_query_out_of_reach_stays_and_has_no_density(xp: Any, name: str, dtype: str) -> None:
    query, particles = xp.array([[3.5], [0.25]], dtype), xp.array([[0.0], [1.0]], dtype)
    assert xp.numpy(log_density(query, particles, bandwidth=2.0, kernel=name))[0] == -math.inf
    assert np.isfinite(xp.numpy(log_density(query, particles, bandwidth=2.0, kernel=name))[1])
    for function in (mean_shift, log_density_gradient):
        assert xp.numpy(function(query, particles, bandwidth=2.0, kernel=name))[0] == 0.0


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_cusps_and_edges_are_finite(xp: Any, name: str) -> None:
    # queries: on a particle, a rounding away from it, on the edge of the ball, a rounding inside, outside
    for dtype in ("float32", "float64"):
        edge = 2.0 - (1e-7 if dtype == "float32" else 3e-16)
        query = xp.array([[0.0], [1e-30], [2.0], [edge], [2.0 + 1e-6]], dtype)
        particles = xp.array([[0.0]], dtype)
        shift = xp.numpy(mean_shift(query, particles, bandwidth=2.0, kernel=name))
        assert np.all(np.isfinite(shift))
        assert shift[0, 0] == 0.0
        if name != "l2":
            value = xp.numpy(log_density(query, particles, bandwidth=2.0, kernel=name))
            assert not np.any(np.isnan(value))
            assert np.all(value < math.inf)
            gradient = xp.numpy(log_density_gradient(query, particles, bandwidth=2.0, kernel=name))
            assert np.all(np.isfinite(gradient))
            assert gradient[0, 0] == 0.0
            assert np.all(gradient[np.isneginf(value)] == 0.0)


def test_the_cusp_of_a_laplacian_density_leaves_the_pull_of_the_others() -> None:
    # at the particle 0 of {0, 1} the slope is that of exp(-|x - 1|) alone, over the whole density
    particles = np.asarray([[0.0], [1.0]])
    gradient = log_density_gradient(particles[:1], particles, bandwidth=1.0, kernel="laplacian")
    assert gradient[0, 0] == pytest.approx(math.exp(-1.0) / (1.0 + math.exp(-1.0)), rel=1e-14)


def test_a_gradient_at_the_inner_edge_is_the_slope_from_inside() -> None:
    # Epanechnikov, h = 1: particles at 0 and 1 seen from 1: the sum of profiles is 1, its derivative -2 and 0
    particles = np.asarray([[0.0], [1.0]])
    gradient = log_density_gradient(particles[1:], particles, bandwidth=1.0, kernel="epanechnikov")
    assert gradient[0, 0] == pytest.approx(-2.0, rel=1e-14)


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_torch_differentiates_every_kernel_through_steer(name: str) -> None:
    torch = pytest.importorskip("torch")
    z = torch.tensor(np.random.default_rng(8).normal(size=(4, 2, 1, 2)), requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: steer(x, bandwidth=1.9, kernel=name)[0], (z,))


# ---- a kernel of the user's own


@pytest.mark.parametrize("name", DENSITIES)
def test_values_of_the_packages_own_kernels_are_trusted(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    monkeypatch.setattr(kernels, "holds", lambda condition, values, xp: looked.append(1) or True)
    p = np.asarray([[0.0], [0.5]])
    log_density_gradient(p, p, bandwidth=1.0, kernel=name)
    assert not looked
    own = kernels.KERNELS[name]._replace(citation="mine")
    log_density_gradient(p, p, bandwidth=1.0, kernel=own)
    assert looked == [1, 1]  # slope and profile


def test_a_profile_is_enough_for_the_shift_and_what_is_missing_is_named() -> None:
    p = np.asarray([[0.0], [1.0]])
    only_weights = Kernel("own", lambda u: -u)
    np.testing.assert_allclose(
        mean_shift(p, p, bandwidth=1.0, kernel=only_weights), mean_shift(p, p, bandwidth=math.sqrt(0.5))
    )
    with pytest.raises(ValueError, match=r"kernel must have a log_volume for a density, got 'own' without"):
        log_density(p, p, bandwidth=1.0, kernel=only_weights)
    with pytest.raises(ValueError, match=r"kernel must have a log_slope for the gradient, got 'own' without"):
        log_density_gradient(p, p, bandwidth=1.0, kernel=only_weights)
    with pytest.raises(ValueError, match=r"kernel must have a shadow, got 'own' without"):
        shadow_kernel(only_weights)


def test_equal_weights_make_no_density() -> None:
    p = np.zeros((2, 1))
    with pytest.raises(ValueError, match=r"kernel must have a log_volume for a density, got 'l2' without"):
        log_density(p, p, bandwidth=1.0, kernel="l2")
    with pytest.raises(ValueError, match=r"kernel must have a log_slope for the gradient, got 'l2' without"):
        log_density_gradient(p, p, bandwidth=1.0, kernel="l2")


BAD_PROFILES: list[tuple[Callable[[Any], Any], type[Exception], str]] = [
    (lambda u: u[..., :1], ValueError, r"log_profile of kernel 'own' must return the shape of u, .*, got .*3, 1\)"),
    (lambda u: u + np.nan, ValueError, r"log_profile of kernel 'own' must return less than \+inf, got NaN"),
    (
        lambda u: np.where(u == 0.0, np.inf, -u),
        ValueError,
        r"log_profile of kernel 'own' must return less than \+inf, got NaN",
    ),
    (lambda u: 0.0, TypeError, "log_profile of kernel 'own' must return the l.*, got float of dtype None"),
    (
        lambda u: u.astype(np.float32),
        TypeError,
        "log_profile of kernel 'own' must return the l.*, got ndarray of dtype float32",
    ),
    (None, TypeError, "kernel.log_profile must be .*, got NoneType"),  # type: ignore[list-item]
]


@pytest.mark.parametrize(("profile", "error", "message"), BAD_PROFILES, ids=[case[2] for case in BAD_PROFILES])
def test_a_bad_profile_is_named(profile: Callable[[Any], Any], error: type[Exception], message: str) -> None:
    kernel = Kernel("own", profile, profile, lambda d: 0.0)
    p = np.asarray([[0.0], [0.5], [2.0]])
    calls: list[Callable[[], Any]] = [
        lambda: mean_shift(p, p, bandwidth=1.0, kernel=kernel),
        lambda: log_density(p, p, bandwidth=1.0, kernel=kernel),
        lambda: steer(p, patch_size=None, kernel=kernel),
    ]
    for call in calls:
        with pytest.raises(error, match=message):
            call()


def test_a_bad_slope_is_named() -> None:
    p = np.zeros((2, 1))
    kernel = Kernel("own", lambda u: -u, lambda u: u + np.nan, lambda d: 0.0)
    with pytest.raises(ValueError, match=r"log_slope of kernel 'own' must return less than .inf, got NaN"):
        log_density_gradient(p, p, bandwidth=1.0, kernel=kernel)


def test_a_profile_that_is_zero_everywhere_moves_nothing(xp: Any) -> None:
    nothing = Kernel("nothing", lambda u: 0.0 * u - math.inf)
    z = xp.array(np.random.default_rng(9).normal(size=(3, 1, 2, 2)))
    steered, info = steer(z, kernel=nothing)
    np.testing.assert_array_equal(xp.numpy(steered), xp.numpy(z))
    assert np.all(xp.numpy(info.effective_particles) == 0.0)


@pytest.mark.parametrize("kernel", kernels.KERNELS)
def test_kernels_can_be_pickled(kernel: str) -> None:
    u = np.linspace(0.0, 2.0, 9)
    for one in (kernels.get_kernel(kernel), KernelDensitySteering(kernel=kernels.get_kernel(kernel)).kernel):
        again = pickle.loads(pickle.dumps(one))
        np.testing.assert_array_equal(again.log_profile(u), one.log_profile(u))
        assert again == one
    shadow = kernels.get_kernel(kernel).shadow
    if shadow is not None:
        assert pickle.loads(pickle.dumps(shadow_kernel(kernel))) == kernels.get_kernel(shadow)
