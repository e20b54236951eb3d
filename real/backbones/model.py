"""DiffBIR or SeeSR, loaded from the places in a recipe: networks, autoencoder, text encoder and noise schedule."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch

from real.backbones.cleaner import BICUBIC, load_cleaner
from real.backbones.grids import ddim_options
from real.backbones.pictures import FACTOR
from real.backbones.recipes import Recipe
from real.backbones.sources import find_file, find_folder, find_seesr, place_of
from real.errors import UserError, blaming
from real.models.autoencoders import autoencoder_class
from real.models.base import LoadOptions, Model
from real.models.devices import usual_defaults
from real.models.hub import Source, read_config
from real.models.latent import DTYPES, PICKLES, explain, kds_bandwidth, weights_options
from real.models.pipeline import check_packages, quiet
from real.plugin.batching import split_batches

__all__ = ["BackboneModel", "load_backbone"]

Loaded = TypeVar("Loaded")


@dataclass(frozen=True, kw_only=True)
class BackboneModel(Model):
    """DiffBIR or SeeSR, loaded; `revision` and `commit` are None, since its parts have their own (`places`).

    Attributes:
        recipe: Settings of the model.
        unet: The denoiser.
        controlnet: Control net, which conditions the denoiser on the photo.
        vae: The autoencoder, in float32.
        tokenizer: Tokenizer of the text encoder.
        text_encoder: Text encoder; its last hidden states are the text's embeddings.
        scheduler: Configuration of the noise schedule, in diffusers' terms.
        cleaner: Network of DiffBIR's first stage, from `real.backbones.cleaner.load_cleaner`; None: there is none.
        places: What was loaded from where, with commits, by the name of the recipe's entry.
        vae_tiling: Whether to encode and decode in smaller tiles.
    """

    packages: ClassVar[tuple[str, ...]] = ("transformers",)

    recipe: Recipe
    unet: Any
    controlnet: Any
    vae: Any
    tokenizer: Any
    text_encoder: Any
    scheduler: Mapping[str, Any]
    cleaner: Any = None
    places: Mapping[str, str] = field(default_factory=dict)
    vae_tiling: bool = False

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the denoiser."""
        dtype: torch.dtype = self.unet.dtype
        return dtype

    @property
    def num_train_timesteps(self) -> int:
        """T of the noise schedule."""
        return int(self.scheduler["num_train_timesteps"])

    @property
    def recommended_guidance(self) -> float:
        """Weight of classifier-free guidance that the authors recommend."""
        return self.recipe.guidance

    @torch.no_grad()
    def encode_text(self, text: str) -> torch.Tensor:
        """Tokens of a text (1, L, W); what is longer than the text encoder reads is cut off."""
        with usual_defaults():
            ids = self.tokenizer(
                [text],
                padding="max_length",
                max_length=self.tokenizer.model_max_length,
                truncation=True,
                return_tensors="pt",
            ).input_ids
        tokens: torch.Tensor = self.text_encoder(ids.to(self.device))[0]
        return tokens

    def describe(self) -> dict[str, Any]:
        """What a result file says of the model, ready for JSON: recipe and places besides what all models say."""
        # The guidance that was used is among a run's settings.
        recipe = {name: value for name, value in self.recipe.describe().items() if name != "guidance"}
        backbone = {**recipe, "loaded": dict(self.places), "vae_tiling": self.vae_tiling}
        return {**super().describe(), "backbone": backbone}


def load_backbone(recipe: Recipe, options: LoadOptions) -> BackboneModel:
    """Load what a recipe names; every part is found before the first one is loaded.

    Args:
        recipe: Places and settings, from `real.backbones.recipes.RECIPES`, with other places or settings if need be.
        options: How to load and run it. The precision is that of UNet, control net and text encoder; sampler, steering,
            autoencoder and cleaner compute in float32. With guidance each particle is two rows of `max_batch`.

    Raises:
        UserError: A package or a part is missing, cannot be read, or does not fit the others; or an option belongs to
            pipelines.

    Warns:
        UserWarning: If pickles are allowed.
    """
    if options.cpu_offload:
        why = "must be left out except with pipelines, got True; try `max_batch`, `dtype=float16` or `vae_tiling=True`"
        raise UserError(why, argument="cpu_offload")
    check_packages(options)
    dtype, device, pickled_weights = DTYPES[options.dtype], options.device, options.pickled_weights
    if pickled_weights:
        warnings.warn(PICKLES, UserWarning, stacklevel=3)

    # The small questions come first: a wrong name is known before gigabytes are read.
    with quiet():
        base = find_folder(recipe.base, argument="base")
        places = {"base": place_of(base)}
        cleaner = _find_cleaner(recipe, places, pickled_weights)
        load = _load_diffbir if recipe.family == "diffbir" else _load_seesr
        unet, controlnet, scheduler = load(recipe, base, places, dtype, pickled_weights)
        vae, tokenizer, text_encoder = _load_around(base, pickled_weights)
        _check_fit(unet, vae, text_encoder, base)
        if cleaner is not None:
            cleaner = load_cleaner(cleaner, device=device, pickled_weights=pickled_weights)

    # Both networks see every row, so both need the limit.
    if options.max_batch is not None:
        split_batches(unet, options.max_batch)
        split_batches(controlnet, options.max_batch)

    return BackboneModel(
        name=recipe.family,
        family=recipe.family,
        recipe=recipe,
        unet=_ready(unet.to(device)),
        controlnet=_ready(controlnet.to(device)),
        vae=_ready(vae.to(device)),
        tokenizer=tokenizer,
        text_encoder=_ready(text_encoder.to(device, dtype)),
        scheduler=scheduler,
        bandwidth=kds_bandwidth(base),
        device=torch.device(device),
        cleaner=cleaner,
        places=places,
        vae_tiling=options.vae_tiling,
    )


