"""From what the page holds to a job: a photo of a size that can be played with, its hole, and the settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from real.degradations.simple import SCALE, Degradation
from real.errors import UserError
from real.images.masks import check_mask
from real.images.photos import center_crop
from real.images.pixels import to_rgb
from real.images.seeds import degradation_rng
from real.settings import Settings

__all__ = ["SMALLEST", "Job", "drawn_mask", "fit", "make_job"]

SMALLEST = 16  # pixels of what the model sees, on a side


@dataclass(frozen=True)
class Job:
    """One restoration.

    Attributes:
        task: "sr" or "inpaint".
        photo: What is restored, RGB uint8: the low-resolution photo, or the photo with a hole.
        settings: Settings of the method.
        mask: bool (H, W), True where to paint; None for "sr".
        truth: RGB uint8 of the size of the result; None where it is not known.
    """

    task: str
    photo: np.ndarray
    settings: Settings
    mask: np.ndarray | None = None
    truth: np.ndarray | None = None


def make_job(editor: Mapping[str, Any] | None, task: str, settings: Settings, *, truth: bool, side: int) -> Job:
    """The job of a page.

    Args:
        editor: Value of gradio's `ImageEditor`, PIL images: `background`, the photo, and `layers`, the drawing on it.
        task: "sr" or "inpaint".
        settings: Settings of the method; the seed is also that of the degradation.
        truth: Whether the photo is the truth. It is then degraded first, or what the drawing hides is compared.
        side: Longest side in pixels of the low-resolution photo; of a photo with a hole it is four times as long. A
            larger photo is reduced.

    Raises:
        UserError: There is no photo, it is too small, or nothing is drawn on it.
    """
    if editor is None or editor.get("background") is None:
        raise UserError("there is no photo; drop one, or take the sample")
    image = editor["background"]
    large = fit(image, side if task == "sr" and not truth else SCALE * side)
    least = SMALLEST if task == "sr" and not truth else SCALE * SMALLEST
    if min(large.shape[:2]) < least:
        got = f"got {large.shape[1]} x {large.shape[0]}"
        raise UserError(f"the photo must have {least} pixels on a side, {got}; take a larger one, or a larger size")

    if task == "inpaint":
        mask = drawn_mask(editor.get("layers") or (), width=large.shape[1], height=large.shape[0])
        if not mask.any():
            raise UserError("nothing is drawn; paint over what is to be replaced")
        check_mask(mask, large)
        return Job(task, large, settings, mask, large if truth else None)
    if not truth:
        return Job(task, large, settings)
    whole = np.ascontiguousarray(center_crop(large))
    return Job(task, Degradation()(whole, degradation_rng(settings.seed, whole)), settings, truth=whole)


def fit(image: Image.Image, side: int) -> np.ndarray:
    """A photo as RGB uint8 (H, W, 3), reduced so that no side is longer than `side`; never enlarged."""
    pixels = Image.fromarray(to_rgb(image))
    pixels.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=None)
    return np.array(pixels)


def drawn_mask(layers: Sequence[Image.Image], *, width: int, height: int) -> np.ndarray:
    """Mask of what is drawn, bool (height, width): half of a pixel's area and more, on any of the layers."""
    mask = np.zeros((height, width), dtype=bool)
    for layer in layers:
        alpha = layer.convert("RGBA").getchannel("A")
        mask |= np.asarray(alpha.resize((width, height), Image.Resampling.BOX)) >= 128
    return mask
