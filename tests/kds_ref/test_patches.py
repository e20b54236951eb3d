"""patchify and unpatchify: order, exact round trip, sizes that do not divide."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kds_ref import patchify, steer, unpatchify


def test_order_worked_by_hand(xp: Any) -> None:
    # one channel, 2 x 4 pixels; locations go row by row, inside a patch (row, column, channel)
    z = xp.array([[[0.0, 1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 7.0]]])
    patches = patchify(z, patch_size=2)
    xp.check_like(patches, z, shape=(2, 4))
    assert xp.numpy(patches).tolist() == [[0.0, 1.0, 4.0, 5.0], [2.0, 3.0, 6.0, 7.0]]


def test_patch_of_one_pixel_is_its_channel_vector(xp: Any) -> None:
    z = np.random.default_rng(0).normal(size=(3, 4, 5))
    patches = xp.numpy(patchify(xp.array(z), patch_size=1))
    assert patches.shape == (20, 3)
    for row, column in np.ndindex(4, 5):
        np.testing.assert_array_equal(patches[row * 5 + column], z[:, row, column])


def test_equals_slicing_in_a_loop(xp: Any) -> None:
    z = np.random.default_rng(1).normal(size=(2, 10, 3, 6, 9))
    patches = xp.numpy(patchify(xp.array(z), patch_size=3))
    assert patches.shape == (2, 10, 6, 27)
    for row, column in np.ndindex(2, 3):
        window = z[..., 3 * row : 3 * row + 3, 3 * column : 3 * column + 3]
        expected = np.moveaxis(window, -3, -1).reshape(2, 10, 27)
        np.testing.assert_array_equal(patches[:, :, row * 3 + column], expected)


@given(
    lead=st.lists(st.integers(1, 3), max_size=2),
    channels=st.integers(1, 4),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    patch_size=st.integers(1, 5),
)
def test_unpatchify_is_the_exact_inverse(
    xp: Any, lead: list[int], channels: int, height: int, width: int, patch_size: int
) -> None:
    shape = (channels, height, width)
    values = np.random.default_rng(0).normal(size=(*lead, *shape))
    z = xp.array(values)
    patches = patchify(z, patch_size=patch_size)
    locations = -(-height // patch_size) * -(-width // patch_size)
    xp.check_like(patches, z, shape=(*lead, locations, min(patch_size, height) * min(patch_size, width) * channels))
    back = unpatchify(patches, patch_size=patch_size, shape=shape)
    xp.check_like(back, z)
    np.testing.assert_array_equal(xp.numpy(back), values)


def test_padding_is_zero_at_the_bottom_and_the_right() -> None:
    z = np.arange(1.0, 7.0).reshape(1, 2, 3)
    patches = patchify(z, patch_size=2)
    assert patches.tolist() == [[1.0, 2.0, 4.0, 5.0], [3.0, 0.0, 6.0, 0.0]]


def test_padding_adds_nothing_to_distances() -> None:
    # the last column of a width of 3 is steered as a 2 x 1 patch of its own
    z = np.random.default_rng(3).normal(size=(5, 2, 2, 3))
    steered, info = steer(z, bandwidth=0.9, patch_size=2)
    column, column_info = steer(z[..., 2:].reshape(5, 4), bandwidth=0.9, patch_size=None)
    np.testing.assert_allclose(steered[..., 2:].reshape(5, 4), column, rtol=1e-13)
    np.testing.assert_allclose(info.shift_norm[:, 1], column_info.shift_norm[:, 0], rtol=1e-12)


def test_integers_can_be_cut_too() -> None:
    z = np.arange(16).reshape(1, 4, 4)
    patches = patchify(z, patch_size=2)
    assert patches.dtype == z.dtype
    np.testing.assert_array_equal(unpatchify(patches, patch_size=2, shape=(1, 4, 4)), z)


def test_patch_larger_than_the_image_is_the_whole_image() -> None:
    z = np.random.default_rng(4).normal(size=(4, 2, 3, 3))
    steered, _ = steer(z, bandwidth=2.0, patch_size=7)
    whole, _ = steer(z, bandwidth=2.0, patch_size=None)
    np.testing.assert_allclose(steered, whole, rtol=1e-13)


@pytest.mark.parametrize("patch_size", [1, 2])
def test_channels_first_is_not_mistaken_for_channels_last(patch_size: int) -> None:
    z = np.zeros((3, 2, 2))
    z[1] = 1.0
    patches = patchify(z, patch_size=patch_size)
    assert set(map(tuple, patches.reshape(-1, 3).tolist())) == {(0.0, 1.0, 0.0)}


def test_a_patch_is_no_longer_than_the_axis(xp: Any) -> None:
    z = np.random.default_rng(5).normal(size=(3, 2, 4, 6))
    huge = patchify(xp.array(z), patch_size=10**6)
    assert huge.shape == (3, 1, 48)  # not 2 * 10^12
    np.testing.assert_array_equal(xp.numpy(huge)[:, 0], np.moveaxis(z, 1, -1).reshape(3, 48))
    back = unpatchify(huge, patch_size=10**6, shape=(2, 4, 6))
    np.testing.assert_array_equal(xp.numpy(back), z)
    assert patchify(xp.array(z), patch_size=5).shape == (3, 2, 2 * 4 * 5)  # 4 rows, and 5 of 6 columns, then the last
    steered, info = steer(xp.array(z), bandwidth=3.0, patch_size=10**6)
    whole, whole_info = steer(xp.array(z), bandwidth=3.0, patch_size=None)
    np.testing.assert_allclose(xp.numpy(steered), xp.numpy(whole), rtol=1e-12)
    np.testing.assert_allclose(xp.numpy(info.shift_norm), xp.numpy(whole_info.shift_norm), rtol=1e-12)
    _, scaled = steer(xp.array(z), bandwidth=3.0, patch_size=10**6, scale_with_dimension=True)
    assert scaled.bandwidth == 3.0 * np.sqrt(48)
