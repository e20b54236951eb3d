"""What is put into a hole before a denoiser sees the photo: black, or a smooth continuation of its surroundings."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import avg_pool2d, interpolate, pad

from real.errors import UserError

__all__ = ["blank", "fill_smoothly"]


def blank(x: torch.Tensor, mask: np.ndarray) -> torch.Tensor:
    """The photo with its hole in black: RGB in [-1, 1], (..., 3, H, W), and bool (H, W) -> the shape of x."""
    return x.masked_fill(torch.from_numpy(mask).to(x.device), -1.0)


def fill_smoothly(x: torch.Tensor, mask: np.ndarray) -> torch.Tensor:
    """The photo with its hole filled by a smooth interpolation of what is around it.

    Known pixels are averaged over ever larger cells until every cell knows something, and what is missing is read off
    the next larger cells (the pull-push algorithm; Gortler et al. 1996, "The Lumigraph").

    Args:
        x: RGB in [-1, 1], (B, 3, H, W).
        mask: bool (H, W), True inside the hole, with at least one False.

    Returns:
        (B, 3, H, W), equal to x outside the hole and independent of it inside.

    Raises:
        ValueError: Nothing is known.
    """
    if mask.all():
        raise UserError("must have a known pixel (False), got none", argument="mask")
    known = torch.from_numpy(~mask)[None, None].to(x)
    return _pull_push(x * known, known)


def _pull_push(total: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Known values times their weights, (B, C, H, W), and the weights, (1, 1, H, W) in [0, 1] -> values everywhere."""
    if bool((known >= 1.0).all()):
        return total

    coarse, share = _halved(total), _halved(known)
    weight = share.clamp(max=0.25) / share.clamp(min=1e-6)  # a quarter of the pixels is as good as all
    guess = _pull_push(coarse * weight * 4.0, (share * 4.0).clamp(max=1.0))

    height, width = total.shape[-2:]
    smooth = interpolate(guess, scale_factor=2.0, mode="bilinear")[..., :height, :width]
    return total + (1.0 - known) * smooth


def _halved(values: torch.Tensor) -> torch.Tensor:
    """Means of 2 x 2 pixels; an odd side gets a border of zeros."""
    padding = (0, values.shape[-1] % 2, 0, values.shape[-2] % 2)
    return avg_pool2d(pad(values, padding), 2)
