"""Bandwidths as arrays and rules in steer, mean_shift and the density; h scaled with the dimension of a patch."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kds_ref import (
    KernelDensitySteering,
    likelihood_bandwidth,
    log_density,
    log_density_gradient,
    mean_shift,
    median_bandwidth,
    patchify,
    scott_bandwidth,
    silverman_bandwidth,
    steer,
)
from kds_ref._arrays import common_namespace
from kds_ref._locations import Layout, location_dimensions
from kds_ref._patch_grid import patch_grid

RULES = {
    "median": median_bandwidth,
    "scott": scott_bandwidth,
    "silverman": silverman_bandwidth,
    "likelihood": likelihood_bandwidth,
}
R = np.random.default_rng(31)
Z = R.normal(size=(2, 5, 3, 4, 6))  # images, particles, channels, height, width
every_rule = pytest.mark.parametrize("name", RULES)


def locations(z: np.ndarray, patch_size: int) -> np.ndarray:
    return np.swapaxes(patchify(z, patch_size=patch_size), -3, -2)  # (..., L, N, D)


@pytest.mark.parametrize("shape", [(2,), (2, 1), (1, 24), (2, 24), ()])
def test_an_array_is_a_loop_over_ensembles_and_locations(xp: Any, shape: tuple[int, ...]) -> None:
    h = np.random.default_rng(1).uniform(0.4, 2.0, size=shape)
    steered, info = steer(xp.array(Z), bandwidth=xp.array(h), strength=0.7)
    full = np.broadcast_to(h[:, None] if shape == (2,) else h, (2, 24))
    xp.check_like(info.bandwidth, xp.array(Z), shape=(2, 24))
    np.testing.assert_array_equal(xp.numpy(info.bandwidth), full)
    for image, location in np.ndindex(2, 24):
        row, column = divmod(location, 6)
        one, one_info = steer(
            Z[image, ..., row : row + 1, column : column + 1], bandwidth=float(full[image, location]), strength=0.7
        )
        np.testing.assert_allclose(xp.numpy(steered)[image, ..., row, column], one[..., 0, 0], rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(xp.numpy(info.shift_norm)[image, :, location], one_info.shift_norm[:, 0], rtol=1e-10)


def test_one_ensemble_has_one_bandwidth_or_one_per_location(xp: Any) -> None:
    h = np.linspace(0.5, 1.5, 24)
    steered, info = steer(xp.array(Z[0]), bandwidth=xp.array(h))
    assert tuple(info.bandwidth.shape) == (24,)
    batch, _ = steer(Z[:1], bandwidth=h[None])
    np.testing.assert_allclose(xp.numpy(steered), batch[0], rtol=1e-13)
    one, info = steer(xp.array(Z[0]), bandwidth=xp.array(0.8))
    assert np.all(xp.numpy(info.bandwidth) == 0.8)
    np.testing.assert_allclose(xp.numpy(one), steer(Z[0], bandwidth=0.8)[0], rtol=1e-13)


def test_a_number_stays_a_float_in_info() -> None:
    for h in (0.7, np.float32(0.7), 1):
        _, info = steer(Z, bandwidth=h)
        assert type(info.bandwidth) is float
        assert info.bandwidth == float(h)


@every_rule
@pytest.mark.parametrize("patch_size", [1, 2])
def test_a_rule_reads_the_patches_of_each_location(xp: Any, name: str, patch_size: int) -> None:
    expected = RULES[name](locations(Z, patch_size))  # (2, L)
    steered, info = steer(xp.array(Z), bandwidth=name, patch_size=patch_size)
    np.testing.assert_allclose(xp.numpy(info.bandwidth), expected, rtol=1e-12)
    by_hand, _ = steer(Z, bandwidth=expected, patch_size=patch_size)
    np.testing.assert_allclose(xp.numpy(steered), by_hand, rtol=1e-11, atol=1e-13)
    assert np.abs(by_hand - Z).max() > 0.001


@every_rule
def test_a_rule_serves_the_shift_and_the_density(xp: Any, name: str) -> None:
    p, query = R.normal(size=(3, 6, 2)), R.normal(size=(3, 4, 2))
    h = RULES[name](p)
    for function in (mean_shift, log_density, log_density_gradient):
        single = function(xp.array(query[0]), xp.array(p[0]), bandwidth=name)
        np.testing.assert_allclose(xp.numpy(single), function(query[0], p[0], bandwidth=float(h[0])), rtol=1e-10)
        ours = function(xp.array(query), xp.array(p), bandwidth=name)
        each = [function(query[i], p[i], bandwidth=float(h[i])) for i in range(3)]
        np.testing.assert_allclose(xp.numpy(ours), each, rtol=1e-10)
        np.testing.assert_allclose(function(query, p, bandwidth=h), each, rtol=1e-10)


@every_rule
@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 6), c=st.floats(1e-6, 1e6))
def test_steering_by_a_rule_knows_no_unit(xp: Any, name: str, seed: int, n: int, c: float) -> None:
    z = np.random.default_rng(seed).normal(size=(n, 2, 1, 2))
    ours, scaled = (xp.numpy(steer(xp.array(x), bandwidth=name)[0]) for x in (z, c * z))
    np.testing.assert_allclose(scaled, c * ours, rtol=1e-6, atol=1e-8 * c)


@every_rule
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_equal_particles_have_bandwidth_zero_and_stay(xp: Any, name: str, dtype: str) -> None:
    values = R.normal(size=(4, 2, 1, 2))
    values[:, :, 0, 0] = values[0, :, 0, 0]  # the particles agree on the first pixel only
    z = xp.array(values, dtype)
    steered, info = steer(z, bandwidth=name, strength=1.0)
    h = xp.numpy(info.bandwidth)
    assert h[0] == 0.0 < h[1]
    np.testing.assert_array_equal(xp.numpy(steered)[..., 0], xp.numpy(z)[..., 0])
    assert np.all(xp.numpy(info.effective_particles)[:, 0] == 4.0)
    assert np.abs(xp.numpy(steered) - xp.numpy(z))[..., 1].max() > 1e-3
    one = xp.array(values[:1], dtype)
    steered, info = steer(one, bandwidth=name, strength=1.0)
    np.testing.assert_array_equal(xp.numpy(steered), xp.numpy(one))
    assert np.all(xp.numpy(info.bandwidth) == 0.0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_rule_of_equal_particles_sends_another_point_to_them(xp: Any, dtype: str) -> None:
    query, particles = xp.array([[3.0], [1.0]], dtype), xp.array([[1.0], [1.0]], dtype)
    assert xp.numpy(mean_shift(query, particles, bandwidth="median")).tolist() == [[-2.0], [0.0]]


@pytest.mark.parametrize("h", [1e-37, 1e-6, 1e30])
def test_extreme_arrays_behave_as_extreme_numbers(xp: Any, h: float) -> None:
    z = xp.array(Z, "float32")
    steered, info = steer(z, bandwidth=xp.array([h, h], "float32"), strength=1.0)
    number, number_info = steer(z, bandwidth=h, strength=1.0)
    np.testing.assert_allclose(xp.numpy(steered), xp.numpy(number), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(xp.numpy(info.effective_particles), xp.numpy(number_info.effective_particles), rtol=1e-5)


def test_bandwidths_in_another_precision_are_taken() -> None:
    for dtype in (np.float16, np.float32, np.float64):
        steered, info = steer(Z.astype(np.float32), bandwidth=np.asarray([0.5, 2.0], dtype=dtype))
        assert steered.dtype == info.bandwidth.dtype == np.float32
        np.testing.assert_array_equal(steered, steer(Z.astype(np.float32), bandwidth=np.asarray([0.5, 2.0], "f4"))[0])


def test_bandwidths_of_less_precision_are_checked_as_what_they_become() -> None:
    h = np.asarray([0.5, 2.0], dtype=np.float32)
    np.testing.assert_array_equal(steer(Z, bandwidth=h)[0], steer(Z, bandwidth=h.astype(np.float64))[0])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_least_and_the_largest_normal_number_are_bandwidths(dtype: str) -> None:
    info = np.finfo(dtype)
    z = Z.astype(dtype)
    least = np.asarray([info.smallest_normal, info.max], dtype=dtype)
    steered, used = steer(z, bandwidth=least, strength=1.0)
    np.testing.assert_array_equal(steered[0], z[0])
    np.testing.assert_allclose(steered[1], np.broadcast_to(z[1].mean(axis=0), z[1].shape), atol=1e-6)
    np.testing.assert_array_equal(used.bandwidth[:, 0], least)
    with pytest.raises(ValueError, match=r"bandwidth must be positive .* in shape \(2, 1\)"):
        steer(z, bandwidth=np.asarray([info.smallest_normal / 2, 1.0], dtype=dtype))


def test_a_bandwidth_that_does_not_fit_is_told_what_would() -> None:
    with pytest.raises(ValueError, match="one per location") as caught:
        steer(Z, bandwidth=np.ones((1, 1, 1)))
    assert str(caught.value) == (
        "bandwidth must have the axes (2,), one per ensemble, or (2, 24), one per location, each equal or 1, "
        "got shape (1, 1, 1)"
    )
    with pytest.raises(ValueError, match="one per location") as caught:
        steer(Z[None], bandwidth=np.ones(2))
    assert str(caught.value) == (
        "bandwidth must have the axes (1, 2), one per ensemble, or (1, 2, 24), one per location, each equal or 1, "
        "got shape (2,)"
    )
    with pytest.raises(ValueError, match="of the ensembles") as caught:
        steer(Z, bandwidth=np.ones((3, 24)))
    text = "bandwidth must have the axes (2, 24) of the ensembles, each equal or 1, got (3, 24)"
    assert str(caught.value) == text
    with pytest.raises(ValueError, match="of the ensembles") as caught:
        mean_shift(Z[0, 0, 0], Z[0, 1, 0], bandwidth=np.ones(2))
    assert str(caught.value) == "bandwidth must have the axes () of the ensembles, each equal or 1, got (2,)"
    with pytest.raises(TypeError) as error:
        steer(Z, bandwidth=[0.3])  # type: ignore[arg-type]
    assert str(error.value) == (
        "bandwidth must be a number, an array or the name of a rule (median, scott, silverman, likelihood), "
        "got list ([0.3])"
    )
    for zero in (np.asarray(0.0), np.asarray([0.3, 0.0])):
        with pytest.raises(ValueError, match=r"bandwidth must be positive.*, got values from 0 to "):
            KernelDensitySteering(bandwidth=zero)


# ---- h times the square root of the patch dimension


@pytest.mark.parametrize("patch_size", [1, 2, None])
def test_scaling_with_dimension(xp: Any, patch_size: int | None) -> None:
    dimension = 3 * 24 if patch_size is None else 3 * patch_size**2
    scaled, info = steer(xp.array(Z), bandwidth=0.5, patch_size=patch_size, sample_ndim=3, scale_with_dimension=True)
    assert info.bandwidth == pytest.approx(0.5 * math.sqrt(dimension), rel=1e-15)
    plain, _ = steer(Z, bandwidth=0.5 * math.sqrt(dimension), patch_size=patch_size, sample_ndim=3)
    np.testing.assert_allclose(xp.numpy(scaled), plain, rtol=1e-11, atol=1e-14)


def test_padding_does_not_count_as_dimension(xp: Any) -> None:
    # 3 x 3 pixels in patches of 2: the patches hold 4, 2, 2 and 1 pixels of 3 channels
    z = Z[0, :, :, :3, :3]
    _, info = steer(xp.array(z), bandwidth=0.5, patch_size=2, scale_with_dimension=True)
    np.testing.assert_allclose(xp.numpy(info.bandwidth), 0.5 * np.sqrt([12.0, 6.0, 6.0, 3.0]), rtol=1e-15)
    corner, _ = steer(z[..., 2:, 2:], bandwidth=0.5 * math.sqrt(3.0))
    steered, _ = steer(xp.array(z), bandwidth=0.5, patch_size=2, scale_with_dimension=True)
    np.testing.assert_allclose(xp.numpy(steered)[..., 2:, 2:], corner, rtol=1e-12)


@every_rule
def test_rules_do_not_count_padding_either(name: str) -> None:
    z = Z[0, :, :, :3, :3]
    _, info = steer(z, bandwidth=name, patch_size=2)
    _, corner = steer(z[..., 2:, 2:], bandwidth=name, patch_size=1)
    assert info.bandwidth[3] == pytest.approx(corner.bandwidth[0], rel=1e-12)


def test_a_rule_can_be_scaled_as_well() -> None:
    _, plain = steer(Z, bandwidth="scott", patch_size=2)
    _, scaled = steer(Z, bandwidth="scott", patch_size=2, scale_with_dimension=True)
    np.testing.assert_allclose(scaled.bandwidth, math.sqrt(12.0) * plain.bandwidth, rtol=1e-14)


def test_one_bandwidth_serves_all_patch_sizes_when_scaled() -> None:
    z = 0.2 * np.random.default_rng(0).normal(size=(10, 8, 16, 16))
    scaled = [steer(z, patch_size=p, scale_with_dimension=True)[1].effective_particles.mean() for p in (1, 4, 16)]
    plain = [steer(z, patch_size=p)[1].effective_particles.mean() for p in (1, 4, 16)]
    assert min(scaled) > 8.5  # of 10
    assert plain[0] > 2.5
    assert plain[2] == 1.0


def test_the_callable_passes_every_option_on() -> None:
    h = np.asarray([0.5, 2.0])
    for options in (
        {"bandwidth": h, "kernel": "laplacian"},
        {"bandwidth": "median", "patch_size": 3, "stride": 2, "scale_with_dimension": True},
        {"bandwidth": 5.0, "patch_size": 2, "sample_ndim": 4},
    ):
        ours, info = KernelDensitySteering(strength=0.6, **options)(Z, 999)  # type: ignore[arg-type]
        expected, expected_info = steer(Z, strength=0.6, **options)  # type: ignore[arg-type]
        np.testing.assert_array_equal(ours, expected)
        assert info is not None
        np.testing.assert_array_equal(info.bandwidth, expected_info.bandwidth)
        assert np.abs(ours - Z).max() > 1e-3


def test_patches_have_one_dimension_if_all_are_full_or_all_the_same_part(xp: Any) -> None:
    like = xp.array([0.0], "float32")
    namespace = common_namespace(like=like)
    for height, width, p in itertools.product(range(1, 7), (1, 3, 4), range(1, 5)):
        for stride in range(1, p + 1):
            layout = Layout((2, height, width), patch_grid((2, height, width), p, stride))
            dimensions = location_dimensions(like, layout, namespace)
            assert dimensions.dtype == like.dtype
            different = set(xp.numpy(dimensions).tolist())
            assert layout.common_dimension == (different.pop() if len(different) == 1 else None)
    whole = location_dimensions(like, Layout((2, 3)), namespace)
    assert xp.numpy(whole).tolist() == [6.0]
    assert Layout((2, 3)).common_dimension == 6
