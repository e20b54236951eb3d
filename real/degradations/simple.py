"""Synthetic low-resolution photos: blur, downsampling by four, noise and JPEG, drawn at random within stated ranges.

One stage of the degradation that real-world super-resolution is trained with (Wang et al. 2021, Real-ESRGAN); both
stages are in `real.degradations.real_esrgan`. Images are RGB, uint8, (H, W, 3).
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from real.errors import UserError

__all__ = ["SCALE", "Degradation", "check_truth", "jpeg"]

SCALE = 4
_FILTERS = (Image.Resampling.BOX, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)


@dataclass(frozen=True)
class Degradation:
    """Ranges that a degradation is drawn from; every range is (low, high), drawn uniformly.

    Attributes:
        blur: Standard deviation of the Gaussian blur in pixels of the truth, drawn for each axis on its own.
        noise: Standard deviation of the Gaussian noise, on the scale 0..255 of the low-resolution image.
        jpeg: JPEG quality, 1..95.
        skip: Probability with which blur, noise and JPEG, each on its own, are left out; 0 leaves none out.
    """

    blur: tuple[float, float] = (0.2, 2.0)
    noise: tuple[float, float] = (0.0, 8.0)
    jpeg: tuple[int, int] = (60, 95)
    skip: float = 0.0

    def __post_init__(self) -> None:
        """Refuse ranges that are upside down or out of bounds."""
        limits = {"blur": (0.0, 20.0), "noise": (0.0, 128.0), "jpeg": (1, 95)}
        for name, (least, most) in limits.items():
            low, high = getattr(self, name)
            if not least <= low <= high <= most:
                raise UserError(f"must have {least} <= low <= high <= {most}, got ({low}, {high})", argument=name)
        if not 0.0 <= self.skip <= 1.0:
            raise UserError(f"must be a probability in [0, 1], got {self.skip}", argument="skip")

    def __call__(self, truth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Degrade one image.

        Args:
            truth: RGB uint8 (H, W, 3), H and W multiples of 4.
            rng: Source of every random choice.

        Returns:
            RGB uint8 (H / 4, W / 4, 3).
        """
        check_truth(truth)
        height, width = truth.shape[:2]
        # Nothing is drawn for a skip of 0, so that seeds keep their meaning.
        skips = rng.random(3) < self.skip if self.skip > 0.0 else (False, False, False)

        sigma = rng.uniform(*self.blur, size=2) * (not skips[0])
        # float32 in, float32 out: uint8 would round after each axis.
        blurred = gaussian_filter(truth.astype(np.float32), (sigma[0], sigma[1], 0), mode="reflect")

        small = _resize(blurred, (width // SCALE, height // SCALE), _FILTERS[int(rng.integers(len(_FILTERS)))])
        noisy = small + rng.uniform(*self.noise) * (not skips[1]) * rng.standard_normal(small.shape)
        pixels = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)

        quality = int(rng.integers(self.jpeg[0], self.jpeg[1] + 1))
        return pixels if skips[2] else jpeg(pixels, quality)


def check_truth(truth: np.ndarray) -> None:
    """ValueError unless `truth` is RGB uint8 (H, W, 3) with H and W multiples of 4."""
    if truth.dtype != np.uint8 or truth.ndim != 3 or truth.shape[2] != 3:
        raise ValueError(f"truth must be uint8 (H, W, 3), got {truth.dtype} {truth.shape}")
    height, width = truth.shape[:2]
    if height % SCALE or width % SCALE or not height or not width:
        raise ValueError(f"truth must have sides that are multiples of {SCALE}, got {height} x {width} pixels")


def _resize(image: np.ndarray, size: tuple[int, int], resample: Image.Resampling) -> np.ndarray:
    """Antialiased resize of a float image, channel by channel (Pillow's float mode has one channel)."""
    channels = [Image.fromarray(image[..., c]).resize(size, resample) for c in range(image.shape[2])]
    return np.stack([np.asarray(c) for c in channels], axis=-1)


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    """RGB uint8 (H, W, 3) through a JPEG file of this quality, 1..100."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    return np.array(Image.open(buffer).convert("RGB"))
