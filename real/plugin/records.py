"""What a steered scheduler says of a run: a record of every call of `step`, and which particle is chosen.

`state` keeps the records and makes the choice.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

__all__ = ["Choice", "StepRecord"]


class StepRecord(NamedTuple):
    """One call of `step`.

    Attributes:
        step: Number of the call in the run, from 0.
        timestep: As the pipeline gave it.
        position: What `cutoff` is compared with: t/T, the noise level, or the part of the steps to come.
        strength: delta of this call; 0 where nothing was steered.
        effective_particles: Mean over particles and locations of 1 / sum_k w_k^2, from 1 (every particle keeps to
            itself: the bandwidth is too small to steer) to N; None where nothing was steered.
        shift_norm: Mean length of the mean shift, before the strength, in units of the latent; None likewise.
        bandwidth: Mean of the h that was used, in units of the latent; None likewise.
    """

    step: int
    timestep: float
    position: float
    strength: float
    effective_particles: float | None = None
    shift_norm: float | None = None
    bandwidth: float | None = None


class Choice(NamedTuple):
    """The particle nearest to the mean of its ensemble, for each image: KDS Eq. 9 (v1).

    Attributes:
        particle: Which one, (B,), integers from 0 to N - 1.
        rows: Which row of the batch, (B,); of the whole ensemble's batch where several processes share it.
        latents: The chosen latents, (B, *sample).
    """

    particle: torch.Tensor
    rows: torch.Tensor
    latents: torch.Tensor
