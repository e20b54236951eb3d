"""Whatever the unit of the points nothing overflows or vanishes, and the limit h -> 0 is the nearest particle."""

from typing import Any

import numpy as np
import pytest

from kds_ref import log_density, mean_shift, median_bandwidth, seek_modes, select_particle, steer
from kds_ref.kernels import KERNELS

P = np.random.default_rng(0).normal(size=(7, 2))
Z = np.random.default_rng(1).normal(size=(5, 2, 8, 8))
UNITS = (1e-25, 1e-12, 1e12, 1e20)
every_unit = pytest.mark.parametrize("unit", UNITS)


@every_unit
@pytest.mark.parametrize("kernel", [name for name in KERNELS if name != "l2"])
def test_the_mean_shift_scales_with_points_and_bandwidth(xp: Any, kernel: str, unit: float) -> None:
    query, particles = P[:3] + 0.1, P
    expected = mean_shift(query, particles, bandwidth=1.3, kernel=kernel)
    for h in (1.3 * unit, xp.array(1.3 * unit, "float32")):
        shift = mean_shift(
            xp.array(query * unit, "float32"), xp.array(particles * unit, "float32"), bandwidth=h, kernel=kernel
        )
        np.testing.assert_allclose(xp.numpy(shift) / unit, expected, rtol=1e-4, atol=1e-5)


