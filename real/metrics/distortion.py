"""Distortion metrics, by scikit-image, in the two conventions of the literature.

RGB: over all three channels. Y: on the luma of BT.601 in studio range (16..235), as super-resolution papers do. No
border is cropped. Images are uint8 (H, W, 3).
"""

from __future__ import annotations

import numpy as np
from skimage.color import rgb2ycbcr
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

__all__ = ["check_pair", "distortion", "hole_distortion"]

SSIM = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}


def distortion(image: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """PSNR in dB and SSIM of `image` against `truth`, in RGB and on Y.

    SSIM uses the Gaussian window of Wang et al. 2004 (sigma 1.5, no sample covariance), the mean over channels.

    Raises:
        ValueError: The two are not uint8 arrays of one shape (H, W, 3) with sides of at least 11.
    """
    luma, true_luma = _lumas(image, truth)
    return {
        "psnr_rgb": _psnr(truth.astype(np.float64), image.astype(np.float64)),
        "ssim_rgb": float(structural_similarity(truth, image, channel_axis=-1, **SSIM)),
        "psnr_y": _psnr(true_luma, luma),
        "ssim_y": float(structural_similarity(true_luma, luma, **SSIM)),
    }


def hole_distortion(image: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    """The same over the pixels of a mask alone, under names that begin with "hole_".

    PSNR is of the squared error of these pixels; SSIM is the mean of its map over them, whose windows look beyond the
    mask's border as those of the whole image do.

    Args:
        image: RGB uint8 (H, W, 3).
        truth: RGB uint8 (H, W, 3).
        mask: bool (H, W), with at least one True.

    Raises:
        ValueError: As `distortion`, or the mask does not fit or is empty.
    """
    if mask.dtype != bool or mask.shape != truth.shape[:2] or not mask.any():
        raise ValueError(f"mask must be bool {truth.shape[:2]} with at least one True, got {mask.dtype} {mask.shape}")
    luma, true_luma = _lumas(image, truth)
    _, rgb_map = structural_similarity(truth, image, channel_axis=-1, full=True, **SSIM)
    _, luma_map = structural_similarity(true_luma, luma, full=True, **SSIM)
    return {
        "hole_psnr_rgb": _psnr(truth[mask].astype(np.float64), image[mask].astype(np.float64)),
        "hole_ssim_rgb": float(rgb_map[mask].mean()),
        "hole_psnr_y": _psnr(true_luma[mask], luma[mask]),
        "hole_ssim_y": float(luma_map[mask].mean()),
    }


def check_pair(image: np.ndarray, truth: np.ndarray, *, least: int = 1) -> None:
    """ValueError unless both are RGB uint8 (H, W, 3) of one shape, with sides of at least so many pixels."""
    for name, pixels in (("image", image), ("truth", truth)):
        rgb = pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3
        if not rgb or pixels.shape != truth.shape or min(pixels.shape[:2]) < least:
            accepted = f"uint8 (H, W, 3), shaped as the other, with sides of at least {least}"
            raise ValueError(f"{name} must be {accepted}, got {pixels.dtype} {pixels.shape}")


def _lumas(image: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    check_pair(image, truth, least=11)
    return rgb2ycbcr(image)[..., 0], rgb2ycbcr(truth)[..., 0]


def _psnr(truth: np.ndarray, image: np.ndarray) -> float:
    if np.array_equal(truth, image):
        return float("inf")
    return float(peak_signal_noise_ratio(truth, image, data_range=255))
