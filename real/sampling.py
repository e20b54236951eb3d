"""Particles of a latent diffusion model, through the samplers of `kds_ref`: what the commands and the studies share.

Photo -> condition -> N noise latents -> sampler [UNet -> x0 -> steer -> step] -> latents. Decoding is the caller's, so
that only what is looked at gets decoded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
import torch

from kds_ref import (
    KernelDensitySteering,
    SamplerState,
    classifier_free_guidance,
    ddim,
    dpm_solver_pp_2s,
    select_particle,
    time_grid,
)
from real.early_choice import EarlyChoice
from real.images.tiles import map_tiles
from real.models.codec import OVERLAP, TILE
from real.models.latent import LatentModel
from real.parallel.ranks import Ranks, SharedSteering
from real.settings import Settings

__all__ = ["Particles", "denoiser_of", "initial_noise", "sample", "timesteps_of"]


@dataclass
class Particles:
    """N restorations of one photo as latents, and how they came about.

    Attributes:
        latents: Clean latents (N, C, h, w); after an early choice (1, C, h, w), of the chosen particle alone.
        chosen: Index among the N of the particle nearest the ensemble mean (KDS Eq. 9, v1).
        evaluations: Steps of all particles together; with guidance each is two evaluations of the model.
        trace: One row per steered evaluation: t, mean effective number of particles, mean norm of the shift.
        early: Whether the choice was an early one, so that only the chosen particle was sampled to the end.
        chosen_at_cutoff: Index that an early choice gives; None without steering or where no evaluation lies
            inside the window.
    """

    latents: torch.Tensor
    chosen: int
    evaluations: int
    trace: list[dict[str, float]] = field(default_factory=list)
    early: bool = False
    chosen_at_cutoff: int | None = None

    @property
    def best(self) -> torch.Tensor:
        """Latents of the chosen particle, (C, h, w)."""
        return self.latents[0 if self.early else self.chosen]


def initial_noise(num_particles: int, height: int, width: int, *, seed: int, channels: int = 3) -> torch.Tensor:
    """Standard normal (N, channels, height, width); one generator per particle: fewer are a prefix of more."""
    noise = torch.empty(num_particles, channels, height, width, dtype=torch.float32, device="cpu")
    # A generator for each particle, on the CPU: the noise is the same on all machines, whatever N is.
    for i in range(num_particles):
        state = int(np.random.SeedSequence([seed, i]).generate_state(1, np.uint64)[0])
        noise[i].normal_(generator=torch.Generator("cpu").manual_seed(state % 2**63))
    return noise


@torch.no_grad()
def sample(
    model: LatentModel,
    condition: torch.Tensor,
    settings: Settings,
    *,
    steered: bool = True,
    indices: Sequence[int] | None = None,
    progress: Callable[[SamplerState], object] | None = None,
    max_batch: int | None = None,
    ranks: Ranks | None = None,
) -> Particles:
    """Draw the particles of one photo, steered or plain, from the noise that belongs to the seed.

    Args:
        model: The model.
        condition: (1, C, h, w), of the size of the latents: from `padded_condition`, or latents and mask of a hole.
        settings: Sampler, steering and seed.
        steered: False draws the same particles without KDS, to the end, whatever `settings.early_choice` says.
        indices: Indices of the particles to draw; None: all N (without steering they do not depend on each other).
        progress: Callback, called after every model evaluation.
        max_batch: Most particles that go through the UNet at once; None: the model's own limit.
        ranks: Processes that share the N particles; each makes this call, runs the model on its share with the
            condition of rank 0, and gets the whole ensemble back.

    Raises:
        ValueError: A part of the ensemble is to be steered; early choice with a cut-off above every timestep; the
            processes do not divide N, or differ in the settings, the model or the condition's shape.
        RankError: A process ended or did not answer.
    """
    settings = settings.for_schedule(model.schedule.alphas_cumprod)
    noise = _noise(condition, settings, indices=indices, steered=steered, ranks=ranks)
    if ranks is not None:
        condition = _shared_condition(ranks, model, condition, settings, steered)

    num_train_timesteps = model.schedule.num_train_timesteps
    early = EarlyChoice(num_train_timesteps, cutoff=settings.cutoff, ranks=ranks)
    chooses_early = steered and settings.early_choice
    steering: KernelDensitySteering | SharedSteering | None = None
    if steered:
        steering = settings.steering(num_train_timesteps=num_train_timesteps, bandwidth=model.bandwidth)
        steering = steering if ranks is None else SharedSteering(steering, ranks)
    denoise = denoiser_of(model, condition, settings.guidance, max_batch or model.max_batch)
    times: list[int] = []
    means: list[torch.Tensor] = []  # read at the end, so that no step waits for a GPU

    def watch(state: SamplerState) -> None:
        if steered:
            early.watch(state)
        if state.info is not None:
            times.append(state.t)
            means.append(torch.stack([state.info.effective_particles.mean(), state.info.shift_norm.mean()]))
        if progress is not None:
            progress(state)

    # Algorithm 2 (v1) by DDIM, or Algorithm 4 (CR) by DPM-Solver++ 2S; without steering the plain sampler.
    result = (ddim if settings.sampler == "ddim" else dpm_solver_pp_2s)(
        early.denoiser(denoise) if chooses_early else denoise,
        noise.to(model.device),
        schedule=model.schedule,
        timesteps=timesteps_of(model, settings),
        steering=steering,
        prediction_type=model.prediction_type,
        callback=watch,
    )
    trace = [
        {"t": t, "effective_particles": round(effective, 4), "shift_norm": round(norm, 5)}
        for t, (effective, norm) in zip(times, torch.stack(means).tolist() if means else [], strict=True)
    ]

    # KDS Eq. 9 (v1), of the final latents unless it was applied at the cut-off.
    latents = result.x0 if ranks is None else ranks.gather("latents", result.x0, 0)
    if chooses_early and early.chosen is not None:
        alone = latents[early.chosen : early.chosen + 1]
        return Particles(alone, early.chosen, early.rows, trace, early=True, chosen_at_cutoff=early.chosen)
    evaluations = len(latents) * result.num_model_evaluations
    return Particles(latents, int(select_particle(latents)), evaluations, trace, chosen_at_cutoff=early.choice())


def _noise(
    condition: torch.Tensor, settings: Settings, *, indices: Sequence[int] | None, steered: bool, ranks: Ranks | None
) -> torch.Tensor:
    """Initial noise of the particles that this process draws."""
    height, width = condition.shape[-2:]
    noise = initial_noise(settings.particles, height, width, seed=settings.seed)
    if indices is not None:
        if steered:
            raise ValueError(f"indices must be None with steering, got {indices}; it needs the whole ensemble")
        if ranks is not None:
            raise ValueError(f"indices must be None with ranks, got {indices}; they draw the whole ensemble")
        return noise[list(indices)]
    if ranks is None:
        return noise
    share = ranks.share(settings.particles)
    return noise[share.start : share.stop]


def timesteps_of(model: LatentModel, settings: Settings) -> tuple[int, ...]:
    """The grid of the sampler; that of DDIM is spaced as the model's scheduler says, unless the settings say how."""
    spacing = (settings.spacing or model.timestep_spacing) if settings.sampler == "ddim" else "dpm"
    return time_grid(
        settings.steps,
        model.schedule.num_train_timesteps,
        spacing=spacing,
        steps_offset=model.steps_offset if spacing == "leading" else 0,
    )


