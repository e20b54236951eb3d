"""The family of a model, recognised by its configuration alone.

A family is a class of diffusers' pipelines with networks of one shape. Nothing that a model's author wrote is run to
find out: pipelines and networks with code of their own are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from real.errors import UserError
from real.models.base import ModelFamily
from real.models.hub import INDEX, Source, read_config

__all__ = ["recognise"]

LIBRARIES = ("diffusers", "transformers", "stable_diffusion", None)  # stable_diffusion: diffusers' safety checker
NO_CODE = "a model without code of its own, which is never run here"


def recognise(source: Source, families: Sequence[ModelFamily], *, task: str) -> ModelFamily:
    """The family of a model.

    Args:
        source: Place of the model, from `real.models.hub.locate`.
        families: All families that are recognised by their configuration.
        task: "sr" or "inpaint", for which the model is wanted.

    Returns:
        The family; its `denoiser` is the second one's folder where that is what does the task.

    Raises:
        UserError: The model is of another shape, for the other task, or brings code of its own.
    """
    known = " or ".join(family.what for family in families if family.task == task)
    family = _by_index(source, families, known, task)
    if family.task != task:
        family = _second(source, families, task) or family
    if family.task != task:
        raise _refusal(source, f"{known} for {task!r}", f", {family.what}, for {family.task!r}")

    # The class of the pipeline is a claim; the shapes of the networks are what has to fit.
    parts = {folder: read_config(source, f"{folder}/config.json") for folder in (family.denoiser, family.autoencoder)}
    if missing := [folder for folder, config in parts.items() if config is None]:
        raise _refusal(source, family.what, f" without {missing[0]}/config.json")
    unet, vae = (config or {} for config in parts.values())
    if not family.fits(unet, vae):
        channels = f"{unet.get('in_channels')} to {unet.get('out_channels')} channels"
        latents = f"{vae.get('latent_channels')} latent channels"
        raise _refusal(source, f"of the shape of {family.what}", f" with a UNet of {channels} and {latents}")
    return family


def _by_index(source: Source, families: Sequence[ModelFamily], known: str, task: str) -> ModelFamily:
    """The family by the class of the pipeline; without such an index by the folders and the channels."""
    # Where diffusers has no pipeline, as for inpainting in LDM's shape, a folder has no index either.
    index = read_config(source, INDEX)
    if index is None:
        family = _without_index(source, families)
        if family is None:
            raise _refusal(source, f"a folder or an id of {known} for {task!r}", f" without {INDEX}")
        return family

    _refuse_code(source, index)
    found = next((family for family in families if family.pipeline == index["_class_name"]), None)
    if found is None:
        raise _refusal(source, f"{known} for {task!r}", f", a {index['_class_name']}")
    return found


def _without_index(source: Source, families: Sequence[ModelFamily]) -> ModelFamily | None:
    """Networks in LDM-SR's folders without an index; how many channels the denoiser has says which family."""
    vqvae = read_config(source, "vqvae/config.json")
    if vqvae is None:
        return None
    unet = read_config(source, "unet/config.json") or {}
    latent = [family for family in families if family.latent]
    return next((family for family in latent if family.fits(unet, vqvae)), latent[0])


def _second(source: Source, families: Sequence[ModelFamily], task: str) -> ModelFamily | None:
    """The family of a second denoiser that does the task with the same autoencoder."""
    for family in families:
        if family.task == task and family.second and read_config(source, f"{family.second}/config.json") is not None:
            return replace(family, denoiser=family.second)
    return None


def _refuse_code(source: Source, index: dict[str, Any]) -> None:
    """Refuse pipelines and components that are modules in the model's own folder."""
    if not isinstance(index.get("_class_name"), str):
        raise _refusal(source, NO_CODE, " with a pipeline of its own")
    for name, value in index.items():
        if isinstance(value, list) and len(value) == 2 and value[0] not in LIBRARIES:
            raise _refusal(source, NO_CODE, f" with a {name} of its own ({value[0]})")


def _refusal(source: Source, accepted: str, but: str) -> UserError:
    return UserError(f"must be {accepted}, got {source.name!r}{but}", argument=source.argument)