def _find_cleaner(recipe: Recipe, places: dict[str, str], pickled_weights: bool) -> Path | None:
    if recipe.cleaner is None or recipe.cleaner == BICUBIC:
        return None
    path, places["cleaner"] = find_file(recipe.cleaner, argument="cleaner", pickled_weights=pickled_weights)
    return path


def _load_diffbir(
    recipe: Recipe, base: Source, places: dict[str, str], dtype: torch.dtype, pickled_weights: bool
) -> tuple[Any, Any, dict[str, Any]]:
    """UNet of the base, or of a checkpoint in its shape; a control net in that shape; the authors' schedule."""
    from diffusers import UNet2DConditionModel

    from real.backbones.diffbir import load_controlnet, load_unet, network_config

    given = read_config(base, "unet/config.json")
    if given is None:
        why = f"must have unet/config.json, got {base.name!r} without it; give Stable Diffusion 2.1-base"
        raise UserError(why, argument="base")

    # The authors publish weights without a configuration; both networks have the shape of the base.
    config = {name: given.get(name) for name in network_config()}
    control, places["weights"] = find_file(recipe.weights, argument="control", pickled_weights=pickled_weights)
    options: dict[str, Any] = {"dtype": dtype, "pickled_weights": pickled_weights}

    if recipe.unet is not None:
        file, places["unet"] = find_file(recipe.unet, argument="unet", pickled_weights=pickled_weights)
        with blaming("unet"):
            unet = load_unet(file, config=config, **options)
    else:
        more: dict[str, Any] = {"subfolder": "unet", "torch_dtype": dtype, "low_cpu_mem_usage": False}
        unet = _from_base(base, UNet2DConditionModel.from_pretrained, pickled_weights, more)
    with blaming("control"):
        controlnet = load_controlnet(control, config=config, **options)
    return unet, controlnet, ddim_options("v2")


def _load_seesr(
    recipe: Recipe, base: Source, places: dict[str, str], dtype: torch.dtype, pickled_weights: bool
) -> tuple[Any, Any, dict[str, Any]]:
    """Both networks of the authors' folder, the schedule of the base."""
    from real.backbones.seesr import load_network

    scheduler = read_config(base, "scheduler/scheduler_config.json")
    if scheduler is None:
        why = f"must have scheduler/scheduler_config.json, got {base.name!r} without it; give Stable Diffusion 2-base"
        raise UserError(why, argument="base")
    folder, places["weights"] = find_seesr(recipe.weights, pickled_weights=pickled_weights)
    options: dict[str, Any] = {"dtype": dtype, "pickled_weights": pickled_weights}
    with blaming("seesr"):
        networks = [load_network(folder, kind, **options) for kind in ("unet", "controlnet")]
    return networks[0], networks[1], scheduler


def _load_around(base: Source, pickled_weights: bool) -> tuple[Any, Any, Any]:
    """Autoencoder, tokenizer and text encoder of Stable Diffusion."""
    from transformers import CLIPTextModel, CLIPTokenizer

    options: dict[str, Any] = {"subfolder": "vae", "low_cpu_mem_usage": False}
    autoencoder = autoencoder_class(read_config(base, "vae/config.json") or {}, argument="base")
    vae = _from_base(base, autoencoder.from_pretrained, pickled_weights, options)
    text_encoder = _from_base(base, CLIPTextModel.from_pretrained, pickled_weights, {"subfolder": "text_encoder"})
    try:
        tokenizer = CLIPTokenizer.from_pretrained(base.name, subfolder="tokenizer", **base.options)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise explain(base, error) from error
    return vae.float(), tokenizer, text_encoder


def _from_base(base: Source, load: Callable[..., Loaded], pickled_weights: bool, options: dict[str, Any]) -> Loaded:
    """A part of the base by the `from_pretrained` of its class, with further options of that."""
    try:
        return load(base.name, **weights_options(base, pickled_weights=pickled_weights), **options)
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, AttributeError) as error:
        raise explain(base, error) from error


def _check_fit(unet: Any, vae: Any, text_encoder: Any, base: Source) -> None:
    """Refuse a base whose parts are not those that the networks were trained with, by their widths."""
    parts = (
        ("latent channels", vae.config.latent_channels, unet.config.in_channels),
        ("pixels per latent pixel", 2 ** (len(vae.config.block_out_channels) - 1), FACTOR),
        ("numbers per text token", text_encoder.config.hidden_size, unet.config.cross_attention_dim),
    )
    for what, has, needs in parts:
        if has != needs:
            why = f"must have {needs} {what}, got {base.name!r} with {has}; give another"
            raise UserError(why, argument="base")


def _ready(network: Any) -> Any:
    return network.eval().requires_grad_(False)
