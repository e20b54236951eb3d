"""Seconds and memory of DiffBIR and SeeSR at full size, with random weights: the columns of the paper's Table 4.

What a network costs does not depend on its weights, so nothing has to be downloaded. Everything but the weights and the
text is what `python -m real sr` runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, ControlNetModel

from real.backbones.cleaner import BICUBIC
from real.backbones.control import TOKEN_WIDTH
from real.backbones.diffbir import build_controlnet, build_unet, network_config
from real.backbones.grids import ddim_options
from real.backbones.hints import Hints
from real.backbones.model import BackboneModel
from real.backbones.recipes import RECIPES
from real.backbones.restorer import BackboneRestorer
from real.backbones.seesr import add_image_transformers
from real.bench.measure import Meter
from real.models.devices import usual_defaults
from real.models.latent import DTYPES, PAPER_BANDWIDTH
from real.plugin.batching import split_batches
from real.restorers.base import Progress
from real.settings import Settings

__all__ = ["full_size", "measure_cost", "random_model"]

WIDTH, TOKENS = 1024, 77  # of Stable Diffusion 2's text
IMAGE_TOKENS = 145  # of SeeSR's tagger: 12 x 12 places and one for the whole
HEAD_CHANNELS = 64


def full_size(family: str, *, channels: int = 320) -> tuple[Any, Any]:
    """UNet and control net of a backbone, weights random, on torch's default device.

    Args:
        family: "diffbir" or "seesr".
        channels: Channels of the first level, a multiple of 32; 320 is the full size, fewer are for tests.
    """
    config = network_config(channels=channels, head_channels=min(HEAD_CHANNELS, channels))
    unet = build_unet(config)
    if family == "diffbir":
        return unet, build_controlnet(config)
    controlnet = ControlNetModel(**config)
    for network in (unet, controlnet):
        add_image_transformers(network)
    return unet, controlnet


def random_model(
    family: str,
    *,
    device: str = "cpu",
    dtype: str = "float16",
    channels: int = 320,
    side: int = 512,
    max_batch: int | None = None,
) -> BackboneModel:
    """A backbone with random weights and, in place of the text encoder, random numbers.

    Args:
        family: "diffbir" or "seesr".
        device: Device on which it is made.
        dtype: Precision of UNet and control net; the autoencoder is in float32, as in every run.
        channels: Channels of the first level, see `full_size`.
        side: Side of the result in pixels, a multiple of 64.
        max_batch: Most rows that go through the networks at once; None: all.
    """
    own = [torch.device(device)] if device.startswith("cuda") else []
    # The caller's random numbers go on as they were.
    with torch.random.fork_rng(devices=own), usual_defaults(), torch.device(device):
        torch.manual_seed(0)
        unet, controlnet = full_size(family, channels=channels)
        vae = _autoencoder(max(32, 128 * channels // 320 // 32 * 32))
        text = torch.randn(1, TOKENS, WIDTH, dtype=DTYPES[dtype])

    if max_batch is not None:
        split_batches(unet, max_batch)
        split_batches(controlnet, max_batch)

    return BackboneModel(
        name=family,
        family=family,
        recipe=replace(RECIPES[family], process_size=side, cleaner=BICUBIC if family == "diffbir" else None),
        unet=_ready(unet, DTYPES[dtype]),
        controlnet=_ready(controlnet, DTYPES[dtype]),
        vae=_ready(vae, torch.float32),
        tokenizer=_tokens_of_nothing,
        text_encoder=lambda ids: (text,),
        scheduler=ddim_options("v2"),
        bandwidth=PAPER_BANDWIDTH,
        device=torch.device(device),
        places={"weights": "random"},
    )


def measure_cost(
    model: BackboneModel, settings: Settings, sizes: Sequence[int], *, progress: Progress | None = None
) -> list[dict[str, Any]]:
    """Time sampling and decoding of one photo at each size of the ensemble, plain and steered.

    Args:
        model: Model from `random_model`, or a loaded one.
        settings: Settings of the method; the number of particles is replaced.
        sizes: Sizes of the ensemble.
        progress: Callback, called after every step.

    Returns:
        One row per size and kind, "plain" or "kds": `seconds` and `memory_gb` (10^9 bytes; None where it cannot be
        measured) of sampling and decoding, and `total_seconds` and `peak_gb` of what the kind needs: a best of N
        decodes all particles, KDS the chosen one.
    """
    # What is in the photo does not change what it costs.
    side = model.recipe.process_size // 4
    low = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)

    tokens = torch.randn(
        1,
        IMAGE_TOKENS,
        TOKEN_WIDTH,
        generator=torch.Generator("cpu").manual_seed(0),
        dtype=torch.float32,
        device="cpu",
    )

    known = Hints() if model.family == "diffbir" else Hints(tags="", image_tokens=tokens)
    restorer = BackboneRestorer(low, model, hints=known)
    restorer.draw(replace(settings, particles=1, steps=1), steered=False)  # the first call of a network takes longer

    rows = []
    for n in sizes:
        for kind in ("plain", "kds"):
            meter = Meter(model.device)
            with meter.part("sample"):
                drawn = restorer.sample(replace(settings, particles=n), steered=kind == "kds", progress=progress)
            decoded = "decode_one" if kind == "kds" else "decode_all"
            with meter.part(decoded):
                restorer.decode(drawn.best[None] if kind == "kds" else drawn.latents)
            rows.append(_row(n, kind, meter))
    return rows


def _row(n: int, kind: str, meter: Meter) -> dict[str, Any]:
    memory = list(meter.gigabytes.values())
    return {
        "particles": n,
        "kind": kind,
        "seconds": meter.seconds,
        "memory_gb": meter.gigabytes,
        "total_seconds": sum(meter.seconds.values()),
        "peak_gb": None if None in memory else max(value for value in memory if value is not None),
    }


def _ready(network: torch.nn.Module, dtype: torch.dtype) -> Any:
    # not by the network's own `to`: diffusers' warns of a change of precision, whatever it is
    return torch.nn.Module.to(network, dtype).eval().requires_grad_(False)


def _autoencoder(channels: int) -> AutoencoderKL:
    """Autoencoder of the shape of Stable Diffusion's, which has 128 channels."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(channels, 2 * channels, 4 * channels, 4 * channels),
        layers_per_block=2,
        latent_channels=4,
        scaling_factor=0.18215,
    )


class _TokensOfNothing:
    """Stands in for a tokenizer."""

    model_max_length = TOKENS

    def __call__(
        self, texts: Sequence[str], *, padding: str, max_length: int, truncation: bool, return_tensors: str
    ) -> SimpleNamespace:
        return SimpleNamespace(input_ids=torch.zeros(len(texts), max_length, dtype=torch.long, device="cpu"))


_tokens_of_nothing = _TokensOfNothing()