def _shared_condition(
    ranks: Ranks, model: LatentModel, condition: torch.Tensor, settings: Settings, steered: bool
) -> torch.Tensor:
    """Check that all processes are about to draw the same ensemble; the condition of rank 0."""
    ranks.agree(
        **asdict(settings),
        steered=steered,
        condition=tuple(condition.shape),
        model=model.name,
        dtype=model.dtype,
        model_bandwidth=model.bandwidth,
        schedule=torch.from_numpy(np.array(model.schedule.alphas_cumprod)),  # a copy: those cannot be written to
    )
    return ranks.broadcast("condition", condition)


def denoiser_of(
    model: LatentModel, condition: torch.Tensor, guidance: float, max_batch: int
) -> Callable[[torch.Tensor, int], torch.Tensor]:
    """UNet on noisy latents and condition, in tiles and batches; with guidance KDS Eq. 11 (v1)."""

    def unet(x: torch.Tensor, t: int) -> torch.Tensor:
        def one_tile(tile: torch.Tensor) -> torch.Tensor:
            parts = tile.to(model.dtype).split(max_batch)
            time = torch.full((), t, device=tile.device)  # the network would send the number there, and wait for it
            return torch.cat([model.unet(part, time).sample for part in parts]).to(tile.dtype)

        return map_tiles(one_tile, x, tile=TILE, overlap=OVERLAP, multiple=model.divisor)

    def denoise(x_t: torch.Tensor, t: int) -> torch.Tensor:
        conditions = condition.expand(len(x_t), -1, -1, -1)
        eps = unet(torch.cat([x_t, conditions], dim=1), t)
        if guidance == 1.0:
            return eps

        null = unet(torch.cat([x_t, _null_condition(conditions)], dim=1), t)
        guided: torch.Tensor = classifier_free_guidance(eps, null, guidance)
        return guided

    return denoise


def _null_condition(condition: torch.Tensor) -> torch.Tensor:
    """The condition that says nothing: a mid-grey photo; a fourth channel, of a hole, says that it is everywhere."""
    null = torch.zeros_like(condition)
    null[:, 3:] = 1.0
    return null
