"""steer, its diagnostics, the strength schedule and the callable for the samplers."""

import dataclasses
import math
import tracemalloc
from typing import Any

import numpy as np
import pytest

from kds_ref import KernelDensitySteering, SteeringInfo, mean_shift, patchify, steer, steering_strength
from kds_ref.kernels import GAUSSIAN, Kernel

R = np.random.default_rng(21)
Z = R.normal(size=(5, 3, 4, 6))


def test_worked_by_hand(xp: Any) -> None:
    # two particles of one pixel at 0 and 2, h = 1: weight w = 1 / (1 + e^-2) on itself, m = 2 (1 - w)
    z = xp.array(np.asarray([0.0, 2.0]).reshape(2, 1, 1, 1))
    steered, info = steer(z, bandwidth=1.0, strength=0.25)
    w = 1.0 / (1.0 + math.exp(-2.0))
    m = 2.0 * (1.0 - w)
    xp.check_like(steered, z)
    np.testing.assert_allclose(xp.numpy(steered).ravel(), [0.25 * m, 2.0 - 0.25 * m], rtol=1e-14)
    xp.check_like(info.shift_norm, z, shape=(2, 1))
    xp.check_like(info.effective_particles, z, shape=(2, 1))
    np.testing.assert_allclose(xp.numpy(info.shift_norm), m, rtol=1e-14)
    np.testing.assert_allclose(xp.numpy(info.effective_particles), 1.0 / (w * w + (1 - w) ** 2), rtol=1e-14)
    assert info.bandwidth == 1.0


def test_defaults_are_the_papers() -> None:
    explicit = steer(Z, bandwidth=0.3, strength=0.3, patch_size=1, kernel="gaussian", sample_ndim=3)[0]
    np.testing.assert_array_equal(steer(Z)[0], explicit)


@pytest.mark.parametrize("patch_size", [1, 2])
@pytest.mark.parametrize("bandwidth", [0.3, 1.0])
def test_equals_plain_loops(xp: Any, oracle: Any, patch_size: int, bandwidth: float) -> None:
    steered, _ = steer(xp.array(Z), bandwidth=bandwidth, strength=0.7, patch_size=patch_size)
    expected = oracle.steer(Z, bandwidth, 0.7, patch_size)
    np.testing.assert_allclose(xp.numpy(steered), expected, rtol=1e-10, atol=1e-13)


def test_all_particles_move_at_once_from_the_old_patches() -> None:
    # moving them one after the other gives something else
    z = Z[:3, :, :1, :1]
    one_by_one = z.copy()
    for i in range(3):
        patch = one_by_one.reshape(3, 3)
        one_by_one[i] += 0.5 * mean_shift(patch[i : i + 1], patch, bandwidth=1.0).reshape(3, 1, 1)
    steered, _ = steer(z, bandwidth=1.0, strength=0.5)
    old = z.reshape(3, 3)
    np.testing.assert_allclose(steered.reshape(3, 3), old + 0.5 * mean_shift(old, old, bandwidth=1.0), rtol=1e-14)
    assert np.abs(steered - one_by_one).max() > 1e-3


def test_leading_axes_are_separate_ensembles(xp: Any) -> None:
    z = R.normal(size=(2, 3, 4, 2, 2, 3))
    steered, info = steer(xp.array(z), bandwidth=0.8)
    assert tuple(info.effective_particles.shape) == tuple(info.shift_norm.shape) == (2, 3, 4, 6)
    for i, j in np.ndindex(2, 3):
        one, one_info = steer(z[i, j], bandwidth=0.8)
        np.testing.assert_allclose(xp.numpy(steered)[i, j], one, rtol=1e-13)
        np.testing.assert_allclose(xp.numpy(info.shift_norm)[i, j], one_info.shift_norm, rtol=1e-12)
        np.testing.assert_allclose(xp.numpy(info.effective_particles)[i, j], one_info.effective_particles, rtol=1e-12)


@pytest.mark.parametrize("patch_size", [1, 2, 3])
def test_info_belongs_to_its_particle_and_location(oracle: Any, patch_size: int) -> None:
    _, info = steer(Z, bandwidth=0.9, strength=0.1, patch_size=patch_size)
    patches = patchify(Z, patch_size=patch_size)  # (N, L, D)
    for i, j in np.ndindex(*patches.shape[:2]):
        weights = oracle.weights(patches[i, j], patches[:, j], 0.9)
        shift = oracle.mean_shift(patches[i : i + 1, j], patches[:, j], 0.9)
        assert info.effective_particles[i, j] == pytest.approx(1.0 / sum(w * w for w in weights), rel=1e-12)
        assert info.shift_norm[i, j] == pytest.approx(np.linalg.norm(shift), rel=1e-11)


