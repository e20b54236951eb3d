"""Patches with a stride, of signals, images and volumes: against slicing, adjoint, average, and in steer."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kds_ref import KernelDensitySteering, mean_shift, patchify, patchify_adjoint, steer, unpatchify

SHAPES = [(2, 7), (1, 1), (3, 4, 6), (1, 5, 5), (2, 3, 4, 5), (1, 2, 1, 3)]  # signals, images, volumes
PATCHES = [(1, 1), (2, 2), (2, 1), (3, 3), (3, 2), (3, 1), (5, 2)]  # size, stride
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)
every_patch = pytest.mark.parametrize(("p", "stride"), PATCHES)


def values(*shape: int) -> np.ndarray:
    return np.random.default_rng(17).normal(size=shape)


def windows(shape: tuple[int, ...], p: int, stride: int) -> list[tuple[slice, ...]]:
    """Where each patch lies, location after location, cut off at the end of the sample."""
    starts = []
    for size in shape[1:]:
        first = [0]
        while first[-1] + p < size:
            first.append(first[-1] + stride)
        starts.append(first)
    return [tuple(slice(a, a + p) for a in corner) for corner in itertools.product(*starts)]


def sides_of(shape: tuple[int, ...], p: int) -> list[int]:
    """A patch is no longer than the axis."""
    return [min(p, size) for size in shape[1:]]


@every_shape
@every_patch
def test_equals_slicing_in_a_loop(xp: Any, shape: tuple[int, ...], p: int, stride: int) -> None:
    z = values(2, *shape)
    patches = patchify(xp.array(z), patch_size=p, stride=stride, sample_ndim=len(shape))
    places, sides = windows(shape, p, stride), sides_of(shape, p)
    xp.check_like(patches, xp.array(z), shape=(2, len(places), math.prod(sides) * shape[0]))
    for location, place in enumerate(places):
        window = z[(slice(None), slice(None), *place)]
        missing = [(0, side - n) for side, n in zip(sides, window.shape[2:], strict=True)]
        padded = np.pad(window, [(0, 0), (0, 0), *missing])
        expected = np.moveaxis(padded, 1, -1).reshape(2, -1)  # space first, the channels last
        np.testing.assert_array_equal(xp.numpy(patches)[:, location], expected)


@every_shape
@every_patch
def test_the_way_back_averages_what_covers_a_value(xp: Any, shape: tuple[int, ...], p: int, stride: int) -> None:
    places, sides = windows(shape, p, stride), sides_of(shape, p)
    patches = values(2, len(places), math.prod(sides) * shape[0])
    total, count = np.zeros((2, *shape)), np.zeros(shape)
    for location, place in enumerate(places):
        square = np.moveaxis(patches[:, location].reshape(2, *sides, shape[0]), -1, 1)
        inside = [slice(0, n) for n in count[(slice(None), *place)].shape[1:]]
        total[(slice(None), slice(None), *place)] += square[(slice(None), slice(None), *inside)]
        count[(slice(None), *place)] += 1.0
    assert count.min() >= 1.0
    options: dict[str, Any] = {"patch_size": p, "stride": stride, "shape": shape}
    back = unpatchify(xp.array(patches), **options)
    xp.check_like(back, xp.array(patches), shape=(2, *shape))
    np.testing.assert_allclose(xp.numpy(back), total / count, rtol=1e-13, atol=1e-15)
    added = patchify_adjoint(xp.array(patches), **options)
    xp.check_like(added, xp.array(patches), shape=(2, *shape))
    np.testing.assert_allclose(xp.numpy(added), total, rtol=1e-13, atol=1e-15)


@given(
    shape=st.lists(st.integers(1, 6), min_size=2, max_size=4),
    p=st.integers(1, 5),
    stride=st.integers(1, 5),
    seed=st.integers(0, 2**32 - 1),
)
def test_round_trip_and_adjoint(xp: Any, shape: list[int], p: int, stride: int, seed: int) -> None:
    stride, r = min(stride, p), np.random.default_rng(seed)
    z = r.normal(size=shape)
    cut: dict[str, Any] = {"patch_size": p, "stride": stride}
    patches = patchify(xp.array(z), **cut, sample_ndim=len(shape))
    back = xp.numpy(unpatchify(patches, **cut, shape=tuple(shape)))
    cover = xp.numpy(patchify_adjoint(xp.array(np.ones(patches.shape)), **cut, shape=tuple(shape)))
    np.testing.assert_array_equal(back[cover == 1.0], z[cover == 1.0])
    np.testing.assert_allclose(back, z, rtol=1e-14, atol=1e-15)
    assert stride < p or np.all(cover == 1.0)
    # <patchify(x), y> = <x, adjoint(y)>
    y = r.normal(size=patches.shape)
    left = math.fsum((xp.numpy(patches) * y).ravel())
    right = math.fsum((z * xp.numpy(patchify_adjoint(xp.array(y), **cut, shape=tuple(shape)))).ravel())
    assert left == pytest.approx(right, rel=1e-11, abs=1e-11)
    # averaging is a projection: cutting what was put together and putting it together again changes nothing
    once = unpatchify(xp.array(y), **cut, shape=tuple(shape))
    twice = unpatchify(patchify(once, **cut, sample_ndim=len(shape)), **cut, shape=tuple(shape))
    np.testing.assert_allclose(xp.numpy(twice), xp.numpy(once), rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize(("p", "stride"), [(2, 2), (3, 1), (4, 2), (5, 3)])
def test_equals_torch_unfold_and_fold(p: int, stride: int) -> None:
    torch = pytest.importorskip("torch")
    height, width = p + 3 * stride, p + 2 * stride  # sizes that divide: torch leaves the rest out
    z = torch.tensor(values(2, 3, height, width))
    theirs = torch.nn.functional.unfold(z, p, stride=stride)  # (2, C p p, L), channels first
    ours = patchify(z, patch_size=p, stride=stride)
    by_channel = ours.reshape(2, -1, p * p, 3).permute(0, 3, 2, 1).reshape(theirs.shape)
    assert torch.equal(by_channel, theirs)
    folded = torch.nn.functional.fold(theirs, (height, width), p, stride=stride)
    added = patchify_adjoint(ours, patch_size=p, stride=stride, shape=(3, height, width))
    torch.testing.assert_close(added, folded, rtol=1e-13, atol=1e-13)


def test_no_stride_is_a_stride_of_one_patch() -> None:
    z = values(3, 5, 7)
    patches = patchify(z, patch_size=3)
    np.testing.assert_array_equal(patches, patchify(z, patch_size=3, stride=3))
    np.testing.assert_array_equal(unpatchify(patches, patch_size=3, stride=3, shape=(3, 5, 7)), z)


def test_integers_and_complex_numbers() -> None:
    z = np.arange(8).reshape(1, 8)
    patches = patchify(z, patch_size=3, stride=2, sample_ndim=2)
    assert patches.tolist() == [[0, 1, 2], [2, 3, 4], [4, 5, 6], [6, 7, 0]]
    assert patches.dtype == z.dtype
    assert patchify_adjoint(patches, patch_size=3, stride=2, shape=(1, 8)).tolist() == [[0, 1, 4, 3, 8, 5, 12, 7]]
    complex_z = z * (1.0 + 2.0j)
    cut = patchify(complex_z, patch_size=3, stride=2, sample_ndim=2)
    np.testing.assert_allclose(unpatchify(cut, patch_size=3, stride=2, shape=(1, 8)), complex_z, rtol=1e-15)
    single = unpatchify(cut.astype(np.complex64), patch_size=3, stride=2, shape=(1, 8))
    assert single.dtype == np.complex64
    np.testing.assert_allclose(single, complex_z, rtol=1e-6)


def test_half_precision_is_averaged_in_float32() -> None:
    patches = np.full((9, 9), 2049.0 / 2048.0).astype(np.float16)
    patches[::2] = 1000.5
    wide = unpatchify(patches.astype(np.float32), patch_size=9, stride=1, shape=(1, 17))
    half = unpatchify(patches, patch_size=9, stride=1, shape=(1, 17))
    assert half.dtype == np.float16
    np.testing.assert_array_equal(half, wide.astype(np.float16))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_of_torch_is_averaged_in_float32(dtype: str) -> None:
    torch = pytest.importorskip("torch")
    patches = torch.from_numpy(values(9, 9)).to(getattr(torch, dtype))
    wide = unpatchify(patches.float(), patch_size=9, stride=1, shape=(1, 17))
    half = unpatchify(patches, patch_size=9, stride=1, shape=(1, 17))
    assert half.dtype == patches.dtype
    assert torch.equal(half, wide.to(patches.dtype))


# ---- in steer


@pytest.mark.parametrize(("shape", "p", "stride"), [((2, 9), 3, 2), ((2, 4, 5), 3, 1), ((1, 3, 3, 4), 2, 1)])
def test_steer_averages_the_steps_of_the_patches(xp: Any, shape: tuple[int, ...], p: int, stride: int) -> None:
    z = values(2, 5, *shape)  # two ensembles of five
    steered, info = steer(xp.array(z), bandwidth=2.5, strength=0.8, patch_size=p, stride=stride, sample_ndim=len(shape))
    total, count = np.zeros_like(z), np.zeros(shape)
    places = windows(shape, p, stride)
    assert tuple(info.shift_norm.shape) == (2, 5, len(places))
    for location, place in enumerate(places):
        window = z[(..., *place)]
        flat = window.reshape(2, 5, -1)
        shift = mean_shift(flat, flat, bandwidth=2.5)
        np.testing.assert_allclose(xp.numpy(info.shift_norm)[..., location], np.linalg.norm(shift, axis=-1), rtol=1e-10)
        total[(..., *place)] += shift.reshape(window.shape)
        count[(..., *place)] += 1.0
    expected = z + 0.8 * total / count
    np.testing.assert_allclose(xp.numpy(steered), expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_zero_shift_changes_no_bit_even_where_patches_are_averaged(dtype: str) -> None:
    z = values(4, 2, 5, 5).astype(dtype)
    z[0, 0, 0, 0] = -0.0
    for options in ({"strength": 0.0}, {"bandwidth": 1e-6}):
        steered, _ = steer(z, patch_size=3, stride=1, **options)  # type: ignore[arg-type]
        assert steered.tobytes() == z.tobytes()


def test_shifting_the_image_by_a_pixel_shifts_the_result_at_stride_one() -> None:
    z = values(4, 2, 8, 8)
    options: dict[str, Any] = {"bandwidth": 3.0, "strength": 1.0, "patch_size": 3, "stride": 1}
    whole, part = steer(z, **options)[0], steer(z[..., 1:], **options)[0]
    # away from the new border by a patch both see the same patches
    np.testing.assert_allclose(part[..., 2:], whole[..., 3:], rtol=1e-12)
    without, part = (steer(x, **{**options, "stride": None})[0] for x in (z, z[..., 1:]))
    assert np.abs(part[..., 2:] - without[..., 3:]).max() > 1e-3


def test_signals_and_volumes_equal_images_with_an_axis_of_one(xp: Any) -> None:
    z = values(5, 2, 7)
    signal, _ = steer(xp.array(z), bandwidth=1.5, patch_size=1, sample_ndim=2)
    image, _ = steer(z[..., None, :], bandwidth=1.5, patch_size=1)
    volume, _ = steer(xp.array(z[..., None, None, :]), bandwidth=1.5, patch_size=1, sample_ndim=4)
    np.testing.assert_allclose(xp.numpy(signal), image[..., 0, :], rtol=1e-13)
    np.testing.assert_allclose(xp.numpy(volume)[..., 0, 0, :], image[..., 0, :], rtol=1e-13)


def test_the_callable_takes_a_stride() -> None:
    z = values(4, 2, 5, 5)
    ours, _ = KernelDensitySteering(bandwidth=2.0, patch_size=3, stride=2)(z, 999)
    np.testing.assert_array_equal(ours, steer(z, bandwidth=2.0, patch_size=3, stride=2)[0])
    assert np.abs(ours - steer(z, bandwidth=2.0, patch_size=3)[0]).max() > 1e-3