@every_unit
@pytest.mark.parametrize("bandwidth", [0.9, "median", "scott", "likelihood"])
def test_steering_and_its_diagnostics_scale(xp: Any, unit: float, bandwidth: Any) -> None:
    expected, expected_info = steer(Z, bandwidth=bandwidth)
    h = bandwidth if isinstance(bandwidth, str) else bandwidth * unit
    steered, info = steer(xp.array(Z * unit, "float32"), bandwidth=h)
    np.testing.assert_allclose(xp.numpy(steered) / unit, expected, rtol=2e-4, atol=2e-5)
    np.testing.assert_allclose(xp.numpy(info.shift_norm) / unit, expected_info.shift_norm, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(xp.numpy(info.effective_particles), expected_info.effective_particles, rtol=1e-3)


@pytest.mark.parametrize("unit", [1e-22, 1e20])
def test_modes_are_found_in_every_unit(xp: Any, unit: float) -> None:
    expected = seek_modes(P, P, bandwidth=0.8)
    found = seek_modes(xp.array(P * unit, "float32"), xp.array(P * unit, "float32"), bandwidth=0.8 * unit)
    assert int(xp.numpy(found.num_iterations).min()) > 0
    np.testing.assert_allclose(xp.numpy(found.points) / unit, expected.points, atol=1e-3)


@every_unit
def test_the_density_scales_by_the_volume(xp: Any, unit: float) -> None:
    expected = log_density(P[:3], P, bandwidth=0.7)
    ours = log_density(xp.array(P[:3] * unit, "float32"), xp.array(P * unit, "float32"), bandwidth=0.7 * unit)
    np.testing.assert_allclose(xp.numpy(ours) + 2.0 * np.log(unit), expected, rtol=1e-5, atol=1e-4)


# ---- h -> 0

MANY, ONE = np.asarray([[0.0], [0.0], [0.0], [0.0], [5.0]]), np.asarray([[1.0], [4.0], [2.4]])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kernel", ["gaussian", "laplacian", "matern32"])
def test_a_rule_that_gives_zero_moves_to_the_nearest_particle(xp: Any, dtype: str, kernel: str) -> None:
    query, particles = xp.array(ONE, dtype), xp.array(MANY, dtype)
    assert float(xp.numpy(median_bandwidth(particles))) == 0.0
    shift = xp.numpy(mean_shift(query, particles, bandwidth="median", kernel=kernel))
    np.testing.assert_allclose(shift.ravel(), [-1.0, 1.0, -2.4], rtol=1e-6)
    ends = xp.numpy(seek_modes(query, particles, bandwidth="median", kernel=kernel).points)
    np.testing.assert_allclose(ends.ravel(), [0.0, 5.0, 0.0], atol=1e-6)


def test_a_compact_kernel_reaches_nobody_in_the_limit(xp: Any) -> None:
    for kernel in ("flat", "epanechnikov"):
        shift = mean_shift(xp.array(ONE), xp.array(MANY), bandwidth="median", kernel=kernel)
        np.testing.assert_array_equal(xp.numpy(shift), 0.0)


@pytest.mark.parametrize("h", [1e-30, 1e-21, 1e-10])
def test_a_tiny_number_moves_to_the_nearest_particle(xp: Any, h: float) -> None:
    shift = xp.numpy(mean_shift(xp.array(ONE, "float32"), xp.array(MANY, "float32"), bandwidth=h))
    np.testing.assert_allclose(shift.ravel(), [-1.0, 1.0, -2.4], rtol=1e-6)


def test_a_query_beyond_all_squares_moves_to_the_nearest_particle(xp: Any) -> None:
    particles = xp.array([[1e19], [3e19]], "float32")  # whose squared distances overflow float32
    shift = xp.numpy(mean_shift(xp.array([[-2e19]], "float32"), particles, bandwidth=0.3))
    np.testing.assert_allclose(shift, [[3e19]], rtol=1e-6)


def test_particles_beyond_all_squares_are_told_apart(xp: Any) -> None:
    particles = xp.array([[3e19], [1e19]], "float32")
    shift = xp.numpy(mean_shift(xp.array([[0.0]], "float32"), particles, bandwidth=0.3))
    np.testing.assert_allclose(shift, [[1e19]], rtol=1e-6)


@pytest.mark.parametrize("h", [1e-100, 1e-30, 0.5])
def test_a_density_falls_with_the_square_of_the_distance_however_narrow(xp: Any, h: float) -> None:
    found = xp.numpy(log_density(xp.array([[1.0]]), xp.array([[0.0]]), bandwidth=h))
    np.testing.assert_allclose(found, [-0.5 / h / h - np.log(h) - 0.5 * np.log(2.0 * np.pi)], rtol=1e-12)


@pytest.mark.parametrize("unit", UNITS)
def test_large_ensembles_scale_too(xp: Any, unit: float) -> None:
    """They are gone through by pairs."""
    many = np.random.default_rng(2).normal(size=(10, 4, 16, 16))
    expected, _ = steer(many, bandwidth=1.4)
    steered, info = steer(xp.array(many * unit, "float32"), bandwidth=1.4 * unit)
    np.testing.assert_allclose(xp.numpy(steered) / unit, expected, rtol=2e-4, atol=2e-5)
    xp.check_like(info.effective_particles, steered, shape=(10, 256))


def test_distances_whose_squares_overflow_still_have_weight(xp: Any) -> None:
    shift = xp.numpy(mean_shift(xp.array([[0.0]], "float32"), xp.array([[0.0], [2e19]], "float32"), bandwidth=2e19))
    weight = np.exp(-0.5)
    np.testing.assert_allclose(shift, [[2e19 * weight / (1.0 + weight)]], rtol=1e-5)


def test_particles_stay_in_the_limit(xp: Any) -> None:
    shift = mean_shift(xp.array(MANY), xp.array(MANY), bandwidth="median")
    np.testing.assert_array_equal(xp.numpy(shift), 0.0)


@pytest.mark.parametrize("kernel", ["gaussian", "laplacian", "matern32"])
def test_particles_beyond_all_squares_stay(xp: Any, kernel: str) -> None:
    """Their u is infinite in float32: no weight at all, and no NaN."""
    z = np.asarray([0.0, 1e25]).reshape(2, 1, 1, 1)
    with np.errstate(over="ignore"):
        steered, info = steer(xp.array(z, "float32"), bandwidth=3.0, kernel=kernel)
    np.testing.assert_allclose(xp.numpy(steered), z, rtol=1e-6)
    np.testing.assert_array_equal(xp.numpy(info.shift_norm), 0.0)


# ---- the choice


@every_unit
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_choice_does_not_depend_on_the_unit(xp: Any, unit: float, dtype: str) -> None:
    scale = unit if dtype == "float32" else unit**8
    expected = int(select_particle(Z))
    assert expected > 0
    assert int(xp.numpy(select_particle(xp.array(Z * scale, dtype)))) == expected
    far_and_near = xp.array(np.stack([Z * scale, Z]), dtype)  # ensembles do not know of each other's units
    assert xp.numpy(select_particle(far_and_near)).tolist() == [expected, expected]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_of_two_particles_the_first_is_chosen(xp: Any, dtype: str, offset: float) -> None:
    for seed in range(40):
        z = np.random.default_rng(seed).normal(size=(2, 3, 5, 7)) + offset
        assert int(select_particle(xp.array(z, dtype))) == 0


def test_a_tie_is_within_rounding_and_no_wider(xp: Any) -> None:
    for dtype in ("float32", "float64"):
        eps = float(np.finfo(dtype).eps)
        for step, chosen in ((2.0 * eps, 0), (40.0 * eps, 2)):
            z = np.asarray([[-1.0 - step], [0.0 + 3.0], [1.0], [-3.0 + step]])  # mean 0; first and third are near
            assert int(select_particle(xp.array(z, dtype), sample_ndim=1)) == chosen