def test_effective_particles_run_from_one_to_all() -> None:
    assert np.all(steer(Z, bandwidth=1e-6)[1].effective_particles == 1.0)
    np.testing.assert_allclose(steer(Z, bandwidth=1e6)[1].effective_particles, 5.0, rtol=1e-9)


def test_whole_sample_as_one_patch(xp: Any) -> None:
    steered, info = steer(xp.array(Z), bandwidth=6.0, strength=0.5, patch_size=None)
    flat = Z.reshape(5, -1)
    expected = (flat + 0.5 * mean_shift(flat, flat, bandwidth=6.0)).reshape(Z.shape)
    np.testing.assert_allclose(xp.numpy(steered), expected, rtol=1e-12)
    assert tuple(info.shift_norm.shape) == (5, 1)


@pytest.mark.parametrize(
    ("shape", "sample_ndim", "locations"),
    [((6, 2), None, (6, 1)), ((6, 2), 1, (6, 1)), ((4, 6, 2), 1, (4, 6, 1)), ((6, 3, 2), 2, (6, 1))],
)
def test_points_and_ensembles_of_points(
    xp: Any, shape: tuple[int, ...], sample_ndim: int | None, locations: tuple[int, ...]
) -> None:
    z = R.normal(size=shape)
    steered, info = steer(xp.array(z), bandwidth=0.8, strength=1.0, patch_size=None, sample_ndim=sample_ndim)
    points = z.reshape(6, 6) if sample_ndim == 2 else z
    expected = (points + mean_shift(points, points, bandwidth=0.8)).reshape(shape)
    np.testing.assert_allclose(xp.numpy(steered), expected, rtol=1e-12)
    assert tuple(info.shift_norm.shape) == locations


def bits(x: np.ndarray) -> bytes:
    return x.tobytes()


