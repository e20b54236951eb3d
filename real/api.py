"""Restore a photo in one call, with any model that there is.

`super_resolve` and `inpaint` are what the commands `sr` and `inpaint` run. `open_model`, of `real.opening`, loads a
model once for many photos and says how it runs: device, precision, memory. `Settings` says what the method does.
"""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any

import numpy as np
import torch
from PIL import Image

from real.backbones.hints import Hints
from real.errors import UserError, blaming
from real.images.masks import as_mask
from real.images.photos import LARGEST_SIDE, load_photo
from real.images.pixels import from_tensor, to_rgb
from real.models.base import Model
from real.opening import FAMILIES, default_settings, open_model
from real.parallel.ranks import Ranks
from real.restorers.base import Progress, Restoration, Restorer, restore
from real.settings import Settings

__all__ = [
    "Model",
    "Picture",
    "inpaint",
    "inpainting_restorer",
    "open_model",
    "super_resolution_restorer",
    "super_resolve",
]

Picture = str | PathLike[str] | Image.Image | np.ndarray | torch.Tensor


def super_resolve(
    low: Picture,
    *,
    model: Model | str | PathLike[str] | None = None,
    settings: Settings | None = None,
    prompt: str | None = None,
    negative_prompt: str | None = None,
    noise_level: int | None = None,
    hints: Hints | None = None,
    colour_fix: str | None = None,
    progress: Progress | None = None,
) -> Restoration:
    """Restore a low-resolution photo four times as large with KDS: Algorithm 2 (v1), then the choice of Eq. 9.

    Args:
        low: A file, a PIL image, RGB uint8 (h, w, 3), or a tensor (3, h, w) of floats from 0 to 1.
        model: Model from `open_model`; or a folder or hub id, which is opened with its defaults; None: the bundled one.
        settings: Settings of the method; None: the paper's, N = 10 and 50 steps of DDIM, with the guidance that
            DiffBIR's and SeeSR's authors recommend and none for the others.
        prompt: What is in the photo, or wanted (x4 upscaler, DiffBIR, SeeSR); None: empty, or the recipe's.
        negative_prompt: What to move away from (these too); needs `settings.guidance` above 1.
        noise_level: Timestep of the noise that the photo gets (x4 upscaler only), 0 to 350; 20 by default.
        hints: What else is known of the photo (DiffBIR and SeeSR).
        colour_fix: How the result takes the colours of the photo: "none", "wavelet" (its low frequencies) or "adain"
            (its mean and standard deviation); None: as the authors do (DiffBIR wavelet, SeeSR adain, the others none).
        progress: Callback, called after every step of the N particles, then after every step of the plain first one.

    Returns:
        A `Restoration`: `image` and `plain` (RGB uint8 (4h, 4w, 3)), `chosen`, `particles.latents`, `trace`.

    Raises:
        TypeError: `low` is none of those.
        UserError: An argument is out of range or does not fit the model; the photo or the model cannot be read.

    Example:
        >>> from real.images.photos import sample_photo
        >>> result = super_resolve(sample_photo()[:64:4, :64:4], settings=Settings(particles=2, steps=2))
        >>> result.image.shape, result.chosen in (0, 1)
        ((64, 64, 3), True)
    """
    opened = model if isinstance(model, Model) else open_model(model)
    restorer = super_resolution_restorer(
        as_picture("low", low),
        opened,
        prompt=prompt,
        negative_prompt=negative_prompt,
        noise_level=noise_level,
        hints=hints,
        colour_fix=colour_fix,
    )
    return restore(restorer, settings or default_settings(opened), progress=progress)


