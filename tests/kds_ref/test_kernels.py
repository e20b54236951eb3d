"""The Gaussian profile, and that a new kernel is one entry that all functions then use."""

import math
from importlib import import_module

import numpy as np
import pytest

from kds_ref import Kernel, log_density, log_density_gradient, mean_shift, steer

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
    with pytest.raises(ValueError, match="kernel is 'gausian'; known kernels: gaussian"):
        steer(np.zeros((2, 1, 1, 1)), kernel="gausian")


def test_a_kernel_that_is_neither_name_nor_kernel_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="kernel is a int"):
        mean_shift(np.zeros((1, 1)), np.zeros((1, 1)), bandwidth=1.0, kernel=3)  # type: ignore[arg-type]


def student(u: np.ndarray) -> np.ndarray:
    return -2.0 * np.log1p(u)


def student_slope(u: np.ndarray) -> np.ndarray:
    return math.log(4.0) - 3.0 * np.log1p(u)


# K(u) = (1 + u)^-2, -2 K'(u) = 4 (1 + u)^-3, which is not proportional to K; in one dimension it integrates
# to pi/2.
HEAVY_TAILED = Kernel("heavy", student, student_slope, lambda d: math.log(math.pi / 2.0))


def test_gradient_with_a_kernel_that_is_not_its_own_shadow() -> None:
    r = np.random.default_rng(0)
    particles, query, h, step = r.normal(size=(6, 1)), r.normal(size=(9, 1)), 0.7, 1e-6

    def density(x: np.ndarray) -> np.ndarray:
        return log_density(x, particles, bandwidth=h, kernel=HEAVY_TAILED)

    numeric = (density(query + step) - density(query - step)) / (2.0 * step)
    gradient = log_density_gradient(query, particles, bandwidth=h, kernel=HEAVY_TAILED)
    np.testing.assert_allclose(gradient[:, 0], numeric, rtol=1e-6)
    # grad log phat = (2/h^2) (sum g / sum K) m_g, with g = -K'
    u = (query - particles.T) ** 2 / h**2
    ratio = (np.exp(student_slope(u)) / 2.0).sum(axis=1) / np.exp(student(u)).sum(axis=1)
    shift = mean_shift(query, particles, bandwidth=h, kernel=HEAVY_TAILED)
    np.testing.assert_allclose(gradient[:, 0], 2.0 / h**2 * ratio * shift[:, 0], rtol=1e-12)


def test_density_of_another_kernel_integrates_to_one() -> None:
    particles = np.asarray([[-1.0], [2.0]])
    grid = np.linspace(-400.0, 400.0, 400001)[:, None]
    log_p = log_density(grid, particles, bandwidth=0.5, kernel=HEAVY_TAILED)
    assert np.exp(log_p).sum() * (grid[1, 0] - grid[0, 0]) == pytest.approx(1.0, abs=1e-6)
