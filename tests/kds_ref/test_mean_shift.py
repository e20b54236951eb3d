"""mean_shift: by hand, against plain loops, at its limits."""

import math
from typing import Any

import numpy as np
import pytest

from kds_ref import log_density, mean_shift

R = np.random.default_rng(7)
PARTICLES = R.normal(size=(6, 3))
QUERY = R.normal(size=(4, 3))


def test_worked_by_hand(xp: Any) -> None:
    # particles at 0 and 2, h = 1, seen from 0: weights 1 and e^-2, so m = 2 e^-2 / (1 + e^-2)
    particles = xp.array([[0.0], [2.0]])
    shift = mean_shift(particles, particles, bandwidth=1.0)
    m = 2.0 * math.exp(-2.0) / (1.0 + math.exp(-2.0))
    xp.check_like(shift, particles)
    np.testing.assert_allclose(xp.numpy(shift), [[m], [-m]], rtol=1e-14)


@pytest.mark.parametrize("bandwidth", [0.2, 1.0, 3.0])
def test_equals_plain_loops(xp: Any, oracle: Any, bandwidth: float) -> None:
    shift = mean_shift(xp.array(QUERY), xp.array(PARTICLES), bandwidth=bandwidth)
    expected = oracle.mean_shift(QUERY, PARTICLES, bandwidth)
    np.testing.assert_allclose(xp.numpy(shift), expected, rtol=1e-11, atol=1e-14)


def test_leading_axes_are_a_loop_and_broadcast(xp: Any) -> None:
    r = np.random.default_rng(8)
    query, particles = r.normal(size=(2, 1, 4, 3)), r.normal(size=(3, 6, 3))
    shift = xp.numpy(mean_shift(xp.array(query), xp.array(particles), bandwidth=0.8))
    assert shift.shape == (2, 3, 4, 3)
    for i, j in np.ndindex(2, 3):
        one = mean_shift(query[i, 0], particles[j], bandwidth=0.8)
        np.testing.assert_allclose(shift[i, j], one, rtol=1e-12, atol=1e-15)


