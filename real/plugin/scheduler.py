"""A scheduler that steers: the live scheduler again, of the subclass that `subclass` makes of its class; and back."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from typing import Any

import torch

from kds_ref import Kernel, KernelDensitySteering
from real.parallel.ranks import Ranks
from real.plugin.particles import seeds_of
from real.plugin.schedulers import checked_family
from real.plugin.state import SteeringState
from real.plugin.subclass import steered_scheduler_of

__all__ = ["is_steered", "steer_scheduler", "unsteer_scheduler"]

_STATE = "kds"  # the one attribute that a steered scheduler has and its original lacks


def steer_scheduler(
    scheduler: Any,
    *,
    num_particles: int,
    bandwidth: float | str | torch.Tensor = 0.3,
    strength: float = 0.3,
    cutoff: float | None = None,
    cutoff_in: str = "timestep",
    cutoff_nsr: float | None = None,
    ramp: float = 0.0,
    patch_size: int | None = 1,
    stride: int | None = None,
    kernel: str | Kernel = "gaussian",
    scale_with_dimension: bool = False,
    layout: str = "grouped",
    axes: str | None = None,
    hand_on: str = "all",
    seed: int | Sequence[int] | None = None,
    process_group: Any = None,
) -> Any:
    """Give a diffusers pipeline Kernel Density Steering through its scheduler: KDS Algorithm 2 (v1) in any sampler.

    `pipe.scheduler = steer_scheduler(pipe.scheduler, num_particles=10)` is all: the rows of the pipeline's batch are
    the particles, N for each image. At every step the clean latents that the model predicts are steered by
    `kds_ref.steer` before the scheduler uses them.

    Args:
        scheduler: A diffusers scheduler with continuous latents; it is copied, not changed.
        num_particles: N, the rows of the batch that belong to one image; the paper uses 10.
        bandwidth: h in units of the latent, a number, the name of a rule or an array (B,) or (B, L): see
            `kds_ref.steer`. It is absolute; `kds.trace` says how many particles it really lets interact.
        strength: delta in [0, 1]; the paper uses 0.3. 0 leaves every bit as it is.
        cutoff: Position down to which (inclusive) to steer, in [0, 1]; 0 steers to the end. None: 0.3, as in the paper,
            unless `cutoff_nsr` is given instead.
        cutoff_in: What the position is. "timestep" (the paper): t/T; where the scheduler's timesteps have no end T,
            as "step". "noise": sigma / sqrt(alpha^2 + sigma^2), comparable between schedulers; flow models with
            shifted timesteps spend most steps above t/T = 0.3. "step": the part of the steps that is still to come.
        cutoff_nsr: Noise-to-signal ratio sigma / alpha down to which to steer, positive, in place of `cutoff`: what
            "noise" says, in the terms of `kds_ref.KernelDensitySteering`. The paper's 0.3 with LDM-SR is 1.126.
        ramp: Width on the scale of cutoff over which the strength falls linearly to 0, with its middle at cutoff; 0
            (the paper): at once, which multistep solvers with few steps answer with an error.
        patch_size: Side of the patches in latent pixels (the paper: 1), or None for a whole sample or frame.
        stride: Distance between patches; None: no overlap.
        kernel: Weights of the mean shift, see `kds_ref.mean_shift`.
        scale_with_dimension: Whether h is multiplied by the root of the patch's dimension.
        layout: How rows belong to B images: "grouped" (row b * N + i is particle i of image b, what
            num_images_per_prompt does) or "tiled" (row i * B + b).
        axes: A letter for each axis of one sample: C channels, H and W space, L tokens or time, F frames, each frame an
            ensemble of its own. None reads C, CHW, packed tokens of flow models (LC), and what is the only way of a
            scheduler (CogVideoX: FCHW); video elsewhere has to be named, "CFHW" (Wan) or "FCHW" (Stable Video
            Diffusion), and so has audio ("CL").
        hand_on: "all": the last step returns all rows. "chosen": only the chosen one of each image, for pipelines
            that decode whatever they end with (LDM-SR); not where they mix the result with a full batch.
        seed: Seed of the noise inside `step` of stochastic samplers where the pipeline passes no generator: one whole
            number, or one for each image. None: torch's global generator, as without steering.
        process_group: Group of torch.distributed, such as `torch.distributed.group.WORLD`, whose processes share the
            ensemble: the batch of each holds N / R particles of every image, rank r those of `particle_share`, and
            `step` gathers predictions to steer them all. None: the batch holds all N. N stays the whole ensemble.

    Returns:
        A scheduler of a subclass of the same name, with the attribute `kds`, a `SteeringState`: `kds.trace`,
        `kds.info`, `kds.select()`. Saving it saves the original class without steering.

    Raises:
        TypeError: If the scheduler cannot be steered, or an option has the wrong type. From `batch_step_no_noise` of
            the parallel schedulers, unless strength is 0: its rows of many timesteps are no ensemble.
        ValueError: If the scheduler is steered already or an option is out of range. From `step`: the batch is no
            multiple of N; axes that have to be named; s_churn > 0; noise prediction at alpha_bar = 0; NaN or infinite
            latents (looked for on the CPU only); processes that share the ensemble differ in an option, the scheduler,
            the timesteps or the batch.
        RankError: From `step`, a RuntimeError: one of these processes ended, or did not answer within the timeout of
            the group.

    Warns:
        UserWarning: If the scheduler clips predicted clean samples to the range of pixels, or two processes start from
            the same noise.

    Notes:
        Wrap after changing the sampler: `OtherScheduler.from_config(steered.config)` is not steered. A step costs one
        call of `kds_ref.steer`, and over processes one exchange of N * C * H * W numbers. Copies share the process
        group; a pickle can keep the default group only, which is then that of the process that loads it.

    Example:
        >>> from diffusers import DDIMScheduler
        >>> scheduler = steer_scheduler(DDIMScheduler(clip_sample=False), num_particles=10)
        >>> isinstance(scheduler, DDIMScheduler), type(scheduler).__name__, scheduler.kds.num_particles
        (True, 'DDIMScheduler', 10)
    """
    if is_steered(scheduler):
        raise ValueError("scheduler must be a plain one, got a steered one; use unsteer_scheduler first")
    if not callable(getattr(scheduler, "set_timesteps", None)):
        raise TypeError(f"scheduler must be one of diffusers, e.g. pipe.scheduler, got {type(scheduler).__name__}")

    family = checked_family(scheduler)
    state = SteeringState(
        num_particles=num_particles,
        steering=KernelDensitySteering(
            bandwidth=bandwidth,
            strength=strength,
            cutoff=cutoff,
            cutoff_nsr=cutoff_nsr,
            patch_size=patch_size,
            stride=stride,
            kernel=kernel,
            scale_with_dimension=scale_with_dimension,
        ),
        cutoff_in=cutoff_in,
        ramp=ramp,
        layout=layout,
        axes=axes,
        hand_on=hand_on,
        seed=seed if seed is None or isinstance(seed, int) else seeds_of(seed),
        ranks=None if process_group is None else Ranks(process_group),
    )

    if family.jumps and state.hand_on == "chosen":
        raise ValueError(
            f"hand_on must be 'all' for {type(scheduler).__name__}, got 'chosen'; its runs jump back in time, so that "
            "no step is known to be the last: use kds.select() afterwards"
        )

    # A warning and no error: models of pixels want the clipping.
    config = scheduler.config
    if family.bounded and (config.get("clip_sample") or config.get("clip_denoised")):
        warnings.warn(
            f"{type(scheduler).__name__} clips predicted clean samples to the range of pixels (clip_sample); latents "
            "are wider: use clip_sample=False for a latent model",
            stacklevel=2,
        )

    return steered_scheduler_of(type(scheduler), {**copy.deepcopy(scheduler.__dict__), _STATE: state})


def unsteer_scheduler(scheduler: Any) -> Any:
    """The plain scheduler inside a steered one, with its present state.

    Args:
        scheduler: Scheduler from `steer_scheduler`; it is copied, not changed.

    Returns:
        An instance of the original class.

    Raises:
        TypeError: If the scheduler is not steered.

    Example:
        >>> from diffusers import DDIMScheduler
        >>> plain = unsteer_scheduler(steer_scheduler(DDIMScheduler(clip_sample=False), num_particles=10))
        >>> type(plain) is DDIMScheduler
        True
    """
    if not is_steered(scheduler):
        raise TypeError(f"scheduler must be one of steer_scheduler, got {type(scheduler).__name__} that is not steered")
    base = type(scheduler).kds_base
    plain = base.__new__(base)
    plain.__dict__.update(copy.deepcopy({k: v for k, v in scheduler.__dict__.items() if k != _STATE}))
    return plain


def is_steered(scheduler: object) -> bool:
    """Whether a scheduler comes from `steer_scheduler`."""
    return hasattr(type(scheduler), "kds_base")
