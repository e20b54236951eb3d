"""KDS in diffusers' modular pipelines: a block for the denoising loop, between the denoiser and the scheduler's step.

A thin adapter over `call`, for those who compose loops; a steered scheduler works in modular pipelines too.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers.modular_pipelines import ModularPipelineBlocks

from real.plugin.call import steer_call
from real.plugin.carrier import is_steered
from real.plugin.state import SteeringState

__all__ = ["SteeringLoopBlock"]


class SteeringLoopBlock(ModularPipelineBlocks):
    """A sub-block of a modular denoising loop that rewrites `noise_pred`: KDS Algorithm 2 (v1).

    Put it after the denoiser and before the block that calls `scheduler.step`. A pipeline copies its blocks: the trace
    of a run is in the copy, `pipe.blocks.sub_blocks[...].state`.

    Attributes:
        state: The options, and the trace of the last run, see `SteeringState`.

    Example:
        >>> block = SteeringLoopBlock(SteeringState(num_particles=10))
        >>> block.state.num_particles
        10
    """

    def __init__(self, state: SteeringState) -> None:
        if not isinstance(state, SteeringState):
            raise TypeError(f"state is a {type(state).__name__}; pass SteeringState(num_particles=...)")
        super().__init__()
        self.state = state

    @property
    def description(self) -> str:
        """What diffusers prints of the block."""
        return "step within the denoising loop that steers the predicted clean latents (Kernel Density Steering)"

    @torch.no_grad()
    def __call__(self, components: Any, block_state: Any, i: int, t: Any) -> tuple[Any, Any]:
        """Rewrite block_state.noise_pred for components.scheduler at step i, timestep t.

        Raises:
            ValueError: If the scheduler is steered too, or see `steer_scheduler`.
        """
        if is_steered(components.scheduler):
            raise ValueError("components.scheduler is steered already; use the loop block or the scheduler, not both")
        if i == 0:
            self.state.reset()
        arguments = {"model_output": block_state.noise_pred, "timestep": t, "sample": block_state.latents}
        steer_call(components.scheduler, self.state, arguments)
        block_state.noise_pred = arguments["model_output"]
        return components, block_state
