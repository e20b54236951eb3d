"""The second-order degradation of Real-ESRGAN (Wang et al. 2021), as real-world super-resolution is tested with.

Two stages of blur, resizing, noise and JPEG, the last resize with a sinc filter before or after the last JPEG. What is
drawn (`draw`) and what is done with it (`apply`) are apart, so that a degradation can be looked at, kept and repeated.
`PRESETS` holds the two of the literature, by name; `ranges` has their numbers.

Two things are not as in the original code: JPEG is Pillow's, not a differentiable stand-in for it, and resized images
have at least one pixel on each side.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import torch
from scipy.signal import oaconvolve

from real.degradations.kernels import gaussian_kernel, plateau_kernel, sinc_kernel
from real.degradations.ranges import REAL_ESRGAN, SMALLEST_KERNEL, STABLE_SR, Stage
from real.degradations.simple import SCALE, check_truth, jpeg

__all__ = ["PRESETS", "SecondOrderDegradation"]

Filter: TypeAlias = Literal["area", "bilinear", "bicubic"]
FILTERS: tuple[Filter, ...] = ("area", "bilinear", "bicubic")
KINDS = ("iso", "aniso", "generalized_iso", "generalized_aniso", "plateau_iso", "plateau_aniso")
KIND_PROBABILITIES = (0.45, 0.25, 0.12, 0.03, 0.12, 0.03)


@dataclass(frozen=True)
class StageDraw:
    """One stage as drawn: the kernel (None: no blur), the resize, the noise and the JPEG quality."""

    kernel: np.ndarray | None
    scale: float
    resample: Filter
    noise: Literal["gaussian", "poisson"]
    noise_level: float
    grey: bool
    noise_seed: int
    jpeg: int


@dataclass(frozen=True)
class Draw:
    """A whole degradation as drawn; `sinc_first`: the last resize and filter come before the last JPEG."""

    first: StageDraw
    second: StageDraw
    final_kernel: np.ndarray | None
    final_resample: Filter
    sinc_first: bool


@dataclass(frozen=True)
class SecondOrderDegradation:
    """The degradation with its ranges; call it as `Degradation` is called.

    Attributes:
        first: First stage.
        second: Second stage; its resize is relative to the low-resolution size.
        final_sinc: Probability of the sinc filter at the end.
    """

    first: Stage
    second: Stage
    final_sinc: float = 0.8

    def __call__(self, truth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Degrade one image, RGB uint8 (H, W, 3) with H and W multiples of 4, to RGB uint8 (H / 4, W / 4, 3)."""
        return self.apply(truth, self.draw(rng))

    def draw(self, rng: np.random.Generator) -> Draw:
        """Draw a degradation; each part has its own generator, so the ranges of one do not change another's numbers."""
        first, second, last = rng.spawn(3)
        kernel = None
        if last.random() < self.final_sinc:
            kernel = sinc_kernel(_side(self.first.largest_kernel, last), cutoff=last.uniform(np.pi / 3, np.pi))
        return Draw(
            _draw_stage(self.first, first),
            _draw_stage(self.second, second),
            final_kernel=kernel,
            final_resample=FILTERS[int(last.integers(3))],
            sinc_first=bool(last.random() < 0.5),
        )

    @staticmethod
    def apply(truth: np.ndarray, draw: Draw) -> np.ndarray:
        """Degrade one image as drawn; the same draw always gives the same result.

        Args:
            truth: RGB uint8 (H, W, 3), H and W multiples of 4.
            draw: Random choices from `draw`.

        Returns:
            RGB uint8 (H / 4, W / 4, 3).

        Raises:
            ValueError: `truth` has another dtype or shape.
        """
        check_truth(truth)
        height, width = truth.shape[0] // SCALE, truth.shape[1] // SCALE

        image = truth.astype(np.float64) / 255.0
        # First stage: relative to the photo's own size.
        image = _blurred(image, draw.first.kernel)
        image = _resized(image, _scaled(truth.shape[0], truth.shape[1], draw.first.scale), draw.first.resample)
        image = _jpeg(_noisy(image, draw.first), draw.first.jpeg)

        # Second stage: relative to the size of the result.
        image = _blurred(image, draw.second.kernel)
        image = _resized(image, _scaled(height, width, draw.second.scale), draw.second.resample)
        image = _noisy(image, draw.second)

        if draw.sinc_first:
            image = _resized(image, (height, width), draw.final_resample)
            image = _jpeg(_blurred(image, draw.final_kernel), draw.second.jpeg)
        else:
            image = _resized(_jpeg(image, draw.second.jpeg), (height, width), draw.final_resample)
            image = _blurred(image, draw.final_kernel)
        return _pixels(image)


