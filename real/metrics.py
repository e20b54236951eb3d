"""Distortion metrics, by scikit-image, in the two conventions of the literature.

RGB: over all three channels. Y: on the luma of BT.601 in studio range (16..235), as super-resolution papers do. No
border is cropped. Images are uint8 (H, W, 3).
"""

from __future__ import annotations

import numpy as np
from skimage.color import rgb2ycbcr
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

__all__ = ["distortion"]


def distortion(image: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """PSNR in dB and SSIM of `image` against `truth`, in RGB and on Y.

    SSIM uses the Gaussian window of Wang et al. 2004 (sigma 1.5, no sample covariance), the mean over channels.

    Raises:
        ValueError: The two are not uint8 arrays of one shape (H, W, 3) with sides of at least 11.
    """
    for name, pixels in (("image", image), ("truth", truth)):
        if pixels.dtype != np.uint8 or pixels.shape != truth.shape or pixels.ndim != 3 or min(pixels.shape[:2]) < 11:
            got = f"{pixels.dtype} {pixels.shape}"
            raise ValueError(f"{name}: got {got}; give uint8 (H, W, 3), both alike, sides of at least 11")
    luma, true_luma = rgb2ycbcr(image)[..., 0], rgb2ycbcr(truth)[..., 0]
    window = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    return {
        "psnr_rgb": _psnr(truth.astype(np.float64), image.astype(np.float64)),
        "ssim_rgb": float(structural_similarity(truth, image, channel_axis=-1, **window)),
        "psnr_y": _psnr(true_luma, luma),
        "ssim_y": float(structural_similarity(true_luma, luma, **window)),
    }


def _psnr(truth: np.ndarray, image: np.ndarray) -> float:
    if np.array_equal(truth, image):
        return float("inf")
    return float(peak_signal_noise_ratio(truth, image, data_range=255))
