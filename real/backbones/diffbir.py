"""DiffBIR's networks (Lin et al. 2023) in diffusers' classes: Stable Diffusion 2.1's UNet and a control net.

The control net sees the latent, joined to the latent of the cleaned photo. Its first convolution of eight channels
is split in two, so that diffusers' `ControlNetModel` takes the second four as its condition.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any

import torch
from diffusers import ControlNetModel, UNet2DConditionModel

from real.backbones.diffbir_keys import controlnet_weights, unet_weights
from real.backbones.weights import load_exactly, read_weights

__all__ = ["build_controlnet", "build_unet", "load_controlnet", "load_unet", "network_config"]

LATENTS = 4


def network_config(
    *,
    channels: int = 320,
    multipliers: Sequence[int] = (1, 2, 4, 4),
    layers: int = 2,
    attention: Sequence[int] = (1, 2, 4),
    head_channels: int = 64,
    text_width: int = 1024,
) -> dict[str, Any]:
    """Configuration that UNet and control net have in common, in diffusers' terms; the defaults are DiffBIR's.

    Args:
        channels: Channels of the first level.
        multipliers: Factors of `channels`, one per level.
        layers: Residual blocks of a level.
        attention: Factors of downsampling at which levels have transformers.
        head_channels: Channels of one attention head.
        text_width: Width of text tokens.
    """
    widths = [channels * m for m in multipliers]
    down = ["CrossAttnDownBlock2D" if 2**level in attention else "DownBlock2D" for level in range(len(widths))]
    return {
        "in_channels": LATENTS,
        "block_out_channels": widths,
        "down_block_types": down,
        "layers_per_block": layers,
        "attention_head_dim": [width // head_channels for width in widths],  # the number of heads, despite its name
        "cross_attention_dim": text_width,
        "use_linear_projection": True,
    }


def build_unet(config: dict[str, Any]) -> UNet2DConditionModel:
    """The UNet of a configuration; weights are random.

    Args:
        config: Configuration from `network_config`.

    Returns:
        (B, 4, h, w), timesteps, text (B, L, text_width) -> (B, 4, h, w); h and w divide by 2 to the levels less one.
    """
    up = [name.replace("Down", "Up") for name in reversed(config["down_block_types"])]
    return UNet2DConditionModel(**config, out_channels=LATENTS, up_block_types=up, sample_size=64)


def build_controlnet(config: dict[str, Any]) -> ControlNetModel:
    """The control net of a configuration; weights are random.

    Args:
        config: Configuration from `network_config`.

    Returns:
        diffusers' control net whose condition is the scaled latent (B, 4, h, w) of the cleaned photo: one convolution
        stands where an encoder of pictures is in others.
    """
    network = ControlNetModel(**config, conditioning_channels=LATENTS)
    width = config["block_out_channels"][0]
    network.controlnet_cond_embedding = torch.nn.Conv2d(LATENTS, width, 3, padding=1, bias=False)
    return network


def load_unet(
    path: str | PathLike[str],
    *,
    config: dict[str, Any] | None = None,
    dtype: torch.dtype = torch.float32,
    pickled_weights: bool = False,
) -> UNet2DConditionModel:
    """The UNet of a Stable Diffusion checkpoint (v2-1_512-ema-pruned for DiffBIR), from the file itself.

    A folder of diffusers, `UNet2DConditionModel.from_pretrained(folder, subfolder="unet")`, holds the same network.

    Args:
        path: File of the weights, see `read_weights`.
        config: Configuration from `network_config`; None: the full size.
        dtype: Precision of the network.
        pickled_weights: Whether the file may be a pickle, see `read_weights`.

    Raises:
        UserError: The file cannot be read, or holds another network.

    Warns:
        UserWarning: If a pickle is read.
    """
    config = config or network_config()
    state = unet_weights(
        read_weights(path, pickled_weights=pickled_weights), layers_per_block=config["layers_per_block"]
    )
    with torch.device("meta"):
        network = build_unet(config)
    load_exactly(network, state, name=str(path), dtype=dtype)
    return network


def load_controlnet(
    path: str | PathLike[str],
    *,
    config: dict[str, Any] | None = None,
    dtype: torch.dtype = torch.float32,
    pickled_weights: bool = False,
) -> ControlNetModel:
    """DiffBIR's control net (v2.pth of lxq007/DiffBIR-v2) from the authors' file.

    Args:
        path: File of the weights, see `read_weights`.
        config: Configuration from `network_config`; None: the full size.
        dtype: Precision of the network.
        pickled_weights: Whether the file may be a pickle, see `read_weights`.

    Returns:
        The control net, see `build_controlnet`.

    Raises:
        UserError: The file cannot be read, or holds another network.

    Warns:
        UserWarning: If a pickle is read.
    """
    config = config or network_config()
    state = controlnet_weights(
        read_weights(path, pickled_weights=pickled_weights), layers_per_block=config["layers_per_block"]
    )
    with torch.device("meta"):
        network = build_controlnet(config)
    load_exactly(network, state, name=str(path), dtype=dtype)
    return network
