"""The methods that KDS competes with, and cheaper forms of KDS, as ways to draw an ensemble.

Each is a few lines over the parts of a restorer and ends with one particle; but for `fixed_noise` none needs anything
that KDS does not have. What needs a known degradation operator or a reward, or a training of its own (PMRF, arXiv
2410.00418), is no opponent here: a photo's degradation is unknown, and the network is given.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from kds_ref import (
    SamplerState,
    density_guidance,
    high_density_sampling,
    mean_then_renoise,
    median_norm,
    select_particle,
)
from real.bench.adapter import LatentParts, parts_of
from real.bench.plan import evaluations_per_call
from real.early_choice import in_window
from real.restorers.base import Restorer
from real.settings import Settings

__all__ = [
    "AGREEMENT",
    "DRAFT_STEPS",
    "QUANTILE",
    "Drawn",
    "density",
    "drafts",
    "early",
    "fixed_noise",
    "funnel",
    "hds",
    "renoise",
]

QUANTILE = 0.9  # of the log-density that density guidance aims at
DRAFT_STEPS = 5  # of a cheap draft
AGREEMENT = 0.9  # effective particles over particles from which on half of them is enough

Drawn = tuple[torch.Tensor, int]  # latents (1, C, h, w), evaluations of all particles together


def _alone(parts: LatentParts, settings: Settings, denoiser: object, start: torch.Tensor) -> Drawn:
    """One particle from a start to its end."""
    result = parts.sample(denoiser, start, timesteps=parts.timesteps)
    return result.x0, result.num_model_evaluations * evaluations_per_call(settings)


def early(restorer: Restorer, settings: Settings) -> Drawn:
    """KDS whose choice is made at the cut-off, so that one particle goes on; any model can do it."""
    drawn = restorer.sample(replace(settings, early_choice=True))
    return drawn.best[None], drawn.evaluations * evaluations_per_call(settings)


def hds(restorer: Restorer, settings: Settings) -> Drawn:
    """High-density sampling (Karczewski et al., arXiv 2411.01293): the score is doubled below the cut-off."""
    parts = parts_of(restorer, settings)
    total = parts.schedule.num_train_timesteps
    sharper = high_density_sampling(parts.denoiser, cutoff=settings.cutoff, num_train_timesteps=total)
    return _alone(parts, settings, sharper, parts.noise(1))


def density(restorer: Restorer, settings: Settings) -> Drawn:
    """Density guidance (Karczewski et al., arXiv 2502.05807) towards the quantile 0.9 of the log-density."""
    parts = parts_of(restorer, settings)
    return _alone(parts, settings, density_guidance(parts.denoiser, quantile=QUANTILE), median_norm(parts.noise(1)))


def fixed_noise(restorer: Restorer, settings: Settings, noise_seed: int) -> Drawn:
    """One particle from noise that is the same for every photo, picked on others (arXiv 2305.15357)."""
    parts = parts_of(restorer, settings, noise_seed=noise_seed)
    return _alone(parts, settings, parts.denoiser, parts.noise(1))


def drafts(restorer: Restorer, settings: Settings) -> Drawn:
    """Cheap drafts of all particles, then the full run for the one nearest to their mean (as in arXiv 2607.23159)."""
    cheap = parts_of(restorer, replace(settings, steps=min(DRAFT_STEPS, settings.steps)))
    noise = cheap.noise(settings.particles)
    drafted = cheap.sample(cheap.denoiser, noise, timesteps=cheap.timesteps)
    winner = int(select_particle(drafted.x0))

    latents, cost = _alone(parts := parts_of(restorer, settings), settings, parts.denoiser, noise[winner : winner + 1])
    return latents, cost + settings.particles * drafted.num_model_evaluations * evaluations_per_call(settings)


def renoise(restorer: Restorer, settings: Settings, *, steered: bool = False) -> Drawn:
    """The mean of all particles at the cut-off, noised again; one particle goes on (`kds_ref.mean_then_renoise`)."""
    parts = parts_of(restorer, settings)
    n, total = settings.particles, parts.schedule.num_train_timesteps
    noise = parts.noise(n + 1)  # the last is fresh: no particle started from it

    result = mean_then_renoise(
        parts.sample,
        parts.denoiser,
        noise[:n],
        noise[n:],
        schedule=parts.schedule,
        timesteps=parts.timesteps,
        cutoff=settings.cutoff,
        steering=parts.steering if steered else None,
    )

    # The result counts calls, of all particles at once: n of them up to the cut-off, one after it.
    early = sum(in_window(t, total, cutoff=settings.cutoff) for t in parts.timesteps)
    return result.x0, evaluations_per_call(settings) * (n * early + result.num_model_evaluations - early)


class _FewerGoOn(Exception):
    """Raised by a callback to leave a sampler after a step."""


def funnel(restorer: Restorer, settings: Settings) -> Drawn:
    """KDS whose ensemble shrinks: half of the particles go on where they agree, and one after the cut-off.

    They agree where the mean effective number of particles (`info.effective_particles`) is at least 0.9 of N: within
    the bandwidth all of them say the same, so half of them says it too. The half nearest to the mean is kept. DDIM has
    no memory, so it can be left after any step and started again with fewer particles.
    """
    if settings.sampler != "ddim":
        raise ValueError(f"sampler must be 'ddim' for the funnel, got {settings.sampler!r}")
    parts = parts_of(restorer, settings)
    x, grid, cost = parts.noise(settings.particles), parts.timesteps, 0
    total = parts.schedule.num_train_timesteps

    while True:
        step = _Watch(grid, total, settings.cutoff)
        try:
            result = parts.sample(parts.denoiser, x, timesteps=grid, steering=parts.steering, callback=step)
        except _FewerGoOn:  # the grid's rest is a sampler's run of its own
            cost += len(x) * step.evaluations
            x, grid = step.survivors(), grid[step.evaluations :]
            continue
        best = int(select_particle(result.x0))  # steered to the end there are several
        return result.x0[best : best + 1], evaluations_per_call(settings) * (cost + len(x) * step.evaluations)


class _Watch:
    """A sampler's callback that leaves it where fewer particles are enough."""

    def __init__(self, grid: tuple[int, ...], total: int, cutoff: float) -> None:
        self.steered_after = [in_window(t, total, cutoff=cutoff) for t in (*grid[1:], 0)]
        self.evaluations, self.keep = 0, 1
        self.state: SamplerState | None = None

    def __call__(self, state: SamplerState) -> None:
        self.state, n = state, len(state.x_t)
        self.evaluations += 1
        if n == 1 or self.evaluations == len(self.steered_after):
            return
        agree = state.info is not None and float(state.info.effective_particles.mean()) >= AGREEMENT * n
        if not self.steered_after[self.evaluations - 1]:
            self.keep = 1
        elif agree:
            self.keep = (n + 1) // 2
        else:
            return
        raise _FewerGoOn

    def survivors(self) -> torch.Tensor:
        """The particles that go on, those whose clean predictions are nearest to the mean, in their order."""
        assert self.state is not None  # it is called after a step
        x0 = self.state.x0_steered
        distances = (x0 - x0.mean(0)).square().flatten(1).sum(1)
        nearest = distances.argsort(stable=True)[: self.keep].sort().values
        survivors: torch.Tensor = self.state.x_next[nearest]
        return survivors
