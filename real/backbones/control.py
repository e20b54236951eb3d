"""One evaluation of a UNet with its control net, DiffBIR's and SeeSR's alike."""

from __future__ import annotations

from typing import Any

import torch

from real.plugin.call import timestep_on

__all__ = ["IMAGE_TOKENS", "TOKEN_WIDTH", "evaluate"]

IMAGE_TOKENS = "image_tokens"  # name in diffusers' cross_attention_kwargs
TOKEN_WIDTH = 512  # of SeeSR's tagger; the authors' configurations do not name it


def evaluate(
    unet: Any,
    controlnet: Any,
    x_t: torch.Tensor,
    t: torch.Tensor | int,
    *,
    text: torch.Tensor,
    condition: torch.Tensor,
    image_tokens: torch.Tensor | None = None,
    control_scale: float = 1.0,
) -> torch.Tensor:
    """What the UNet predicts with the control of a condition.

    Args:
        unet: Denoising network from `real.backbones.diffbir` or `seesr`.
        controlnet: Control net from the same module.
        x_t: Noisy latents (B, 4, h, w).
        t: Timestep, 0 to 999: one number, or one per row.
        text: Tokens of a text encoder (B, L, W).
        condition: DiffBIR: scaled latent of the cleaned photo (B, 4, h, w). SeeSR: the photo itself, (B, 3, 8h, 8w) in
            [0, 1].
        image_tokens: (B, K, 512), SeeSR only.
        control_scale: Factor of all the controls.

    Returns:
        Noise or velocity, as the model was trained, (B, 4, h, w).
    """
    extra = None if image_tokens is None else {IMAGE_TOKENS: image_tokens}
    # A tensor that brings its number along, so that an early choice does not wait for the device to read it.
    if not isinstance(t, torch.Tensor):
        t = timestep_on(x_t.device, t)
    down, middle = controlnet(
        x_t,
        t,
        encoder_hidden_states=text,
        controlnet_cond=condition,
        conditioning_scale=control_scale,
        cross_attention_kwargs=extra,
        return_dict=False,
    )

    prediction: torch.Tensor = unet(
        x_t,
        t,
        encoder_hidden_states=text,
        cross_attention_kwargs=extra,
        down_block_additional_residuals=down,
        mid_block_additional_residual=middle,
        return_dict=False,
    )[0]
    return prediction
