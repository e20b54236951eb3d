"""DiffBIR's names for weights, which are those of latent diffusion and ControlNet, in diffusers' names.

Both files count blocks along one list (`input_blocks.N`, `output_blocks.N`); diffusers counts levels and layers. The
control net's first convolution sees latent and condition side by side, eight channels; as a convolution is linear, it
is the sum of one over each (`split_first_convolution`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch

from real.errors import UserError

__all__ = ["controlnet_weights", "unet_weights"]

UNET_PREFIX = "model.diffusion_model."  # in a checkpoint of Stable Diffusion
CONDITION = "controlnet_cond_embedding.weight"
_RESNET = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
_PLAIN = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "input_blocks.0.0": "conv_in",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
    "middle_block_out.0": "controlnet_mid_block",
}
_MIDDLE = {"0": "mid_block.resnets.0", "1": "mid_block.attentions.0", "2": "mid_block.resnets.1"}


def unet_weights(state: Mapping[str, torch.Tensor], *, layers_per_block: int = 2) -> dict[str, torch.Tensor]:
    """The UNet's weights of a Stable Diffusion checkpoint, with diffusers' names.

    Args:
        state: Tensors by official name: a whole checkpoint, of which what is under "model.diffusion_model." is taken
            (the rest are the autoencoder, the text encoder and the noise schedule), or the bare UNet.
        layers_per_block: Residual blocks of a level.

    Returns:
        The same tensors by diffusers' name.

    Raises:
        UserError: A name does not belong to a UNet.
    """
    inside = {name[len(UNET_PREFIX) :]: value for name, value in state.items() if name.startswith(UNET_PREFIX)}
    return {_rename(name, layers_per_block): value for name, value in (inside or state).items()}


def controlnet_weights(state: Mapping[str, torch.Tensor], *, layers_per_block: int = 2) -> dict[str, torch.Tensor]:
    """The weights of DiffBIR's control net, with diffusers' names, its first convolution in two.

    Args:
        state: Tensors by official name, without a prefix: `input_blocks.0.0.weight` is (C, 2c, 3, 3), latent channels
            before condition.
        layers_per_block: Residual blocks of a level.

    Returns:
        Tensors by the names of `real.backbones.diffbir.build_controlnet`.

    Raises:
        UserError: A name does not belong to a control net, or the first convolution has an odd number of channels.
    """
    renamed = {_rename(name, layers_per_block): value for name, value in state.items()}
    first = renamed.get("conv_in.weight")
    if first is None or first.ndim != 4 or first.shape[1] % 2:
        shape = "absent" if first is None else tuple(first.shape)
        raise UserError(
            f"must have input_blocks.0.0.weight as (C, 8, 3, 3), latent and condition, got {shape}; "
            "is it another model's?",
            argument="weights",
        )
    half = first.shape[1] // 2
    renamed["conv_in.weight"], renamed[CONDITION] = first[:, :half].contiguous(), first[:, half:].contiguous()
    return renamed


def _rename(name: str, layers: int) -> str:
    stem, _, kind = name.rpartition(".")  # kind: weight or bias
    if stem in _PLAIN:
        return f"{_PLAIN[stem]}.{kind}"

    if match := re.fullmatch(r"zero_convs\.(\d+)\.0", stem):
        return f"controlnet_down_blocks.{match[1]}.{kind}"
    if match := re.fullmatch(r"middle_block\.([012])\.(.+)", stem):
        return f"{_MIDDLE[match[1]]}.{_part(match[2])}.{kind}"

    # What is left has its level and layer in one running number.
    if match := re.fullmatch(r"(input|output)_blocks\.(\d+)\.(\d+)\.(.+)", stem):
        side, block, place, part = match[1], int(match[2]), int(match[3]), match[4]
        if side == "input":
            level, layer = divmod(block - 1, layers + 1)  # the last of a level is the step down
            home = f"down_blocks.{level}"
        else:
            level, layer = divmod(block, layers + 1)
            home = f"up_blocks.{level}"

        if part == "op":
            return f"{home}.downsamplers.0.conv.{kind}"
        if part == "conv":
            return f"{home}.upsamplers.0.conv.{kind}"
        return f"{home}.{'attentions' if place else 'resnets'}.{layer}.{_part(part)}.{kind}"

    raise UserError(
        f"must have the names of a UNet or control net of latent diffusion, got {name!r}; is it another model's?",
        argument="weights",
    )


def _part(part: str) -> str:
    return _RESNET.get(part, part)  # transformers have the same names in both
