"""Exact facts of the method as hypothesis properties, on every array library."""

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kds_ref import log_density, log_density_gradient, mean_shift, select_particle, shadow_kernel, steer

SEEDS = st.integers(0, 2**32 - 1)
COUNTS = st.integers(1, 7)
DIMENSIONS = st.integers(1, 5)
BANDWIDTHS = st.floats(0.05, 20.0)
STRENGTHS = st.floats(0.0, 1.0)


def points(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def steered_points(xp: Any, p: np.ndarray, h: float, strength: float) -> np.ndarray:
    """Steer (N, D) points on the backend; back to NumPy."""
    return xp.numpy(steer(xp.array(p), bandwidth=h, strength=strength, patch_size=None)[0])


@given(SEEDS, COUNTS, DIMENSIONS, BANDWIDTHS, STRENGTHS)
def test_permuting_particles_permutes_the_result(xp: Any, seed: int, n: int, d: int, h: float, strength: float) -> None:
    p = points(seed, n, d)
    order = np.random.default_rng(seed + 1).permutation(n)
    permuted = steered_points(xp, p[order], h, strength)
    np.testing.assert_allclose(permuted, steered_points(xp, p, h, strength)[order], rtol=1e-12, atol=1e-12)


@given(SEEDS, COUNTS, DIMENSIONS, BANDWIDTHS, STRENGTHS)
def test_translating_translates(xp: Any, seed: int, n: int, d: int, h: float, strength: float) -> None:
    p, offset = points(seed, n, d), 10.0 * points(seed + 1, d)
    moved = steered_points(xp, p + offset, h, strength)
    # the rounding of p + offset (about 1e-14) is amplified by at most ||d|| / h^2 in the weights
    np.testing.assert_allclose(moved, steered_points(xp, p, h, strength) + offset, rtol=1e-11, atol=1e-10)


@given(SEEDS, COUNTS, DIMENSIONS, BANDWIDTHS, STRENGTHS)
def test_rotating_rotates(xp: Any, seed: int, n: int, d: int, h: float, strength: float) -> None:
    p = points(seed, n, d)
    rotation, _ = np.linalg.qr(points(seed + 1, d, d))
    rotated = steered_points(xp, p @ rotation.T, h, strength)
    np.testing.assert_allclose(rotated, steered_points(xp, p, h, strength) @ rotation.T, rtol=1e-9, atol=1e-10)


@given(SEEDS, st.floats(0.01, 100.0), COUNTS, BANDWIDTHS, STRENGTHS)
def test_scaling_points_and_bandwidth_scales(
    xp: Any, seed: int, scale: float, n: int, h: float, strength: float
) -> None:
    p = points(seed, n, 3)
    scaled = steered_points(xp, scale * p, scale * h, strength)
    np.testing.assert_allclose(scaled, scale * steered_points(xp, p, h, strength), rtol=1e-9, atol=1e-10 * scale)


@given(SEEDS, COUNTS, DIMENSIONS, BANDWIDTHS, STRENGTHS)
def test_stays_in_the_convex_hull(xp: Any, seed: int, n: int, d: int, h: float, strength: float) -> None:
    # a point is in the hull if and only if no direction has it beyond all particles
    p = points(seed, n, d)
    steered = steered_points(xp, p, h, strength)
    directions = np.concatenate([np.eye(d), points(seed + 1, 50, d)])
    reach = p @ directions.T  # (N, directions)
    inside = steered @ directions.T
    assert np.all(inside <= reach.max(axis=0) + 1e-12)
    assert np.all(inside >= reach.min(axis=0) - 1e-12)


@given(SEEDS, COUNTS, DIMENSIONS, BANDWIDTHS)
def test_a_full_shift_never_lowers_the_density(xp: Any, seed: int, n: int, d: int, h: float) -> None:
    p, query = points(seed, n, d), 2.0 * points(seed + 1, 4, d)
    particles = xp.array(p)
    before = xp.numpy(log_density(xp.array(query), particles, bandwidth=h))
    shifted = query + xp.numpy(mean_shift(xp.array(query), particles, bandwidth=h))
    after = xp.numpy(log_density(xp.array(shifted), particles, bandwidth=h))
    assert np.all(after >= before - 1e-11 * (1.0 + np.abs(before)))


def multiple_of_the_gradient(kernel: str, u: np.ndarray, h: float) -> np.ndarray:
    """m_G / grad log phat_S per query, from u (M, N): the last column of the table in kds_ref.kernels."""
    ball = np.maximum(1.0 - u, 0.0)
    if kernel == "gaussian":
        return np.full(len(u), h**2)
    if kernel == "laplacian":
        return h**2 * ((1.0 + np.sqrt(u)) * np.exp(-np.sqrt(u))).sum(axis=1) / np.exp(-np.sqrt(u)).sum(axis=1)
    if kernel == "epanechnikov":
        return h**2 * (ball**2).sum(axis=1) / (4.0 * ball.sum(axis=1))
    assert kernel == "flat"
    return h**2 * ball.sum(axis=1) / (2.0 * (u <= 1.0).sum(axis=1))


@pytest.mark.parametrize("kernel", ["gaussian", "laplacian", "epanechnikov", "flat"])
@given(SEEDS, COUNTS, DIMENSIONS, st.floats(0.3, 20.0))
def test_the_shift_is_a_positive_multiple_of_the_gradient_of_its_shadow(
    xp: Any, kernel: str, seed: int, n: int, d: int, h: float
) -> None:
    p = points(seed, n, d)
    query = p + h / np.sqrt(d) * points(seed + 1, n, d)
    u = ((query[:, None] - p[None]) ** 2).sum(axis=-1) / h**2
    assume(np.abs(u - 1.0).min() > 1e-6)  # the profile's rounding is amplified at the edge
    shift = xp.numpy(mean_shift(xp.array(query), xp.array(p), bandwidth=h, kernel=kernel))
    shadow = shadow_kernel(kernel)
    gradient = xp.numpy(log_density_gradient(xp.array(query), xp.array(p), bandwidth=h, kernel=shadow))
    reached = (u < 1.0).any(axis=1) | (kernel in ("gaussian", "laplacian"))
    multiple = multiple_of_the_gradient(kernel, u[reached], h)
    assert np.all(multiple > 0.0)
    np.testing.assert_allclose(shift[reached], multiple[:, None] * gradient[reached], rtol=1e-8, atol=1e-10)
    assert np.all(shift[~reached] == 0.0)
    assert np.all(gradient[~reached] == 0.0)


@given(SEEDS, COUNTS, DIMENSIONS, st.floats(1.01, 10.0))
def test_the_l2_shift_climbs_an_epanechnikov_density_that_reaches_all(
    xp: Any, seed: int, n: int, d: int, margin: float
) -> None:
    p, query = points(seed, n, d), points(seed + 1, 4, d)
    squared = ((query[:, None] - p[None]) ** 2).sum(axis=-1)
    wide = margin * float(np.sqrt(squared.max()))
    shift = xp.numpy(mean_shift(xp.array(query), xp.array(p), bandwidth=0.1, kernel="l2"))
    gradient = xp.numpy(log_density_gradient(xp.array(query), xp.array(p), bandwidth=wide, kernel="epanechnikov"))
    multiple = wide**2 / 2.0 * (1.0 - squared / wide**2).mean(axis=1, keepdims=True)
    np.testing.assert_allclose(shift, multiple * gradient, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kernel", ["gaussian", "laplacian", "epanechnikov", "flat", "biweight", "matern32"])
@given(SEEDS, COUNTS, DIMENSIONS, st.floats(0.3, 20.0))
def test_the_gradient_is_that_of_the_density(xp: Any, kernel: str, seed: int, n: int, d: int, h: float) -> None:
    p = points(seed, n, d)
    query, direction, step = p[0] + h * points(seed + 1, 3, d), points(seed + 2, d), 1e-5 * h
    direction /= np.linalg.norm(direction)
    distance = np.sqrt(((query[:, None] - p[None]) ** 2).sum(axis=-1)) / h
    # away from cusps and edges
    clear = (distance.min(axis=1) > 0.05) & (np.abs(distance - 1.0).min(axis=1) > 0.02)
    up, down = (
        xp.numpy(log_density(xp.array(query + s * step * direction), xp.array(p), bandwidth=h, kernel=kernel))[clear]
        for s in (1.0, -1.0)
    )
    gradient = xp.numpy(log_density_gradient(xp.array(query), xp.array(p), bandwidth=h, kernel=kernel))[clear]
    reached = np.isfinite(up)
    numeric = (up[reached] - down[reached]) / (2.0 * step)
    np.testing.assert_allclose(gradient[reached] @ direction, numeric, rtol=1e-4, atol=1e-5 / h)


@pytest.mark.parametrize("kernel", ["gaussian", "laplacian", "epanechnikov", "flat"])
@given(SEEDS, COUNTS, DIMENSIONS, BANDWIDTHS)
def test_a_full_shift_of_any_kernel_never_lowers_the_density_of_its_shadow(
    xp: Any, kernel: str, seed: int, n: int, d: int, h: float
) -> None:
    p, query = points(seed, n, d), 2.0 * points(seed + 1, 4, d)
    shifted = query + xp.numpy(mean_shift(xp.array(query), xp.array(p), bandwidth=h, kernel=kernel))
    before, after = (
        xp.numpy(log_density(xp.array(x), xp.array(p), bandwidth=h, kernel=shadow_kernel(kernel)))
        for x in (query, shifted)
    )
    reached = np.isfinite(before)
    assert np.all(after[reached] >= before[reached] - 1e-9 * (1.0 + np.abs(before[reached])))


@given(SEEDS, st.integers(2, 7), DIMENSIONS, BANDWIDTHS, STRENGTHS)
def test_the_range_of_every_coordinate_does_not_grow(
    xp: Any, seed: int, n: int, d: int, h: float, strength: float
) -> None:
    p = points(seed, n, d)
    steered = steered_points(xp, p, h, strength)
    spread, after = (np.ptp(x, axis=0) for x in (p, steered))
    assert np.all(after <= spread + 1e-12)


@given(SEEDS, st.integers(1, 3), st.integers(1, 4), BANDWIDTHS)
def test_ensembles_never_mix(xp: Any, seed: int, images: int, n: int, h: float) -> None:
    # whatever the other image is, this image's result is the same, bit for bit
    z = points(seed, images + 1, n, 2, 3, 3)
    other = z.copy()
    other[0] = 100.0 * points(seed + 1, n, 2, 3, 3)
    first, info = steer(xp.array(z), bandwidth=h)
    second, other_info = steer(xp.array(other), bandwidth=h)
    np.testing.assert_array_equal(xp.numpy(first)[1:], xp.numpy(second)[1:])
    np.testing.assert_array_equal(xp.numpy(info.shift_norm)[1:], xp.numpy(other_info.shift_norm)[1:])
    np.testing.assert_array_equal(
        xp.numpy(select_particle(xp.array(z)))[1:], xp.numpy(select_particle(xp.array(other)))[1:]
    )


@given(SEEDS, st.integers(1, 4), BANDWIDTHS)
def test_locations_never_mix(xp: Any, seed: int, n: int, h: float) -> None:
    z = points(seed, n, 2, 3, 3)
    other = z.copy()
    other[:, :, 0, 0] += 5.0 * points(seed + 1, n, 2)
    first, second = (xp.numpy(steer(xp.array(x), bandwidth=h)[0]) for x in (z, other))
    keep = np.ones((3, 3), dtype=bool)
    keep[0, 0] = False
    np.testing.assert_array_equal(first[..., keep], second[..., keep])


@given(SEEDS, COUNTS, BANDWIDTHS, STRENGTHS)
def test_numpy_and_this_library_agree(xp: Any, seed: int, n: int, h: float, strength: float) -> None:
    z = points(seed, n, 2, 3, 4)
    for patch_size in (1, 2, None):
        reference, info = steer(z, bandwidth=h, strength=strength, patch_size=patch_size)
        ours, our_info = steer(xp.array(z), bandwidth=h, strength=strength, patch_size=patch_size)
        np.testing.assert_allclose(xp.numpy(ours), reference, rtol=1e-11, atol=1e-12)
        np.testing.assert_allclose(xp.numpy(our_info.shift_norm), info.shift_norm, rtol=1e-8, atol=1e-12)
        np.testing.assert_allclose(xp.numpy(our_info.effective_particles), info.effective_particles, rtol=1e-10)


@given(SEEDS, st.integers(1, 6), st.sampled_from(["float32", "float64"]), st.floats(1e-6, 1e6))
def test_never_nan_and_info_in_range(xp: Any, seed: int, n: int, dtype: str, h: float) -> None:
    z = xp.array(100.0 * points(seed, n, 2, 2, 2), dtype)
    steered, info = steer(z, bandwidth=h, strength=1.0)
    xp.check_like(steered, z)
    assert np.all(np.isfinite(xp.numpy(steered)))
    effective = xp.numpy(info.effective_particles)
    assert np.all(effective >= 1.0 - 1e-6)
    assert np.all(effective <= n * (1.0 + 1e-6))
    assert np.all(xp.numpy(info.shift_norm) >= 0.0)


@given(SEEDS, st.integers(1, 6))
def test_selection_follows_a_permutation(xp: Any, seed: int, n: int) -> None:
    z = points(seed, n, 2, 3, 3)
    distance = np.sort(((z - z.mean(axis=0)) ** 2).sum(axis=(1, 2, 3)))
    assume(n == 1 or distance[1] - distance[0] > 1e-6)  # a tie is broken by order
    order = np.random.default_rng(seed + 1).permutation(n)
    chosen = int(xp.numpy(select_particle(xp.array(z[order]))))
    assert order[chosen] == int(select_particle(z))


@pytest.mark.parametrize("patch_size", [1, 2, None])
def test_inputs_are_never_written_to(xp: Any, patch_size: int | None) -> None:
    values = points(0, 4, 2, 3, 3)
    z = xp.array(values)
    steered, _ = steer(z, bandwidth=5.0, strength=1.0, patch_size=patch_size)
    assert np.abs(xp.numpy(steered) - values).max() > 0.01
    select_particle(z)
    mean_shift(z[0, 0, ...], z[1, 1, ...], bandwidth=1.0)
    log_density(z[0, 0, ...], z[1, 1, ...], bandwidth=1.0)
    np.testing.assert_array_equal(xp.numpy(z), values)
