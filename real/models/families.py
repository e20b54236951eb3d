"""Which models the commands take, and how one is told from another: by its configuration alone.

A family is a class of diffusers' pipelines with networks of one shape. Nothing that a model's author wrote is run to
find out: pipelines and networks with code of their own are refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from real.errors import UserError
from real.models.hub import INDEX, Source, read_config

__all__ = ["FAMILIES", "Family", "recognise"]

LIBRARIES = ("diffusers", "transformers", "stable_diffusion", None)  # stable_diffusion: diffusers' safety checker


@dataclass(frozen=True)
class Family:
    """Models of one shape.

    Attributes:
        name: As `result.json` has it.
        task: "sr" or "inpaint": the command that takes it.
        pipeline: Class in model_index.json; None: diffusers has none, and the folder no such file.
        what: In words, for messages.
        fits: Whether the configurations of the denoiser and of the autoencoder have the family's shape.
        denoiser: Folder of the denoiser's configuration.
        autoencoder: Folder of the autoencoder's configuration.
        latent: Whether the core's samplers drive the networks themselves; else a pipeline of diffusers does.
    """

    name: str
    task: str
    pipeline: str | None
    what: str
    fits: Callable[[dict[str, Any], dict[str, Any]], bool]
    denoiser: str = "unet"
    autoencoder: str = "vae"
    latent: bool = False


def _is_ldm_sr(unet: dict[str, Any], vae: dict[str, Any]) -> bool:
    return (unet.get("in_channels"), unet.get("out_channels"), vae.get("latent_channels")) == (6, 3, 3)


def _is_ldm_inpainter(unet: dict[str, Any], vae: dict[str, Any]) -> bool:
    return (unet.get("in_channels"), unet.get("out_channels"), vae.get("latent_channels")) == (7, 3, 3)


def _is_upscaler(unet: dict[str, Any], vae: dict[str, Any]) -> bool:
    levels = len(vae.get("block_out_channels", ()))
    return unet.get("in_channels") == vae.get("latent_channels", 4) + 3 and levels == 3


def _is_inpainter(unet: dict[str, Any], vae: dict[str, Any]) -> bool:
    return unet.get("in_channels") == 2 * vae.get("latent_channels", 4) + 1


FAMILIES = (
    Family(
        "ldm-sr",
        "sr",
        "LDMSuperResolutionPipeline",
        "LDM-SR (a VQModel of 3 latent channels, a UNet2DModel of 6 to 3)",
        _is_ldm_sr,
        autoencoder="vqvae",
        latent=True,
    ),
    Family(
        "x4-upscaler",
        "sr",
        "StableDiffusionUpscalePipeline",
        "the x4 upscaler (an AutoencoderKL of factor 4, a UNet of 3 channels more than its latents)",
        _is_upscaler,
    ),
    Family(
        "sd-inpaint",
        "inpaint",
        "StableDiffusionInpaintPipeline",
        "Stable Diffusion inpainting (a UNet of 9 channels: latents, mask, masked latents)",
        _is_inpainter,
    ),
    Family(
        "ldm-inpaint",
        "inpaint",
        None,
        "LDM inpainting (a VQModel of 3 latent channels, a UNet2DModel of 7 to 3)",
        _is_ldm_inpainter,
        autoencoder="vqvae",
        latent=True,
    ),
)


def recognise(source: Source, *, task: str) -> Family:
    """The family of a model, for a command.

    Args:
        source: From `locate`.
        task: "sr" or "inpaint".

    Raises:
        UserError: The model is of another shape, of another command, or brings code of its own.
    """
    index = read_config(source, INDEX)
    known = "; ".join(f.what for f in FAMILIES if f.task == task)
    if index is None:
        family = _without_index(source)
        if family is None:
            raise UserError(f"--model: {source.name!r} has no {INDEX}; `{task}` takes folders and ids of {known}")
    else:
        _refuse_code(source, index)
        found = next((f for f in FAMILIES if f.pipeline == index["_class_name"]), None)
        if found is None:
            raise UserError(f"--model: {source.name!r} is a {index['_class_name']}; `{task}` takes {known}")
        family = found
    if family.task != task:
        raise UserError(f"--model: {source.name!r} is {family.what}, for `{family.task}`; `{task}` takes {known}")
    parts = {folder: read_config(source, f"{folder}/config.json") for folder in (family.denoiser, family.autoencoder)}
    if missing := [folder for folder, config in parts.items() if config is None]:
        raise UserError(f"--model: {source.name!r} has no {missing[0]}/config.json; it should be {family.what}")
    unet, vae = (config or {} for config in parts.values())
    if not family.fits(unet, vae):
        channels = f"{unet.get('in_channels')} to {unet.get('out_channels')} channels"
        raise UserError(
            f"--model: {source.name!r} has a UNet of {channels} and {vae.get('latent_channels')} latent channels, "
            f"which is not the shape of {family.what}"
        )
    return family


def _without_index(source: Source) -> Family | None:
    """Networks in LDM-SR's folders, without a word on the pipeline: how many channels the denoiser has says which."""
    if read_config(source, "vqvae/config.json") is None:
        return None
    unet = read_config(source, "unet/config.json") or {}
    return next(f for f in FAMILIES if f.latent and (f.pipeline is None) == (unet.get("in_channels") == 7))


def _refuse_code(source: Source, index: dict[str, Any]) -> None:
    """Pipelines and components that are modules in the model's own folder."""
    if not isinstance(index.get("_class_name"), str):
        raise UserError(f"--model: {source.name!r} brings a pipeline as code of its own, which is never run here")
    for name, value in index.items():
        if isinstance(value, list) and len(value) == 2 and value[0] not in LIBRARIES:
            raise UserError(
                f"--model: {name} of {source.name!r} is code of its own ({value[0]}), which is never run here"
            )