def _draw_stage(stage: Stage, rng: np.random.Generator) -> StageDraw:
    kernel = _draw_kernel(stage, rng) if rng.random() < stage.blur else None
    # Up, down or not at all; the two directions are drawn from ranges of their own.
    low, high = stage.scale
    scale = (rng.uniform(1.0, high), rng.uniform(low, 1.0), 1.0)[int(rng.choice(3, p=stage.resize))]
    resample = FILTERS[int(rng.integers(3))]
    gaussian = bool(rng.random() < stage.gaussian)

    return StageDraw(
        kernel,
        scale=float(scale),
        resample=resample,
        noise="gaussian" if gaussian else "poisson",
        noise_level=float(rng.uniform(*(stage.sigma if gaussian else stage.poisson))),
        grey=bool(rng.random() < stage.grey),
        noise_seed=int(rng.integers(2**63)),
        jpeg=int(rng.integers(stage.jpeg[0], stage.jpeg[1] + 1)),
    )


def _draw_kernel(stage: Stage, rng: np.random.Generator) -> np.ndarray:
    size = _side(stage.largest_kernel, rng)
    if rng.random() < stage.sinc:
        return sinc_kernel(size, cutoff=rng.uniform(np.pi / 3 if size < 13 else np.pi / 5, np.pi))
    kind = KINDS[int(rng.choice(len(KINDS), p=KIND_PROBABILITIES))]
    one, other = (float(s) for s in rng.uniform(*stage.blur_sigma, size=2))
    sigma = (one, one) if kind.endswith("iso") and not kind.endswith("aniso") else (one, other)
    angle = float(rng.uniform(-np.pi, np.pi))
    if kind in ("iso", "aniso"):
        return gaussian_kernel(size, sigma=sigma, angle=angle)
    low, high = stage.betap if kind.startswith("plateau") else stage.betag
    beta = float(rng.uniform(low, 1.0) if rng.random() < 0.5 else rng.uniform(1.0, high))
    family = plateau_kernel if kind.startswith("plateau") else gaussian_kernel
    return family(size, sigma=sigma, angle=angle, beta=beta)


def _side(largest: int, rng: np.random.Generator) -> int:
    """An odd side from 7 to `largest`."""
    return SMALLEST_KERNEL + 2 * int(rng.integers((largest - SMALLEST_KERNEL) // 2 + 1))


def _scaled(height: int, width: int, scale: float) -> tuple[int, int]:
    return max(1, int(height * scale)), max(1, int(width * scale))


def _blurred(image: np.ndarray, kernel: np.ndarray | None) -> np.ndarray:
    if kernel is None:
        return image
    half = len(kernel) // 2
    padded = np.pad(image, ((half, half), (half, half), (0, 0)), mode="reflect" if min(image.shape[:2]) > 1 else "edge")
    blurred: np.ndarray = oaconvolve(padded, kernel[:, :, None], mode="valid", axes=(0, 1))
    return blurred


def _resized(image: np.ndarray, size: tuple[int, int], resample: Filter) -> np.ndarray:
    """The image resized without antialiasing, as in the original, except by "area", which averages."""
    if image.shape[:2] == size:
        return image
    tensor = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]
    corners = None if resample == "area" else False
    resized = torch.nn.functional.interpolate(tensor, size=size, mode=resample, align_corners=corners)
    return resized[0].numpy().transpose(1, 2, 0)


def _noisy(image: np.ndarray, draw: StageDraw) -> np.ndarray:
    rng = np.random.default_rng(draw.noise_seed)
    if draw.noise == "gaussian":
        shape = (*image.shape[:2], 1) if draw.grey else image.shape
        noise = draw.noise_level / 255.0 * rng.standard_normal(shape)
    else:
        # As many levels as the 8-bit image has values, rounded up to a power of two: so many photons are full scale.
        clean = np.rint(np.clip(image, 0.0, 1.0) * 255.0) / 255.0
        if draw.grey:
            clean = np.rint((clean @ np.array([0.2989, 0.5870, 0.1140]))[:, :, None] * 255.0) / 255.0
        photons = 2.0 ** math.ceil(math.log2(max(2, len(np.unique(clean)))))
        noise = draw.noise_level * (rng.poisson(clean * photons) / photons - clean)
    return np.clip(image + noise, 0.0, 1.0)


def _pixels(image: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(image, 0.0, 1.0) * 255.0).astype(np.uint8)


def _jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    return jpeg(_pixels(image), quality) / 255.0


PRESETS = {
    "real-esrgan": SecondOrderDegradation(*REAL_ESRGAN),
    "stable-sr": SecondOrderDegradation(*STABLE_SR),
}