@pytest.mark.parametrize(
    "options",
    [
        {"strength": 0.0},
        {"bandwidth": 1e-6},
        {"bandwidth": 1e-6, "patch_size": None},
        {"strength": 0.0, "patch_size": 2},
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_zero_shift_changes_no_bit(options: dict[str, Any], dtype: str) -> None:
    z = Z.astype(dtype)
    z[0, 0, 0, 0] = -0.0  # even the sign of a zero stays
    assert bits(steer(z, **options)[0]) == bits(z)


def test_one_particle_changes_no_bit(xp: Any) -> None:
    z = xp.array(Z[:1], "float32")
    steered, info = steer(z, strength=1.0)
    np.testing.assert_array_equal(xp.numpy(steered), xp.numpy(z))
    assert np.all(xp.numpy(info.effective_particles) == 1.0)
    assert np.all(xp.numpy(info.shift_norm) == 0.0)


def test_equal_particles_change_no_bit(xp: Any) -> None:
    z = xp.array(np.repeat(Z[:1], 4, axis=0), "float32")
    steered, info = steer(z, strength=1.0)
    np.testing.assert_array_equal(xp.numpy(steered), xp.numpy(z))
    np.testing.assert_allclose(xp.numpy(info.effective_particles), 4.0, rtol=1e-6)


def test_wide_kernel_at_full_strength_gives_the_mean_of_the_ensemble(xp: Any) -> None:
    steered, _ = steer(xp.array(Z), bandwidth=1e7, strength=1.0)
    np.testing.assert_allclose(xp.numpy(steered), np.broadcast_to(Z.mean(axis=0), Z.shape), rtol=1e-9, atol=1e-12)


def test_sixteen_thousand_dimensions_give_no_nan(xp: Any) -> None:
    z = xp.array(np.random.default_rng(0).normal(size=(3, 4, 64, 64)), "float32")
    for bandwidth in (1e-6, 0.3):
        steered, info = steer(z, bandwidth=bandwidth, strength=1.0, patch_size=None)
        np.testing.assert_array_equal(xp.numpy(steered), xp.numpy(z))
        assert np.all(xp.numpy(info.effective_particles) == 1.0)


def test_memory_stays_near_a_few_times_the_input() -> None:
    # all N x N differences at once would be 32 times the input
    z = np.random.default_rng(0).normal(size=(32, 4, 32, 32)).astype(np.float32)
    steer(z)
    tracemalloc.start()
    steer(z)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 12 * z.nbytes


# ---- the strength schedule (Eq. 10)


def test_strength_is_that_of_equation_ten() -> None:
    values = [steering_strength(t, 1000) for t in (1000, 999, 301, 300, 299, 0)]
    assert values == [0.3, 0.3, 0.3, 0.3, 0.0, 0.0]
    assert all(type(v) is float for v in values)


@pytest.mark.parametrize("total", [1, 3, 7, 25, 100, 1000, 4096, 6000])
def test_the_cutoff_itself_steers_for_every_t_over_T(total: int) -> None:
    for t in range(total):
        assert steering_strength(t, total, cutoff=t / total) == 0.3
        if t:
            assert steering_strength(t - 1, total, cutoff=t / total) == 0.0


def test_the_cutoff_itself_steers_for_a_long_schedule() -> None:
    assert 123 / 10**6 * 10**6 > 123  # what is snapped grows with T
    assert steering_strength(123, 10**6, cutoff=123 / 10**6) == 0.3


def test_a_cutoff_between_timesteps_is_not_moved_to_one() -> None:
    assert [steering_strength(t, 1000, cutoff=0.3005) for t in (300, 301)] == [0.0, 0.3]
    assert steering_strength(0, 1, cutoff=1e-9) == 0.0  # nearer than this it counts as the timestep
    with pytest.raises(ValueError, match=r"cutoff must be finite and in .0, 1., got 1.5"):
        steering_strength(300, 1000, cutoff=1.5)


def test_an_array_may_hold_both_ends_of_the_way() -> None:
    assert steering_strength(np.asarray([1000.0, 0.0]), 1000).tolist() == [0.3, 0.0]
    for beyond in ([1000.5, 0.0], [1000.0, -0.5]):
        with pytest.raises(ValueError, match=r"t must be in .0, 1000., got other values in shape .2,."):
            steering_strength(np.asarray(beyond), 1000)


def test_strength_of_an_array(xp: Any) -> None:
    t = xp.array([999.0, 300.0, 299.0, 0.0], "float32")
    values = steering_strength(t, 1000, strength=0.5)
    xp.check_like(values, t)
    assert xp.numpy(values).tolist() == [0.5, 0.5, 0.0, 0.0]


def test_double_precision_is_not_narrowed_before_the_comparison(xp: Any) -> None:
    t = xp.array([300.0 - 1e-6, 300.0], "float64")  # both are 300 in single precision
    assert xp.numpy(steering_strength(t, 1000)).tolist() == [0.0, 0.3]


def test_strength_of_an_integer_array(xp: Any) -> None:
    values = steering_strength(xp.array(np.arange(0, 1000, 50), "int64"), 1000)
    assert values.dtype == xp.namespace.asarray(0.3).dtype
    np.testing.assert_allclose(xp.numpy(values), [0.0] * 6 + [0.3] * 14, rtol=1e-7)


@pytest.mark.parametrize("t", [np.int64(300), np.float32(300.0), np.asarray(300)])
def test_strength_of_a_numpy_scalar_is_a_float(t: Any) -> None:
    assert steering_strength(t, 1000) == 0.3


def test_cutoff_zero_steers_to_the_end() -> None:
    assert steering_strength(0, 1000, cutoff=0.0) == 0.3


# ---- the callable for the samplers


def test_callable_steers_above_the_cutoff_and_returns_the_very_array_below() -> None:
    steering = KernelDensitySteering(num_train_timesteps=500, bandwidth=0.7, strength=0.4, cutoff=0.5, patch_size=2)
    steered, info = steering(Z, 250)
    expected, _ = steer(Z, bandwidth=0.7, strength=0.4, patch_size=2)
    np.testing.assert_array_equal(steered, expected)
    assert isinstance(info, SteeringInfo)
    below, nothing = steering(Z, 249)
    assert below is Z
    assert nothing is None


def test_callable_with_strength_zero_returns_the_very_array() -> None:
    steered, info = KernelDensitySteering(strength=0.0)(Z, 999)
    assert steered is Z
    assert info is None


def test_callable_is_frozen_and_keyword_only() -> None:
    steering = KernelDensitySteering()
    with pytest.raises(dataclasses.FrozenInstanceError):
        steering.bandwidth = 1.0  # type: ignore[misc]
    with pytest.raises(TypeError):
        KernelDensitySteering(1000)  # type: ignore[misc]
    assert steering == KernelDensitySteering(
        num_train_timesteps=1000, bandwidth=0.3, strength=0.3, cutoff=0.3, patch_size=1, kernel="gaussian"
    )


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_steering_with_an_array_of_bandwidths_is_equal_to_its_twin(library: str) -> None:
    xp = pytest.importorskip(library)

    def made(*values: float, **options: Any) -> KernelDensitySteering:
        return KernelDensitySteering(bandwidth=xp.asarray(values), **options)

    one = made(1.0, 2.0)
    assert one == made(1.0, 2.0)
    assert hash(one) == hash(made(1.0, 2.0))
    for other in (made(1.0, 3.0), made(1.0), made(1.0, 2.0, strength=0.5), KernelDensitySteering(bandwidth=1.0), 1.0):
        assert one != other
        assert other != one
    assert one != KernelDensitySteering(bandwidth="median")


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_arrays_of_another_kind_are_different(library: str) -> None:
    xp = pytest.importorskip(library)
    one = KernelDensitySteering(bandwidth=xp.asarray([1.0, 1.0], dtype=xp.float64))
    for other in ([1.0, 1.0], [[1.0, 1.0]]):
        dtype = xp.float32 if np.ndim(other) == 1 else xp.float64
        assert one != KernelDensitySteering(bandwidth=xp.asarray(other, dtype=dtype))
    if library == "torch":
        assert one != KernelDensitySteering(bandwidth=np.asarray([1.0, 1.0]))


def test_arrays_on_another_device_are_different() -> None:
    strict = pytest.importorskip("array_api_strict")
    here, there = (strict.asarray([1.0], device=strict.Device(name)) for name in ("CPU_DEVICE", "device1"))
    assert KernelDensitySteering(bandwidth=here) == KernelDensitySteering(bandwidth=here)
    assert KernelDensitySteering(bandwidth=here) != KernelDensitySteering(bandwidth=there)


def test_all_options_reach_steer() -> None:
    x = np.random.default_rng(3).standard_normal((4, 3, 6))
    options: dict[str, Any] = {"bandwidth": 1.1, "patch_size": 2, "stride": 1, "sample_ndim": 2, "kernel": "laplacian"}
    for scaled in (False, True):
        steered, info = KernelDensitySteering(**options, scale_with_dimension=scaled)(x, 999)
        expected, _ = steer(x, **options, scale_with_dimension=scaled)
        np.testing.assert_array_equal(steered, expected)
        assert info is not None


def test_a_kernel_of_ones_own_counts_particles_as_the_built_in_one(xp: Any) -> None:
    x = np.random.default_rng(4).standard_normal((2, 5, 3, 4, 4))  # two ensembles of five
    own = Kernel("mine", GAUSSIAN.log_profile)
    steered, info = steer(xp.array(x), bandwidth=1.2, kernel=own)
    expected, expected_info = steer(x, bandwidth=1.2)
    np.testing.assert_allclose(xp.numpy(steered), expected, rtol=1e-12)
    effective = xp.numpy(info.effective_particles)
    np.testing.assert_allclose(effective, expected_info.effective_particles, rtol=1e-12)


def test_other_options_have_another_hash() -> None:
    options: list[dict[str, Any]] = [{}, {"strength": 0.2}, {"cutoff": 0.2}, {"kernel": "flat"}, {"patch_size": 2}]
    assert len({hash(KernelDensitySteering(**changed)) for changed in options}) == len(options)


def test_steering_is_equal_to_another_with_the_same_options() -> None:
    assert KernelDensitySteering() == KernelDensitySteering(cutoff=0.3, bandwidth=0.3)
    assert len({KernelDensitySteering(), KernelDensitySteering(cutoff=0.3), KernelDensitySteering(cutoff=0.2)}) == 2
    assert KernelDensitySteering(bandwidth="scott") != KernelDensitySteering(bandwidth="median")
    assert KernelDensitySteering(cutoff_nsr=1.0) != KernelDensitySteering()