def test_several_blocks_equal_one(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = mean_shift(QUERY, PARTICLES, bandwidth=0.5)
    monkeypatch.setattr("kds_ref._distances._MIN_BLOCK", 1)
    np.testing.assert_allclose(mean_shift(QUERY, PARTICLES, bandwidth=0.5), whole, rtol=1e-13)


def test_one_particle_does_not_move(xp: Any) -> None:
    particle = xp.array([[1.5, -2.0]])
    assert np.all(xp.numpy(mean_shift(particle, particle, bandwidth=0.3)) == 0.0)


def test_equal_particles_do_not_move(xp: Any) -> None:
    particles = xp.array(np.tile([0.1, 0.7, -0.3], (5, 1)), "float32")
    assert np.all(xp.numpy(mean_shift(particles, particles, bandwidth=0.3)) == 0.0)


def test_duplicates_count_twice(oracle: Any) -> None:
    doubled = PARTICLES[[0, 0, 1]]
    weights = oracle.weights(QUERY[0], PARTICLES[:2], 0.9)
    w = 2.0 * weights[0] / (2.0 * weights[0] + weights[1])
    expected = w * PARTICLES[0] + (1.0 - w) * PARTICLES[1] - QUERY[0]
    np.testing.assert_allclose(mean_shift(QUERY[:1], doubled, bandwidth=0.9)[0], expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_wide_kernel_moves_to_the_ensemble_mean(xp: Any, dtype: str) -> None:
    shift = mean_shift(xp.array(QUERY, dtype), xp.array(PARTICLES, dtype), bandwidth=1e6)
    np.testing.assert_allclose(xp.numpy(shift), PARTICLES.mean(axis=0) - QUERY, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("bandwidth", [1e-6, 1e-20, 1e-37])
def test_tiny_bandwidth_leaves_every_particle_where_it_is(xp: Any, bandwidth: float) -> None:
    particles = xp.array(PARTICLES, "float32")
    assert np.all(xp.numpy(mean_shift(particles, particles, bandwidth=bandwidth)) == 0.0)


def test_tiny_bandwidth_sends_another_point_to_its_nearest_particle(xp: Any) -> None:
    shift = mean_shift(xp.array(QUERY), xp.array(PARTICLES), bandwidth=1e-6)
    nearest = PARTICLES[np.argmin(((QUERY[:, None] - PARTICLES[None]) ** 2).sum(-1), axis=1)]
    np.testing.assert_allclose(xp.numpy(shift), nearest - QUERY, rtol=1e-14)


def test_sixteen_thousand_dimensions(xp: Any) -> None:
    particles = xp.array(np.random.default_rng(0).normal(size=(4, 16384)), "float32")
    assert np.all(xp.numpy(mean_shift(particles, particles, bandwidth=1e-6)) == 0.0)
    assert np.all(xp.numpy(mean_shift(particles, particles, bandwidth=0.3)) == 0.0)
    wide = xp.numpy(mean_shift(particles, particles, bandwidth=1e4))
    centre = xp.numpy(particles).mean(axis=0)
    np.testing.assert_allclose(wide, centre - xp.numpy(particles), rtol=1e-2, atol=1e-3)


def test_vanishes_at_a_mode_and_iterating_it_finds_one() -> None:
    # the centre of a symmetric cross is a mode while the kernel is wide
    cross = np.asarray([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    np.testing.assert_allclose(mean_shift(np.zeros((1, 2)), cross, bandwidth=2.0), 0.0, atol=1e-16)
    x = QUERY[:1].copy()
    for _ in range(2000):
        x = x + mean_shift(x, PARTICLES, bandwidth=0.6)
    np.testing.assert_allclose(mean_shift(x, PARTICLES, bandwidth=0.6), 0.0, atol=1e-12)
    around = x + 1e-3 * np.random.default_rng(1).normal(size=(50, 3))
    assert np.all(log_density(around, PARTICLES, bandwidth=0.6) < log_density(x, PARTICLES, bandwidth=0.6))


def test_is_softmax_attention_over_particles() -> None:
    # queries p_i, keys and values p_k, scale 1/h^2, bias -||p_k||^2 / (2 h^2)
    torch = pytest.importorskip("torch")
    p, h = torch.tensor(PARTICLES), 0.8
    bias = (-0.5 / h**2 * (p * p).sum(-1)).expand(6, 6)
    attention = torch.nn.functional.scaled_dot_product_attention
    mixed = attention(p[None], p[None], p[None], attn_mask=bias[None], scale=1.0 / h**2)[0]
    np.testing.assert_allclose(mean_shift(PARTICLES, PARTICLES, bandwidth=h), (mixed - p).numpy(), rtol=1e-11)


@pytest.mark.parametrize(("dimension", "expected", "scatter"), [(8, 0.62, 0.02), (128, 1.0, 1e-12)])
def test_weight_of_a_patch_on_itself_grows_with_its_size(dimension: int, expected: float, scatter: float) -> None:
    # Ten particles with a spread of 0.2 per dimension at h = 0.3: "large patches" are partly underflow.
    # Mean over 200 ensembles; a single one of 8 dimensions scatters by 0.09, so that 0.56 is a usual draw.
    # w_ii = K(0) / sum_k K = 1 / (N h^d (2 pi)^(d/2) phat(p_i))
    p, h = 0.2 * np.random.default_rng(0).normal(size=(200, 10, dimension)), 0.3
    log_norm = math.log(10.0) + dimension * (math.log(h) + 0.5 * math.log(2.0 * math.pi))
    own = np.exp(-log_norm - log_density(p, p, bandwidth=h))
    assert own.mean() == pytest.approx(expected, abs=scatter)
    assert abs(own.mean(axis=1) - 0.56).min() < 0.01 or dimension == 128
