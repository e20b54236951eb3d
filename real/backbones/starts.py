"""What the reverse process starts from: noise alone, or the condition's latent with the noise of the last timestep.

At Stable Diffusion's last timestep a little of the clean latent is left (alpha_bar = 0.0047), which a model may
have learned to read brightness and layout from. DiffBIR's authors call the noised condition "cond" and advise it for
DDIM; SeeSR's call it "lr" and have it as the default.
"""

from __future__ import annotations

from typing import Any

import torch

from kds_ref import add_noise

__all__ = ["STARTS", "start_latents"]

STARTS = ("noise", "condition")


def start_latents(
    kind: str, noise: torch.Tensor, scheduler: Any, condition: torch.Tensor | None = None
) -> torch.Tensor:
    """Latents to start sampling from, in the scale of a variance-preserving scheduler (DDIM, DDPM, DPM-Solver++).

    Args:
        kind: "noise" or "condition".
        noise: Standard normal (B, C, h, w).
        scheduler: Scheduler of diffusers with `alphas_cumprod`; what it starts at does not matter, the noise is always
            that of its last training timestep.
        condition: Scaled latent of the input, (B, C, h, w) or (1, C, h, w); for "condition" only.

    Returns:
        (B, C, h, w): the noise itself, or sqrt(alpha_bar) condition + sqrt(1 - alpha_bar) noise (KDS Eq. 3, v1). With
        zero terminal SNR (DiffBIR v2.1) both are the same.

    Raises:
        ValueError: `kind` is unknown, or the condition is missing.
    """
    if kind not in STARTS:
        raise ValueError(f"kind must be one of {', '.join(STARTS)}, got {kind!r}")
    if kind == "noise":
        return noise
    if condition is None:
        raise ValueError("condition must be the latent of the input for kind 'condition', got None")
    alpha_bar = float(scheduler.alphas_cumprod[-1])
    return add_noise(condition.expand_as(noise), noise, alpha_bar)
