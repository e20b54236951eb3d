"""Metrics against the formula, and the two conventions."""

import numpy as np
import pytest

from real.metrics.distortion import distortion


def test_psnr_is_the_formula(photo: np.ndarray) -> None:
    other = np.clip(photo.astype(int) + np.random.default_rng(0).integers(-9, 10, photo.shape), 0, 255).astype(np.uint8)
    difference = photo.astype(np.float64) - other
    scores = distortion(other, photo)
    assert scores["psnr_rgb"] == pytest.approx(10 * np.log10(255**2 / np.mean(difference**2)))
    luma = difference @ np.array([65.481, 128.553, 24.966]) / 255  # BT.601, studio range
    assert scores["psnr_y"] == pytest.approx(10 * np.log10(255**2 / np.mean(luma**2)))
    assert 0.5 < scores["ssim_rgb"] < 1


def test_equal_images(photo: np.ndarray) -> None:
    scores = distortion(photo, photo)
    assert scores == {"psnr_rgb": np.inf, "ssim_rgb": 1.0, "psnr_y": np.inf, "ssim_y": pytest.approx(1.0)}


def test_colour_errors_count_in_rgb_and_hardly_on_luma(photo: np.ndarray) -> None:
    tinted = photo.astype(int) + np.array([20, -10, 0])
    scores = distortion(np.clip(tinted, 0, 255).astype(np.uint8), photo)
    assert scores["psnr_y"] > scores["psnr_rgb"] + 5


@pytest.mark.parametrize("bad", [np.zeros((64, 80), np.uint8), np.zeros((64, 80, 3)), np.zeros((8, 8, 3), np.uint8)])
def test_bad_images(photo: np.ndarray, bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="image"):
        distortion(bad, photo)
