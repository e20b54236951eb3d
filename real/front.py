"""The front door: restore a photo in one call, with any model that there is.

`super_resolve` and `inpaint` are what the commands `sr` and `inpaint` run. `open_model` loads a model once for many
photos and says how it runs: device, precision, memory. `Settings` says what the method does.
"""

from __future__ import annotations

from os import PathLike
from typing import Any

import numpy as np
from PIL import Image

from real.cli import UserError
from real.devices import pick_device
from real.families import recognise
from real.hub import locate
from real.images import LARGEST_SIDE, load_photo, to_rgb
from real.inpainting import inpainting_problem
from real.masks import load_mask
from real.models import LatentModel, load_model
from real.pipelines import PipelineModel, load_pipeline
from real.problems import Problem, Progress, Restoration, restore_problem
from real.ranks import Ranks
from real.restore import LowResolution
from real.sampling import Settings
from real.upscaling import NOISE_LEVEL, Upscaling

__all__ = ["Model", "Picture", "inpaint", "open_model", "super_resolution_problem", "super_resolve"]

Model = LatentModel | PipelineModel
Picture = str | PathLike[str] | Image.Image | np.ndarray


def open_model(
    model: str | PathLike[str] | None = None,
    *,
    task: str = "sr",
    device: str = "auto",
    dtype: str = "float32",
    revision: str | None = None,
    pickled_weights: bool = False,
    max_batch: int | None = None,
    vae_tiling: bool = False,
    cpu_offload: bool = False,
) -> Model:
    """Load a model for `super_resolve` or `inpaint`; its family is read off its configuration, no code of it runs.

    Args:
        model: A folder as diffusers saves it, or an id on the Hugging Face hub; None: the bundled one (task "sr").
        task: "sr" (LDM-SR's shape, or the x4 upscaler) or "inpaint" (Stable Diffusion inpainting, 9 channels, or the
            shape that `python -m real.train inpainting` trains, 7 channels).
        device: "cpu", "cuda", "cuda:1", "mps", or "auto": the first of cuda, mps and cpu that there is.
        dtype: "float32", "bfloat16" or "float16": of all networks of a pipeline, of LDM-SR's denoiser. Steering
            computes in float32.
        revision: Commit, tag or branch of an id. What was loaded is in the `commit` of the result.
        pickled_weights: Also accept weights in pickle files. A pickle can run code that its author put into it while it
            is read; torch's restricted unpickler refuses most of that. The public LDM-SR has only pickles.
        max_batch: Most rows that go through the denoiser at once; less memory, the same result. A particle is one row,
            in a pipeline with guidance two. None: all for a pipeline, 16 for the others.
        vae_tiling: Encode and decode in tiles (pipelines; the others always do with large photos).
        cpu_offload: Keep each network on the device only while it works (pipelines; needs accelerate).

    Returns:
        The model, on the device. `bandwidth` is the h that its `kds.json` names, or the paper's 0.3.

    Raises:
        ValueError: An option is not among those.
        UserError: The model cannot be found, loaded or used for the task, or an option does not fit it or this machine.

    Warns:
        UserWarning: If pickles are allowed.
    """
    if task not in ("sr", "inpaint"):
        raise ValueError(f"task: got {task!r}; known: sr, inpaint")
    name = None if model is None else str(model)
    if name is None and task == "inpaint":
        raise UserError(
            "--model: inpainting has no bundled model; give a folder that real.train made, or an id of Stable "
            "Diffusion inpainting, such as sd2-community/stable-diffusion-2-inpainting"
        )
    if max_batch is not None and (isinstance(max_batch, bool) or not isinstance(max_batch, int) or max_batch < 1):
        raise ValueError(f"max_batch: got {max_batch!r}; give a whole number of at least 1")
    device = pick_device(device)
    source = None if name is None else locate(name, revision=revision)
    family = None if source is None else recognise(source, task=task)
    if source is None or family is None or family.latent:
        for option, given in (("--vae-tiling", vae_tiling), ("--cpu-offload", cpu_offload)):
            if given:
                raise UserError(
                    f"{option}: for pipelines only; models in LDM-SR's shape are small and tile by themselves"
                )
        return load_model(
            name,
            task=task,
            device=device,
            dtype=dtype,
            revision=revision,
            pickled_weights=pickled_weights,
            max_batch=max_batch or 16,
        )
    return load_pipeline(
        source,
        family,
        device=device,
        dtype=dtype,
        pickled_weights=pickled_weights,
        max_batch=max_batch,
        vae_tiling=vae_tiling,
        cpu_offload=cpu_offload,
    )


