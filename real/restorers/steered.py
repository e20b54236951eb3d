"""From the method's settings to a steered scheduler of diffusers and back: what pipelines and backbones share."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from diffusers import DDIMScheduler, DPMSolverSinglestepScheduler

from kds_ref import SamplerState, select_particle
from real.errors import UserError
from real.models.devices import usual_defaults
from real.plugin import SteeringState, steer_scheduler
from real.sampling import Particles
from real.settings import Settings

__all__ = ["SOLVER", "particles_of", "sampler_state", "steered_scheduler"]

# The solver of KDS Algorithms 4 and 5 (CR), as `kds_ref.dpm_solver_pp_2s` has it.
SOLVER = {"solver_order": 2, "algorithm_type": "dpmsolver++", "lower_order_final": True, "final_sigmas_type": "zero"}


@usual_defaults()
def steered_scheduler(
    config: Mapping[str, Any],
    settings: Settings,
    num_particles: int,
    *,
    bandwidth: float,
    steered: bool = True,
    hand_on: str = "all",
    ddim: type[DDIMScheduler] = DDIMScheduler,
) -> Any:
    """The settings' sampler on a model's noise schedule, from `real.steer_scheduler`.

    Args:
        config: Configuration of the scheduler that the model came with: noise schedule, prediction type, clipping.
        settings: Settings of the method.
        num_particles: N.
        bandwidth: h where the settings have none.
        steered: False has strength 0: the plain scheduler, bit for bit.
        hand_on: "all" or "chosen", see `steer_scheduler`.
        ddim: The class for the sampler "ddim".

    Raises:
        UserError: The settings choose a grid of timesteps, which is the scheduler's own here.
    """
    if settings.spacing is not None:
        raise UserError(f"must be None for models of this kind, got {settings.spacing!r}", argument="spacing")
    if settings.sampler == "ddim":
        # a bare DDIM clips to the range of pixels; a model that wants it says so
        plain = ddim.from_config(config, clip_sample=config.get("clip_sample", False))
    else:
        plain = DPMSolverSinglestepScheduler.from_config(config, **SOLVER)
    settings = settings.for_schedule(plain.alphas_cumprod.numpy())

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the clipping is the model's own choice
        return steer_scheduler(
            plain,
            num_particles=num_particles,
            bandwidth=bandwidth if settings.bandwidth is None else settings.bandwidth,
            strength=settings.strength if steered else 0.0,
            cutoff=settings.cutoff,
            patch_size=settings.patch_size,
            kernel=settings.kernel,
            hand_on=hand_on,
        )


def sampler_state(scheduler: Any, t: int) -> SamplerState:
    """What the last step of a steered scheduler saw, at timestep t, in the words of the core's samplers."""
    # What the core's samplers say of a step, so that one callback serves both.
    kds = scheduler.kds
    steered = kds.trace[-1].strength > 0.0
    return SamplerState(
        step=len(kds.trace) - 1,
        num_steps=len(scheduler.timesteps),
        t=t,
        alpha_bar=float(scheduler.alphas_cumprod[t]),
        x_t=kds.x_t,
        x0_pred=kds.x0_pred,
        x0_steered=kds.x0 if steered else kds.x0_pred,
        x_next=kds.latents,
        info=kds.info if steered else None,
        num_model_evaluations=len(kds.trace),
    )


def particles_of(state: SteeringState) -> Particles:
    """The ensemble of a finished run of a steered scheduler, from its `kds`."""
    chosen = int(state.select().particle[0])
    early = state.early is not None
    trace = [
        {
            "t": round(r.timestep),
            "effective_particles": round(float(r.effective_particles or 0.0), 4),
            "shift_norm": round(float(r.shift_norm or 0.0), 5),
        }
        for r in state.trace
        if r.strength > 0.0
    ]

    assert state.latents is not None  # a run is finished
    latents = state.latents[chosen : chosen + 1] if early else state.latents
    of_all = len(trace) if early else len(state.trace)  # after an early choice the chosen particle goes on alone
    evaluations = state.num_particles * of_all + len(state.trace) - of_all
    at_cutoff = None if state.x0 is None else int(select_particle(state.x0))
    return Particles(latents.float(), chosen, evaluations, trace, early=early, chosen_at_cutoff=at_cutoff)