def inpaint(
    image: Picture,
    mask: Picture,
    *,
    model: Model | str | PathLike[str] | None = None,
    settings: Settings | None = None,
    prompt: str | None = None,
    negative_prompt: str | None = None,
    paste: bool = True,
    progress: Progress | None = None,
) -> Restoration:
    """Paint the masked part of a photo with KDS: Algorithm 2 (v1), then the choice of Eq. 9.

    Args:
        image: A file, a PIL image, RGB uint8 (H, W, 3), or a tensor (3, H, W) of floats from 0 to 1; what is inside
            the mask is ignored.
        mask: bool (H, W), True where to paint, such as `real.images.masks.center_box` makes; or a file or a PIL image,
            light where to paint; or a tensor (H, W), bool or of floats from 0 to 1.
        model: Model from `open_model(..., task="inpaint")`; or a folder or hub id, opened with its defaults; None:
            the bundled model.
        settings: Settings of the method; None: the paper's, N = 10 and 50 steps of DDIM, without guidance.
        prompt: What to paint (Stable Diffusion only); empty by default.
        negative_prompt: What to move away from (Stable Diffusion only); needs `settings.guidance` above 1.
        paste: Whether to put the known pixels back; without it they are what the autoencoder makes of them.
        progress: Callback, called after every step of the N particles, then after every step of the plain first one.

    Returns:
        A `Restoration`: `image` and `plain` (RGB uint8 (H, W, 3)), `chosen`, `particles.latents`, `trace`.

    Raises:
        TypeError: `image` or `mask` is none of those.
        UserError: An argument is out of range, or the mask does not fit the image; a file or the model cannot be read.
    """
    opened = model if isinstance(model, Model) else open_model(model, task="inpaint")
    pixels = as_picture("image", image)
    restorer = inpainting_restorer(
        pixels, as_mask(mask), opened, prompt=prompt, negative_prompt=negative_prompt, paste=paste
    )
    return restore(restorer, settings or default_settings(opened), progress=progress)


def super_resolution_restorer(
    low: np.ndarray,
    model: Model,
    *,
    prompt: str | None = None,
    negative_prompt: str | None = None,
    noise_level: int | None = None,
    hints: Hints | None = None,
    colour_fix: str | None = None,
    ranks: Ranks | None = None,
) -> Restorer:
    """The restorer of a low-resolution photo, RGB uint8 (h, w, 3), by the family of the model; see `super_resolve`.

    With ranks, processes that share the particles, each process makes its own and calls `sample` as the first does.

    Raises:
        UserError: The model inpaints, or takes no text, noise or hints; or hints are missing.
    """
    options = {"prompt": prompt, "negative_prompt": negative_prompt, "noise_level": noise_level, "hints": hints}
    more = {"colour_fix": colour_fix, "ranks": ranks}
    return _restorer((low,), model, task="sr", options={**options, **more})


def inpainting_restorer(
    image: np.ndarray,
    mask: np.ndarray,
    model: Model,
    *,
    prompt: str | None = None,
    negative_prompt: str | None = None,
    paste: bool = True,
) -> Restorer:
    """The restorer of an image, RGB uint8 (H, W, 3), with a mask, by the family of the model; see `inpaint`.

    Raises:
        UserError: The model does not inpaint or takes no text, or the mask does not fit the image.
    """
    options = {"prompt": prompt, "negative_prompt": negative_prompt, "paste": paste}
    return _restorer((image, mask), model, task="inpaint", options=options)


def _restorer(photo: tuple[np.ndarray, ...], model: Model, *, task: str, options: Mapping[str, object]) -> Restorer:
    """The restorer of the model's family, with the options that are given; one that it does not take is refused."""
    family = FAMILIES[model.family]
    if family.task != task:
        raise UserError(
            f"must be for the task {task!r}, got {model.name!r}, which is for {family.task!r}", argument="model"
        )
    given = {name: value for name, value in options.items() if value is not None}
    for name in given:
        if name not in family.options:
            takers = ", ".join(f.name for f in FAMILIES.values() if name in f.options)
            raise UserError(f"must be left out except with {takers}, got a value for {model.name!r}", argument=name)
    restorer: Restorer = family.restorer(*photo, model, **given)
    return restorer


def as_picture(name: str, value: Any) -> np.ndarray:
    """A file, a PIL image, a tensor or an array as RGB uint8 (H, W, 3)."""
    if isinstance(value, str | PathLike):
        with blaming(name):
            return load_photo(str(value), largest=LARGEST_SIDE)

    if isinstance(value, Image.Image):
        return to_rgb(value)
    if isinstance(value, torch.Tensor):
        return from_tensor(name, value)

    if not isinstance(value, np.ndarray):
        raise TypeError(
            f"{name} must be a file, a PIL image, a tensor (3, H, W) or RGB uint8 (H, W, 3), got a "
            f"{type(value).__name__}"
        )
    if value.dtype != np.uint8 or value.ndim != 3 or value.shape[2] != 3 or min(value.shape[:2]) < 1:
        raise UserError(f"must be RGB uint8 of shape (H, W, 3), got {value.dtype} {value.shape}", argument=name)
    return value
