"""The front door: restore a photo in one call, with any model that there is.

`super_resolve` and `inpaint` are what the commands `sr` and `inpaint` run. `open_model`, of `real.opening`, loads a
model once for many photos and says how it runs: device, precision, memory. `Settings` says what the method does.
"""

from __future__ import annotations

from os import PathLike
from typing import Any

import numpy as np
import torch
from PIL import Image

from real.backbones.hints import Hints
from real.backbones.model import BackboneModel
from real.backbones.problem import BackboneProblem
from real.backbones.recipes import RECIPES
from real.errors import UserError
from real.images.masks import as_mask
from real.images.photos import LARGEST_SIDE, load_photo
from real.images.pixels import from_tensor, to_rgb
from real.models.latent import LatentModel
from real.opening import Model, default_settings, open_model
from real.parallel.ranks import Ranks
from real.restorers.base import Progress, Restoration, restore_problem
from real.restorers.ensemble import EnsembleProblem
from real.restorers.inpainting import inpainting_problem
from real.restorers.super_resolution import LowResolution
from real.restorers.upscaling import NOISE_LEVEL, Upscaling
from real.settings import Settings

__all__ = ["Model", "Picture", "inpaint", "open_model", "super_resolution_problem", "super_resolve"]

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
    progress: Progress | None = None,
) -> Restoration:
    """Restore a low-resolution photo four times as large with KDS: Algorithm 2 (v1), then the choice of Eq. 9.

    Args:
        low: A file, a PIL image, RGB uint8 (h, w, 3), or a tensor (3, h, w) of floats from 0 to 1.
        model: From `open_model`; or a folder or hub id, which is opened with its defaults; None: the bundled model.
        settings: Of the method; None: the paper's, N = 10 and 50 steps of DDIM, with the guidance that DiffBIR's and
            SeeSR's authors recommend and none for the others.
        prompt: What is in the photo, or wanted (x4 upscaler, DiffBIR, SeeSR); None: empty, or the recipe's.
        negative_prompt: What to move away from (these too); needs `settings.guidance` above 1.
        noise_level: Timestep of the noise that the photo gets (x4 upscaler only), 0 to 350; 20 by default.
        hints: What else is known of the photo (DiffBIR and SeeSR).
        progress: Called after every step of the N particles, then after every step of the plain first one.

    Returns:
        A `Restoration`: `image` and `plain` (RGB uint8 (4h, 4w, 3)), `chosen`, `particles.latents`, `trace`.

    Raises:
        TypeError: `low` is none of those.
        ValueError: An argument is out of range or does not fit the model.
        UserError: The photo or the model cannot be read.

    Example:
        >>> from real.images.photos import sample_photo
        >>> result = super_resolve(sample_photo()[:64:4, :64:4], settings=Settings(particles=2, steps=2))
        >>> result.image.shape, result.chosen in (0, 1)
        ((64, 64, 3), True)
    """
    opened = model if isinstance(model, Model) else open_model(model)
    problem = super_resolution_problem(
        as_picture("low", low),
        opened,
        prompt=prompt,
        negative_prompt=negative_prompt,
        noise_level=noise_level,
        hints=hints,
    )
    return restore_problem(problem, settings or default_settings(opened), progress=progress)


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
            the mask has no say.
        mask: bool (H, W), True where to paint, such as `real.images.masks.center_box` makes; or a file or a PIL image,
            light where to paint; or a tensor (H, W), bool or of floats from 0 to 1.
        model: From `open_model(..., task="inpaint")`; or a folder or hub id, which is opened with its defaults; None:
            the bundled model.
        settings: Of the method; None: the paper's, N = 10 and 50 steps of DDIM, without guidance.
        prompt: What to paint (Stable Diffusion only); empty by default.
        negative_prompt: What to move away from (Stable Diffusion only); needs `settings.guidance` above 1.
        paste: Put the known pixels back; without it they are what the autoencoder makes of them.
        progress: Called after every step of the N particles, then after every step of the plain first one.

    Returns:
        A `Restoration`: `image` and `plain` (RGB uint8 (H, W, 3)), `chosen`, `particles.latents`, `trace`.

    Raises:
        TypeError: `image` or `mask` is none of those.
        ValueError: An argument is out of range, or the mask does not fit the image.
        UserError: A file or the model cannot be read.
    """
    opened = model if isinstance(model, Model) else open_model(model, task="inpaint")
    if isinstance(opened, BackboneModel):
        raise ValueError(f"model: {opened.name!r} does super-resolution; open one with task='inpaint'")
    pixels = as_picture("image", image)
    hole = as_mask(mask)
    problem = inpainting_problem(pixels, hole, opened, prompt=prompt, negative_prompt=negative_prompt, paste=paste)
    return restore_problem(problem, settings or Settings(), progress=progress)


def super_resolution_problem(
    low: np.ndarray,
    model: Model,
    *,
    prompt: str | None = None,
    negative_prompt: str | None = None,
    noise_level: int | None = None,
    hints: Hints | None = None,
    ranks: Ranks | None = None,
) -> EnsembleProblem:
    """The problem of a super-resolution model of any family; see `super_resolve`.

    With ranks, processes that share the particles, the others call `real.restorers.super_resolution.take_part`.

    Raises:
        ValueError: The model inpaints, or takes no text, noise or hints.
        UserError: Several processes, and a model of another shape than LDM-SR's; hints are missing.
    """
    if ranks is not None and not isinstance(model, LatentModel):
        raise UserError(
            f"--model: {model.name!r} is of the family {model.family}, which the command runs in one process; start it "
            "without torchrun, or share its particles by steer_scheduler(..., process_group=...) in a script"
        )
    if isinstance(model, BackboneModel):
        if noise_level is not None:
            raise ValueError("noise_level: it belongs to the x4 upscaler; leave it out")
        return BackboneProblem(low, model, hints=hints, prompt=prompt, negative_prompt=negative_prompt)
    if hints is not None:
        raise ValueError(f"hints: they belong to {' and '.join(RECIPES)}; leave them out")
    if model.family not in ("ldm-sr", "x4-upscaler"):
        raise ValueError(f"model: {model.name!r} does inpainting; open one with task='sr'")
    if isinstance(model, LatentModel):
        options = {"prompt": prompt, "negative_prompt": negative_prompt, "noise_level": noise_level}
        given = [name for name, value in options.items() if value is not None]
        if given:
            raise ValueError(f"{given[0]}: models in LDM-SR's shape know none; leave it out or use the x4 upscaler")
        return LowResolution(low, model, ranks)
    return Upscaling(
        low,
        model,
        prompt=prompt or "",
        negative_prompt=negative_prompt or None,
        noise_level=NOISE_LEVEL if noise_level is None else noise_level,
    )


def as_picture(name: str, value: Any) -> np.ndarray:
    """A file, a PIL image, a tensor or an array as RGB uint8 (H, W, 3)."""
    if isinstance(value, str | PathLike):
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
        raise ValueError(f"{name}: got {value.dtype} {value.shape}; give RGB uint8 of shape (H, W, 3)")
    return value
