"""How particles are sampled: sampler, steps, steering or a rival, as one line of the study; `run` runs it.

Everything is the core's: `kds_ref`'s samplers, `KernelDensitySteering` and rivals, with an exact score as denoiser.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

import kds_ref
from toy.mixture import Array

NUM_TRAIN_TIMESTEPS = 1000
SCHEDULE = kds_ref.scaled_linear_schedule(beta_start=0.0015, beta_end=0.0155)  # that of LDM-SR
SAMPLERS: dict[str, Any] = {"ddim": kds_ref.ddim, "2s": kds_ref.dpm_solver_pp_2s, "2m": kds_ref.dpm_solver_pp_2m}


class Model(Protocol):
    """What a sampler needs: a mixture, a batch of mixtures, or a wrong model of one."""

    def eps(self, x: Array, *, alpha_bar: float) -> Array:
        """Noise prediction for x_t, (B, N, d)."""


@dataclass(frozen=True, kw_only=True)
class Steering:
    """Options of KDS; the defaults are the paper's.

    Args:
        bandwidth: h, in the units of the samples.
        cutoff: steering stops below this t/T.
        strength: delta.
        patch_size: side of the patches in pixels; 8 is the whole patch of the prior as one point.
        kernel: "gaussian", or "l2" for the plain mean.
    """

    bandwidth: float = 0.3
    cutoff: float = 0.3
    strength: float = 0.3
    patch_size: int = 1
    kernel: str = "gaussian"


@dataclass(frozen=True, kw_only=True)
class Method:
    """One line of the study.

    Args:
        name: a key that no other line has.
        sampler: "ddim", "2s" or "2m".
        steps: evaluations of the denoiser for each particle.
        particles: N.
        steering: KDS, or None.
        hds: high-density sampling below this t/T, or None.
        dgs: density guidance at this quantile, or None.
        renoise: mean, then noise again, at this t/T, or None.
    """

    name: str
    sampler: str = "ddim"
    steps: int = 50
    particles: int = 10
    steering: Steering | None = None
    hds: float | None = None
    dgs: float | None = None
    renoise: float | None = None

    @property
    def evaluations(self) -> int:
        """Evaluations of the denoiser by all particles together, for one answer."""
        if self.renoise is None:
            return self.steps * self.particles
        early = sum(t >= self.renoise * NUM_TRAIN_TIMESTEPS for t in timesteps(self))
        return early * self.particles + self.steps - early


def timesteps(method: Method) -> tuple[int, ...]:
    """The timesteps that a method visits: LDM's for DDIM (leading, one up), diffusers' for DPM-Solver++."""
    if method.sampler == "ddim":
        return kds_ref.time_grid(method.steps, NUM_TRAIN_TIMESTEPS, spacing="leading", steps_offset=1)
    return kds_ref.time_grid(method.steps, NUM_TRAIN_TIMESTEPS, spacing="dpm")


def run(method: Method, model: Model, noise: Array, *, channels: int = 1, group: int = 1) -> Array:
    """Sample particles.

    Args:
        method: method to run, see `Method`.
        model: model; its `eps` takes (B, n, d).
        noise: (N_max, B, d), standard normal, N_max above the method's N if it renoises. The first N are used, so 5
            particles are the first 5 of 10, and every method starts from the same.
        channels: channels of a sample, whose d values are channels * side * side.
        group: how many neighbouring cases make one sample for density guidance, which is made for many dimensions.

    Returns:
        Clean samples, (B, N, d), in the dtype of noise; (B, 1, d) after renoising.
    """
    n = method.particles
    # The first n draws, so that particle i of every method starts from the same noise.
    x_T = np.ascontiguousarray(noise[:n].swapaxes(0, 1))
    steering = None if method.steering is None else steer_cases(method.steering, channels=channels)

    def denoiser(x: Array, t: int) -> Array:
        return model.eps(x, alpha_bar=SCHEDULE.alpha_bar(t))

    if method.dgs is not None:
        return _guided(method, denoiser, x_T, method.dgs, group)
    predict = denoiser if method.hds is None else kds_ref.high_density_sampling(denoiser, cutoff=method.hds)
    options: dict[str, Any] = {"schedule": SCHEDULE, "timesteps": timesteps(method), "steering": steering}
    sampler = SAMPLERS[method.sampler]
    if method.renoise is not None:
        # The draw after them, which no particle started from.
        fresh = noise[n : n + 1].swapaxes(0, 1)
        options |= {"cutoff": method.renoise, "sample_ndim": 1}
        x0: Array = kds_ref.mean_then_renoise(sampler, predict, x_T, fresh, **options).x0
    else:
        x0 = sampler(predict, x_T, **options).x0
    return x0


def _guided(method: Method, denoiser: Callable[[Array, int], Array], x_T: Array, quantile: float, group: int) -> Array:
    """Sample with density guidance, for which neighbouring cases (B, N, d) are one sample (B / group, N, group d)."""
    cases, n, dimension = x_T.shape

    def join(x: Array) -> Array:
        return x.reshape(-1, group, n, dimension).swapaxes(1, 2).reshape(-1, n, group * dimension)

    def part(x: Array) -> Array:
        return x.reshape(-1, n, group, dimension).swapaxes(1, 2).reshape(cases, n, dimension)

    guided = kds_ref.density_guidance(lambda x, t: join(denoiser(part(x), t)), quantile=quantile, sample_ndim=1)
    start = kds_ref.median_norm(join(x_T), sample_ndim=1)
    return part(SAMPLERS[method.sampler](guided, start, schedule=SCHEDULE, timesteps=timesteps(method)).x0)


def steer_cases(options: Steering, *, channels: int = 1) -> Callable[[Array, float], tuple[Array, Any]]:
    """Return KDS for ensembles of small samples, (B, N, d), as the samplers call it.

    The samples of all cases lie side by side as one wide image, in which no patch reaches into two of them; for
    thousands of cases that is a hundred times faster than an ensemble at a time, and the same. What is not steered
    comes back untouched.
    """
    steering = kds_ref.KernelDensitySteering(
        num_train_timesteps=NUM_TRAIN_TIMESTEPS,
        bandwidth=options.bandwidth,
        cutoff=options.cutoff,
        strength=options.strength,
        patch_size=options.patch_size,
        kernel=options.kernel,
    )

    def steer(x0: Array, t: float) -> tuple[Array, Any]:
        cases, n, dimension = x0.shape
        side = round((dimension / channels) ** 0.5)
        if side % options.patch_size:
            raise ValueError(f"patch_size must divide the side {side} of a sample, got {options.patch_size}")
        # (B, N, c * s * s) -> (N, c, s, B * s)
        wide = x0.reshape(cases, n, channels, side, side).transpose(1, 2, 3, 0, 4).reshape(n, channels, side, -1)
        steered, info = steering(wide, t)
        if info is None:
            return x0, None
        back = steered.reshape(n, channels, side, cases, side).transpose(3, 0, 1, 2, 4)
        return back.reshape(x0.shape), info

    return steer
