"""Colours of the result after those of the input: the wavelet and the adain fix of StableSR, DiffBIR and SeeSR."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from real.errors import UserError
from real.images.pixels import unit_tensor

__all__ = ["COLOUR_FIXES", "adain_colour", "check_colour_fix", "fix_colours", "low_frequencies", "wavelet_colour"]

COLOUR_FIXES = ("none", "wavelet", "adain")
LEVELS = 5
EPSILON = 1e-5  # of the variance


def fix_colours(image: np.ndarray, low: np.ndarray, fix: str) -> np.ndarray:
    """A restored photo with the colours of the photo that it was restored from.

    Args:
        image: The result, RGB uint8 (H, W, 3).
        low: What it was made from, RGB uint8 (h, w, 3), enlarged here to the result's size by bicubic interpolation.
        fix: "none" gives the image back; "wavelet" takes the low frequencies of the input, those that five passes of
            a smoothing filter leave (`wavelet_colour`); "adain" takes the input's mean and standard deviation in every
            channel (`adain_colour`).

    Returns:
        RGB uint8 (H, W, 3).

    Raises:
        UserError: There is no such fix.
    """
    check_colour_fix(fix)
    if fix == "none":
        return image

    height, width = image.shape[:2]
    enlarged = np.asarray(Image.fromarray(low).resize((width, height), Image.Resampling.BICUBIC))
    change = wavelet_colour if fix == "wavelet" else adain_colour
    fixed = change(unit_tensor(image), unit_tensor(enlarged)).clamp(0.0, 1.0)
    pixels: np.ndarray = (fixed[0] * 255.0).round().to(torch.uint8).permute(1, 2, 0).numpy()
    return pixels


def check_colour_fix(fix: object) -> None:
    """UserError unless there is such a fix."""
    if fix not in COLOUR_FIXES:
        raise UserError(f"must be one of {', '.join(COLOUR_FIXES)}, got {fix!r}", argument="colour_fix")


def wavelet_colour(image: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """Details of the image on the low frequencies of the reference.

    Args:
        image: (B, C, H, W).
        reference: Images of the same shape, such as the input enlarged to the result's size.

    Returns:
        image - low(image) + low(reference), see `low_frequencies`; values can leave the range of the inputs.

    Raises:
        ValueError: Shapes differ.
    """
    _check(image, reference)
    return image - low_frequencies(image) + low_frequencies(reference)


def adain_colour(image: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """The image with mean and standard deviation of the reference in every channel (Huang and Belongie 2017).

    Args:
        image: (B, C, H, W).
        reference: Images of the same shape.

    Returns:
        Images of the same shape; values can leave the range of the inputs.

    Raises:
        ValueError: Shapes differ.
    """
    _check(image, reference)
    (mean, spread), (wanted_mean, wanted_spread) = _moments(image), _moments(reference)
    return (image - mean) / spread * wanted_spread + wanted_mean


def low_frequencies(image: torch.Tensor) -> torch.Tensor:
    """The image after five passes of the 1-2-1 filter, whose taps lie 1, 2, 4, 8, 16 pixels apart; edges repeat.

    Args:
        image: (B, C, H, W).
    """
    tap = torch.tensor([1.0, 2.0, 1.0], dtype=image.dtype, device=image.device) / 4.0
    channels = image.shape[1]
    kernel = (tap[:, None] * tap[None, :]).expand(channels, 1, 3, 3)
    for level in range(LEVELS):
        step = 2**level
        padded = functional.pad(image, (step,) * 4, mode="replicate")
        image = functional.conv2d(padded, kernel, groups=channels, dilation=step)
    return image


def _moments(image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    variance, mean = torch.var_mean(image, dim=(-2, -1), keepdim=True)
    return mean, (variance + EPSILON).sqrt()


def _check(image: torch.Tensor, reference: torch.Tensor) -> None:
    if image.ndim != 4 or image.shape != reference.shape:
        raise ValueError(
            f"image and reference must both be (B, C, H, W), got {tuple(image.shape)} and {tuple(reference.shape)}"
        )