def super_resolve(
    low: Picture,
    *,
    model: Model | str | PathLike[str] | None = None,
    settings: Settings | None = None,
    prompt: str | None = None,
    negative_prompt: str | None = None,
    noise_level: int | None = None,
    progress: Progress | None = None,
) -> Restoration:
    """Restore a low-resolution photo four times as large with KDS: Algorithm 2 (v1), then the choice of Eq. 9.

    Args:
        low: A file, a PIL image, or RGB uint8 (h, w, 3).
        model: From `open_model`; or a folder or hub id, which is opened with its defaults; None: the bundled model.
        settings: Of the method; None: the paper's, N = 10 and 50 steps of DDIM.
        prompt: What is in the photo (x4 upscaler only); empty by default.
        negative_prompt: What to move away from (x4 upscaler only); needs `settings.guidance` above 1.
        noise_level: Timestep of the noise that the photo gets (x4 upscaler only), 0 to 350; 20 by default.
        progress: Called after every step of the N particles, then after every step of the plain first one.

    Returns:
        A `Restoration`: `image` and `plain` (RGB uint8 (4h, 4w, 3)), `chosen`, `particles.latents`, `trace`.

    Raises:
        TypeError: `low` is none of those.
        ValueError: An argument is out of range or does not fit the model.
        UserError: The photo or the model cannot be read.

    Example:
        >>> from real.images import sample_photo
        >>> result = super_resolve(sample_photo()[:64:4, :64:4], settings=Settings(particles=2, steps=2))
        >>> result.image.shape, result.chosen in (0, 1)
        ((64, 64, 3), True)
    """
    opened = model if isinstance(model, LatentModel | PipelineModel) else open_model(model)
    problem = super_resolution_problem(
        as_picture("low", low), opened, prompt=prompt, negative_prompt=negative_prompt, noise_level=noise_level
    )
    return restore_problem(problem, settings or Settings(), progress=progress)


def inpaint(
    image: Picture,
    mask: str | PathLike[str] | np.ndarray,
    *,
    model: Model | str | PathLike[str],
    settings: Settings | None = None,
    prompt: str | None = None,
    negative_prompt: str | None = None,
    paste: bool = True,
    progress: Progress | None = None,
) -> Restoration:
    """Paint the masked part of a photo with KDS: Algorithm 2 (v1), then the choice of Eq. 9.

    Args:
        image: A file, a PIL image, or RGB uint8 (H, W, 3); what is inside the mask has no say.
        mask: bool (H, W), True where to paint, such as `real.masks.center_box` makes; or a file, light where to paint.
        model: From `open_model(..., task="inpaint")`; or a folder or hub id, which is opened with its defaults.
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
    opened = model if isinstance(model, LatentModel | PipelineModel) else open_model(model, task="inpaint")
    pixels = as_picture("image", image)
    hole = mask if isinstance(mask, np.ndarray) else load_mask(str(mask))
    problem = inpainting_problem(pixels, hole, opened, prompt=prompt, negative_prompt=negative_prompt, paste=paste)
    return restore_problem(problem, settings or Settings(), progress=progress)


def super_resolution_problem(
    low: np.ndarray,
    model: Model,
    *,
    prompt: str | None = None,
    negative_prompt: str | None = None,
    noise_level: int | None = None,
    ranks: Ranks | None = None,
) -> Problem:
    """The problem of a super-resolution model of any family; see `super_resolve`.

    With ranks, processes that share the particles, the others call `real.restore.take_part`.

    Raises:
        ValueError: The model inpaints, or takes no text or noise.
        UserError: Several processes, and a model of another shape than LDM-SR's.
    """
    if ranks is not None and not isinstance(model, LatentModel):
        raise UserError(
            f"--model: {model.name!r} is of the family {model.family}, which the command runs in one process; start it "
            "without torchrun, or share its particles by steer_scheduler(..., process_group=...) in a script"
        )
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
    """A file, a PIL image or an array as RGB uint8 (H, W, 3)."""
    if isinstance(value, str | PathLike):
        return load_photo(str(value), largest=LARGEST_SIDE)
    if isinstance(value, Image.Image):
        return to_rgb(value)
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{name}: got a {type(value).__name__}; give a file, a PIL image or RGB uint8 (H, W, 3)")
    if value.dtype != np.uint8 or value.ndim != 3 or value.shape[2] != 3 or min(value.shape[:2]) < 1:
        raise ValueError(f"{name}: got {value.dtype} {value.shape}; give RGB uint8 of shape (H, W, 3)")
    return value
