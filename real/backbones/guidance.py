"""Classifier-free guidance around a network, with DiffBIR's weight that grows as noise falls (`rescale_cfg`).

The combination itself is `kds_ref.classifier_free_guidance`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from kds_ref import classifier_free_guidance

__all__ = ["guided", "rescaled_guidance"]


def guided(
    denoise: Callable[[torch.Tensor, int, torch.Tensor], torch.Tensor],
    x_t: torch.Tensor,
    t: int,
    *,
    prompt_embeds: torch.Tensor,
    negative_prompt_embeds: torch.Tensor | None = None,
    guidance: float = 1.0,
    rescale: bool = False,
) -> torch.Tensor:
    """The guided prediction (KDS Eq. 11, v1); both texts go through the network in one batch, the wanted one first.

    Args:
        denoise: (rows of latents, timestep, text of each row) -> noise or velocity of each row.
        x_t: Noisy latents (B, C, h, w).
        t: Timestep.
        prompt_embeds: Text embeddings of each row, (B, L, W).
        negative_prompt_embeds: Text embeddings of what to move away from, likewise; None: no guidance.
        guidance: Weight w of at least 1; 1: no guidance, and half the work.
        rescale: Whether the weight at t is `rescaled_guidance(guidance, t)`.

    Raises:
        ValueError: The guidance is below 1, or a prediction is NaN or infinite.
    """
    if not guidance >= 1.0:
        raise ValueError(f"guidance must be at least 1 (1: no guidance), got {guidance}")
    weight = rescaled_guidance(guidance, t) if rescale else guidance
    if negative_prompt_embeds is None or guidance == 1.0 or weight == 1.0:
        return denoise(x_t, t, prompt_embeds)
    both = denoise(torch.cat([x_t, x_t]), t, torch.cat([prompt_embeds, negative_prompt_embeds]))
    cond, uncond = both.chunk(2)
    return classifier_free_guidance(cond, uncond, weight)


def rescaled_guidance(scale: float, t: float) -> float:
    """The weight at a timestep: 1 + scale (1 - cos(pi ((1000 - t) / 1000)^5)) / 2.

    Args:
        scale: Rise of the weight, from no guidance at all where there is only noise.
        t: Timestep, 0 to 1000.

    Returns:
        The weight, from 1 (exactly, at t = 999, where one evaluation is enough) to 1 + scale at t = 0. So it ends one
        above the constant weight of that name; this is how the official code has it.

    Raises:
        ValueError: `t` is out of range.

    Example:
        >>> rescaled_guidance(6.0, 999), rescaled_guidance(6.0, 0)
        (1.0, 7.0)
    """
    if not 0 <= t <= 1000:
        raise ValueError(f"t must be a timestep from 0 to 1000, got {t}")
    return 1.0 + scale * (1.0 - math.cos(math.pi * ((1000 - t) / 1000) ** 5)) / 2.0
