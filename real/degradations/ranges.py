"""What second-order degradations are drawn from: the ranges of one stage, and the published tables of them.

`REAL_ESRGAN` and `STABLE_SR` are pairs of stages, of Real-ESRGAN x4plus (Wang et al. 2021) and of StableSR (Wang et al.
2024), which made the test sets that this literature reports on with them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

from real.errors import UserError

__all__ = ["REAL_ESRGAN", "SMALLEST_KERNEL", "STABLE_SR", "Stage"]

Range: TypeAlias = tuple[float, float]
SMALLEST_KERNEL = 7


@dataclass(frozen=True)
class Stage:
    """Ranges and probabilities of one stage; every range is (low, high), drawn uniformly.

    Attributes:
        resize: Probabilities of enlarging, of reducing and of keeping the size.
        scale: Factor of the resize; enlarging draws from [1, high], reducing from [low, 1].
        gaussian: Probability of Gaussian noise; else Poisson noise.
        sigma: Standard deviation of the Gaussian noise, of 255.
        poisson: Scale of the Poisson noise.
        grey: Probability that the three channels have the same noise.
        jpeg: JPEG quality.
        blur: Probability of blurring at all.
        blur_sigma: Standard deviations of the kernels, in pixels.
        largest_kernel: Odd side of the largest kernel; sides are odd numbers from 7.
        sinc: Probability of a sinc kernel, given blur.
        betag: Shape of generalised Gaussian kernels; half of them are drawn from below 1.
        betap: Shape of plateau-shaped kernels, likewise.
    """

    resize: tuple[float, float, float]
    scale: Range
    gaussian: float
    sigma: Range
    poisson: Range
    grey: float
    jpeg: tuple[int, int]
    blur: float
    blur_sigma: Range
    largest_kernel: int
    sinc: float
    betag: Range
    betap: Range

    def __post_init__(self) -> None:
        """Refuse ranges that are upside down or out of bounds, and what is no probability."""
        limits = {
            "scale": (0.01, 16.0),
            "sigma": (0.0, 255.0),
            "poisson": (0.0, 100.0),
            "jpeg": (1, 100),
            "blur_sigma": (1e-3, 100.0),
            "betag": (1e-3, 100.0),
            "betap": (1e-3, 100.0),
        }

        for name, (least, most) in limits.items():
            low, high = getattr(self, name)
            if not least <= low <= high <= most:
                raise UserError(f"must have {least} <= low <= high <= {most}, got ({low}, {high})", argument=name)
            # Drawn from [low, 1] or from [1, high], so 1 has to lie between them.
            if name in ("scale", "betag", "betap") and not low <= 1.0 <= high:
                raise UserError(f"must have low <= 1 <= high, got ({low}, {high}); either side is drawn", argument=name)

        for name in ("gaussian", "grey", "blur", "sinc"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise UserError(f"must be a probability in [0, 1], got {getattr(self, name)}", argument=name)

        if len(self.resize) != 3 or min(self.resize) < 0.0 or not math.isclose(sum(self.resize), 1.0):
            raise UserError(f"must be three probabilities of sum 1, got {self.resize}", argument="resize")
        if self.largest_kernel < SMALLEST_KERNEL or self.largest_kernel % 2 == 0:
            raise UserError(
                f"must be an odd number of at least {SMALLEST_KERNEL}, got {self.largest_kernel}",
                argument="largest_kernel",
            )


def _stage(**ranges: Any) -> Stage:
    """A stage with what Real-ESRGAN and StableSR have in common."""
    return Stage(gaussian=0.5, grey=0.4, sinc=0.1, **ranges)


REAL_ESRGAN = (
    _stage(
        resize=(0.2, 0.7, 0.1),
        scale=(0.15, 1.5),
        sigma=(1.0, 30.0),
        poisson=(0.05, 3.0),
        jpeg=(30, 95),
        blur=1.0,
        blur_sigma=(0.2, 3.0),
        largest_kernel=21,
        betag=(0.5, 4.0),
        betap=(1.0, 2.0),
    ),
    _stage(
        resize=(0.3, 0.4, 0.3),
        scale=(0.3, 1.2),
        sigma=(1.0, 25.0),
        poisson=(0.05, 2.5),
        jpeg=(30, 95),
        blur=0.8,
        blur_sigma=(0.2, 1.5),
        largest_kernel=21,
        betag=(0.5, 4.0),
        betap=(1.0, 2.0),
    ),
)
STABLE_SR = (
    _stage(
        resize=(0.2, 0.7, 0.1),
        scale=(0.3, 1.5),
        sigma=(1.0, 15.0),
        poisson=(0.05, 2.0),
        jpeg=(60, 95),
        blur=1.0,
        blur_sigma=(0.2, 1.5),
        largest_kernel=21,
        betag=(0.5, 2.0),
        betap=(1.0, 1.5),
    ),
    _stage(
        resize=(0.3, 0.4, 0.3),
        scale=(0.6, 1.2),
        sigma=(1.0, 12.0),
        poisson=(0.05, 1.0),
        jpeg=(60, 100),
        blur=0.5,
        blur_sigma=(0.2, 1.0),
        largest_kernel=11,
        betag=(0.5, 2.0),
        betap=(1.0, 1.5),
    ),
)
