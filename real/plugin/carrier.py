"""A scheduler that steers: the live scheduler again, as a subclass of its class whose `step` rewrites the model output.

Everything that asks the scheduler what it is gets the answer of the original: name and module of the class,
signatures, length, configuration. `call` rewrites the output, `state` holds the options and what is remembered.
"""

from __future__ import annotations

import copy
import functools
import inspect
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch

from kds_ref import Kernel
from real.parallel.ranks import Ranks
from real.plugin.call import steer_call
from real.plugin.families import checked_family
from real.plugin.generators import particle_generators
from real.plugin.state import SteeringState

__all__ = ["is_steered", "steer_scheduler", "unsteer_scheduler"]

_STATE = "kds"  # the one attribute that a steered scheduler has and its original has not


def steer_scheduler(
    scheduler: Any,
    *,
    num_particles: int,
    bandwidth: float | str | torch.Tensor = 0.3,
    strength: float = 0.3,
    cutoff: float = 0.3,
    cutoff_in: str = "timestep",
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
        cutoff: Steer while the position is at least this, in [0, 1]; the paper uses 0.3. 0 steers to the end.
        cutoff_in: What the position is. "timestep" (the paper): t/T; where the scheduler's timesteps have no end T,
            as "step". "noise": sigma / sqrt(alpha^2 + sigma^2), comparable between schedulers; flow models with
            shifted timesteps spend most steps above t/T = 0.3. "step": the part of the steps that is still to come.
        ramp: Width on the scale of cutoff over which the strength falls linearly to 0, with its middle at cutoff; 0
            (the paper): at once, which multistep solvers with few steps answer with an error.
        patch_size: Side of the patches in latent pixels (the paper: 1), or None for a whole sample or frame.
        stride: Distance between patches; None: no overlap.
        kernel: Weights of the mean shift, see `kds_ref.mean_shift`.
        scale_with_dimension: Multiply h by the root of the patch's dimension.
        layout: How rows belong to B images: "grouped" (row b * N + i is particle i of image b, what
            num_images_per_prompt does) or "tiled" (row i * B + b).
        axes: A letter for each axis of one sample where the usual reading (C; LC tokens; CHW; CFHW video) is not
            meant: C channels, H and W space, L tokens or time, F frames, each frame an ensemble of its own.
        hand_on: "all": the last step returns all rows. "chosen": only the chosen one of each image, for pipelines
            that decode whatever they end with (LDM-SR); not where they mix the result with a full batch.
        seed: For the noise inside `step` of stochastic samplers where the pipeline hands no generator over: one
            whole number, or one for each image. None: torch's global generator, as without steering.
        process_group: Of torch.distributed, such as `torch.distributed.group.WORLD`, whose processes share the
            ensemble: the batch of each holds N / R particles of every image, rank r those of `particle_share`, and
            `step` gathers predictions to steer them all. None: the batch holds all N. N stays the whole ensemble.

    Returns:
        A scheduler of a subclass of the same name, with the attribute `kds`, a `SteeringState`: `kds.trace`,
        `kds.info`, `kds.select()`. Saving it saves the original class without steering.

    Raises:
        TypeError: If the scheduler cannot be steered, or an option has the wrong type.
        ValueError: If the scheduler is steered already or an option is out of range. From `step`: the batch is no
            multiple of N; s_churn > 0; noise prediction at alpha_bar = 0; NaN or infinite latents; processes that
            share the ensemble differ in an option, the scheduler, the timesteps or the batch.
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
        raise ValueError("scheduler is steered already; use unsteer_scheduler first to give it other options")
    if not callable(getattr(scheduler, "set_timesteps", None)):
        raise TypeError(f"scheduler is a {type(scheduler).__name__}; pass a diffusers scheduler, e.g. pipe.scheduler")
    family = checked_family(scheduler)
    state = SteeringState(
        num_particles=num_particles,
        bandwidth=bandwidth,
        strength=strength,
        cutoff=cutoff,
        cutoff_in=cutoff_in,
        ramp=ramp,
        patch_size=patch_size,
        stride=stride,
        kernel=kernel,
        scale_with_dimension=scale_with_dimension,
        layout=layout,
        axes=axes,
        hand_on=hand_on,
        seed=seed if seed is None or isinstance(seed, int) else tuple(seed),
        ranks=None if process_group is None else Ranks(process_group),
    )
    if family.jumps and state.hand_on == "chosen":
        raise ValueError(
            f"hand_on is 'chosen' but {type(scheduler).__name__} jumps back in time, so that its last step cannot be "
            "told; use hand_on='all' and kds.select()"
        )
    config = scheduler.config
    if family.bounded and (config.get("clip_sample") or config.get("clip_denoised")):
        warnings.warn(
            f"{type(scheduler).__name__} clips predicted clean samples to the range of pixels (clip_sample); latents "
            "are wider: use clip_sample=False for a latent model",
            stacklevel=2,
        )
    return _rebuild(type(scheduler), {**copy.deepcopy(scheduler.__dict__), _STATE: state})


def unsteer_scheduler(scheduler: Any) -> Any:
    """The plain scheduler inside a steered one, with its present state.

    Args:
        scheduler: From `steer_scheduler`; it is copied, not changed.

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
        raise TypeError(f"scheduler is a {type(scheduler).__name__} that is not steered; pass one of steer_scheduler")
    base = type(scheduler).kds_base
    plain = base.__new__(base)
    plain.__dict__.update(copy.deepcopy({k: v for k, v in scheduler.__dict__.items() if k != _STATE}))
    return plain


def is_steered(scheduler: object) -> bool:
    """Whether a scheduler comes from `steer_scheduler`."""
    return hasattr(type(scheduler), "kds_base")


def _rebuild(base: type, attributes: dict[str, Any]) -> Any:
    """An instance of the steered subclass of `base`; what pickle and deepcopy call."""
    scheduler: Any = object.__new__(_steered_class(base))
    scheduler.__dict__.update(attributes)
    return scheduler


@functools.cache
def _steered_class(base: Any) -> type:
    """The subclass; one for each base, so that copies are of the same type."""

    def make(cls: type, *args: Any, **options: Any) -> Any:
        return base(*args, **options)  # type(steered).from_config(...) is not steered: give back what it says it is

    def reduce(self: Any, protocol: object) -> tuple[Any, ...]:
        return _rebuild, (base, dict(self.__dict__))

    def refuse(self: Any, *args: Any, **options: Any) -> Any:
        raise TypeError(
            "batch_step_no_noise takes rows of many timesteps, which are no ensemble; use unsteer_scheduler first"
        )

    @functools.wraps(base.set_timesteps)
    def set_timesteps(self: Any, *args: Any, **options: Any) -> Any:
        self.kds.reset()
        return base.set_timesteps(self, *args, **options)

    members = {
        "__module__": base.__module__,
        "__qualname__": base.__qualname__,
        "__doc__": base.__doc__,
        "__new__": make,
        "__reduce_ex__": reduce,
        "kds_base": base,
        "set_timesteps": set_timesteps,
        "step": _steered_step(base),
    }
    if hasattr(base, "batch_step_no_noise"):
        members["batch_step_no_noise"] = functools.wraps(base.batch_step_no_noise)(refuse)
    return type(base.__name__, (base,), members)


def _steered_step(base: Any) -> Callable[..., Any]:
    signature = inspect.signature(base.step)

    @functools.wraps(base.step)
    def step(self: Any, *args: Any, **options: Any) -> Any:
        call = signature.bind(self, *args, **options)
        last, images = steer_call(self, self.kds, call.arguments)
        _fill_generator(self, call.arguments, images)
        result = base.step(*call.args, **call.kwargs)
        return _remember(self, result, last)

    return step


def _fill_generator(scheduler: Any, arguments: dict[str, Any], images: int) -> None:
    """Give `step` a generator for each row where the pipeline has none to give and `seed` asks for it."""
    state: SteeringState = scheduler.kds
    takes_one = "generator" in inspect.signature(type(scheduler).step).parameters
    given = arguments.get("generator") is not None or arguments.get("variance_noise") is not None
    if state.seed is None or given or not takes_one:
        return
    if state.generators is None:
        seeds = (state.seed,) * images if isinstance(state.seed, int) else state.seed
        if len(seeds) != images:
            raise ValueError(f"seed holds {len(seeds)} numbers and the batch {images} images; give one for each image")
        state.generators = particle_generators(
            state.num_particles, seed=seeds, layout=state.layout, stream=1, particles=state.particles
        )
    arguments["generator"] = state.generators


def _remember(scheduler: Any, result: Any, last: bool) -> Any:
    """Keep the latents of a step; after the last one hand on only the chosen ones, if that was asked for."""
    state: SteeringState = scheduler.kds
    rows = result[0] if isinstance(result, tuple) else result.prev_sample
    state.remember(rows.detach(), last)
    if not last or state.hand_on == "all":
        return result
    chosen = state.select().latents
    if isinstance(result, tuple):
        return (chosen, *result[1:])
    result.prev_sample = chosen
    return result
