"""KDS in diffusers' modular pipelines: a block for the denoising loop, between the denoiser and the scheduler's step.

For those who compose loops; a steered scheduler works in modular pipelines too.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers.modular_pipelines import ModularPipelineBlocks

from real.plugin.scheduler import is_steered
from real.plugin.schedulers import family_of
from real.plugin.state import SteeringState
from real.plugin.step import steer_step

__all__ = ["SteeringLoopBlock"]


class SteeringLoopBlock(ModularPipelineBlocks):
    """A sub-block of a modular denoising loop that rewrites the model output: KDS Algorithm 2 (v1).

    Put it after the denoiser and before the block that calls `scheduler.step`. A pipeline copies its blocks: the trace
    of a run is in the copy, `pipe.blocks.sub_blocks[...].state`.

    Args:
        state: Options, and the trace of the last run.
        output: Name of the model output in the loop's state, as the block with `scheduler.step` takes it from there
            ("velocity_vision" in Cosmos). Where that block converts it first (LTX-2), steer the scheduler instead.
        latents: Name of the noisy latents there.

    Raises:
        TypeError: If state is no `SteeringState`.

    Example:
        >>> from kds_ref import KernelDensitySteering
        >>> block = SteeringLoopBlock(SteeringState(num_particles=10, steering=KernelDensitySteering(cutoff=0.0)))
        >>> block.state.num_particles
        10
    """

    def __init__(self, state: SteeringState, *, output: str = "noise_pred", latents: str = "latents") -> None:
        if not isinstance(state, SteeringState):
            raise TypeError(f"state must be a SteeringState, got {type(state).__name__}")
        super().__init__()
        self.state, self.output, self.latents = state, output, latents

    @property
    def description(self) -> str:
        """What diffusers prints of the block."""
        return "step within the denoising loop that steers the predicted clean latents (Kernel Density Steering)"

    @torch.no_grad()
    def __call__(self, components: Any, block_state: Any, i: int, t: Any) -> tuple[Any, Any]:
        """Rewrite the model output in block_state for components.scheduler at step i, timestep t.

        Raises:
            ValueError: If the scheduler is steered too, block_state lacks one of the names, or see `steer_scheduler`.
        """
        scheduler = components.scheduler
        if is_steered(scheduler):
            raise ValueError("components.scheduler must be a plain one, got a steered one; use one, not both")
        if i == 0:
            self.state.reset()

        output = self._found(block_state, "output")
        arguments = {"model_output": output, "timestep": t, "sample": self._found(block_state, "latents")}
        steer_step(scheduler, family_of(type(scheduler)), self.state, arguments)
        setattr(block_state, self.output, arguments["model_output"].to(output.dtype))
        return components, block_state

    def _found(self, block_state: Any, option: str) -> torch.Tensor:
        """The tensor of the loop's state that an option names."""
        name = getattr(self, option)
        value = getattr(block_state, name, None)
        if not isinstance(value, torch.Tensor):
            tensors = [key for key, one in vars(block_state).items() if isinstance(one, torch.Tensor)]
            raise ValueError(
                f"{option} must name a tensor of the loop's state, which holds {', '.join(tensors) or 'none'}, got "
                f"{name!r}; pass SteeringLoopBlock(state, {option}=...)"
            )
        return value
