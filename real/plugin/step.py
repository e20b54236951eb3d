"""One call of a scheduler's `step`, steered: the one place where diffusers and KDS meet.

With x0 = c_skip * sample + c_out * output, the model output + (x0_steered - x0) / c_out makes the scheduler use the
steered clean latent in place of x0. The scheduler's own `step` does the rest, so that solver history, corrector stages,
noise and variance need no special case. For DDIM and noise prediction it is the eps' of KDS Algorithm 2 (v1).
`steered_step` is the whole of a steered scheduler's `step`; `modular` needs the first half alone.
"""

from __future__ import annotations

import functools
import inspect
import math
from dataclasses import replace
from typing import Any

import torch

from kds_ref import SteeringInfo, steer
from real.plugin.call import Call
from real.plugin.coefficients import Coefficients, bound_of
from real.plugin.layout import Layout, axes_of, unfolded, without_variance
from real.plugin.particles import particle_generators
from real.plugin.schedulers import Family
from real.plugin.sharing import check_run
from real.plugin.state import SteeringState

__all__ = ["steer_step", "steered_step", "window"]

_SMALLEST = 1e-6  # of |c_out|; below it the output does not affect x0


def steered_step(scheduler: Any, binding: inspect.BoundArguments) -> Any:
    """One `step` of a steered scheduler: steer the model output, let the original make its step, keep what comes out.

    Args:
        scheduler: Scheduler from `steer_scheduler`.
        binding: Arguments of `step` by their names, the scheduler among them.

    Returns:
        What the original returns; after the last step only the chosen rows, if that was asked for.

    Raises:
        ValueError: See `steer_scheduler`.
    """
    state, family = scheduler.kds, scheduler.kds_family
    dtype = binding.arguments["model_output"].dtype
    steer_step(scheduler, family, state, binding.arguments)
    _fill_generator(state, binding)
    result = scheduler.kds_base.step(*binding.args, **binding.kwargs)

    rows = result[0] if isinstance(result, tuple) else result.prev_sample
    # Where the output was rewritten in float32, `step` gives that back and not the precision of the pipeline.
    handed = rows.to(dtype) if family.upcasts and rows.dtype == torch.float32 else rows
    state.remember(handed.detach())
    if state.ended and state.hand_on == "chosen":
        handed = state.select().latents

    if handed is rows:
        return result
    if isinstance(result, tuple):
        return (handed, *result[1:])
    result.prev_sample = handed
    return result


def _fill_generator(state: SteeringState, binding: inspect.BoundArguments) -> None:
    """Give `step` a generator for each row where the pipeline has none to give and `seed` asks for it."""
    arguments = binding.arguments
    given = arguments.get("generator") is not None or arguments.get("variance_noise") is not None
    if state.seed is None or given or "generator" not in binding.signature.parameters:
        return
    if state.generators is None:
        images = len(state.rows.split(arguments["sample"]))
        seeds = (state.seed,) * images if isinstance(state.seed, int) else state.seed
        if len(seeds) != images:
            raise ValueError(f"seed must hold one number for each of the {images} images, got {len(seeds)} numbers")
        # Another stream than that of the initial noise, which would come back inside the steps.
        state.generators = particle_generators(
            state.num_particles, seed=seeds, layout=state.layout, stream=1, particles=state.particles
        )
    arguments["generator"] = state.generators


def steer_step(scheduler: Any, family: Family, state: SteeringState, arguments: dict[str, Any]) -> None:
    """Replace the model output among the arguments of one call of `step` by one that predicts the steered x0.

    Args:
        scheduler: Scheduler as it is before the call; its step index is set, as `step` would.
        family: Family of the scheduler.
        state: Options; what happens is written into it.
        arguments: Arguments of `step`, by name: model_output, timestep, sample and what else was given. The model
            output is replaced where steering acts, by one in float32 where the family upcasts. Values that steering
            does not move keep their bits.

    Raises:
        ValueError: See `steer_scheduler`.

    Notes:
        Computed in float32 (float64 if an argument is), also for half precision. Nothing here waits for an
        accelerator, except for noise levels by token with `cutoff_in="noise"`.
    """
    if family.churns and arguments.get("s_churn", 0.0) > 0.0:
        raise ValueError(
            f"s_churn must be 0, got {arguments['s_churn']}; it adds noise before the clean latent is predicted, so "
            "that it cannot be steered: use an ancestral sampler instead"
        )
    family.start(scheduler, arguments["timestep"])
    call = Call(scheduler, arguments, state.host, state.index)
    index, count = family.position(call)
    factors = family.coefficients(call)

    # How strongly (Eq. 10).
    position = _position(state, factors, 1.0 - index / count)
    strength = state.steering.strength * window(state, position)

    # Which rows and axes are meant; a batch that is no multiple of N is refused where nothing is steered, too.
    sample = arguments["sample"]
    if state.ranks is not None and state.calls == 0:
        check_run(state.ranks, scheduler, state, sample)
    axes = axes_of(sample, state.axes or family.axes.get(sample.ndim - 1), state.steering.patch_size)
    layout = Layout(len(state.particles), state.layout, axes)
    layout.split(sample)

    # What predicts x0: the model output, or x0 itself where the pipeline has predicted it already (EDM Euler).
    name, c_skip, c_out = "model_output", factors.c_skip, factors.c_out
    if arguments.get("pred_original_sample") is not None:
        name, c_skip, c_out = "pred_original_sample", 0.0, 1.0
    given = arguments[name]
    output, x = given, sample
    if family.grid is not None:
        output, x, layout = unfolded(given, sample, layout, getattr(scheduler, family.grid))
    output, variance = without_variance(output, x, layout)

    # x0 as the scheduler will use it (Eq. 6).
    wide = torch.promote_types(torch.promote_types(sample.dtype, given.dtype), torch.float32)
    o = output.to(wide)
    x0 = c_skip * x.to(wide) + c_out * o
    bound = bound_of(scheduler) if family.bounded else None
    used = x0 if bound is None else bound(x0)
    unknown = isinstance(c_out, float) and math.isinf(c_out)
    state.x_t, state.x0_pred = sample.detach(), None if unknown else used.detach()

    # Steer it (Eq. 7 and 8), and ask for the output that predicts the result.
    info = None
    if strength > 0.0 and not (isinstance(c_out, float) and abs(c_out) < _SMALLEST):
        if unknown:
            raise ValueError(
                "prediction_type must be 'v_prediction' or 'sample' where alpha_bar is 0 (rescale_betas_zero_snr), got "
                "'epsilon', which says nothing about x0 there; or leave the last timestep out by another spacing"
            )
        steered, info = _steer(state, layout, layout.to_ensembles(used), strength)
        rows = state.x0 = layout.to_rows(steered)
        o = _output_for(rows, o, x0, used, c_out).to(wide if family.upcasts else given.dtype)
        o = o if variance is None else torch.cat([o, variance.to(o.dtype)], dim=layout.channels)
        arguments[name] = o.reshape(given.shape)

    state.record(index, call.t, position, strength, info)
    state.ended = index >= count - 1


def _position(state: SteeringState, factors: Coefficients, left: float) -> float:
    """What the cut-off is compared with: t/T, the noise level, or the part of the steps that is left."""
    position: float | torch.Tensor = left
    if state.cutoff_in == "noise":
        if factors.noise is None:
            raise ValueError("cutoff_in must be 'step' or 'timestep', got 'noise', not known of a probed scheduler")
        position = factors.noise
    elif state.cutoff_in == "timestep" and factors.time is not None:
        position = factors.time
    return min(max(float(position), 0.0), 1.0)


def window(state: SteeringState, position: float) -> float:
    """Part of the strength at a position, KDS Eq. 10 (v1): 1 inside the steering window, 0 after it, less on a ramp."""
    cutoff = state.steering.cutoff
    assert cutoff is not None  # steer_scheduler gives t/T
    if state.ramp == 0.0:
        return float(position + 1e-9 >= cutoff)  # t/T == cutoff steers, whatever rounding makes of either
    part = min(max((position - cutoff) / state.ramp + 0.5, 0.0), 1.0)
    return part if part > 1e-9 else 0.0


def _steer(
    state: SteeringState, layout: Layout, x0_pred: torch.Tensor, strength: float
) -> tuple[torch.Tensor, SteeringInfo]:
    """`kds_ref.steer` with the options of the state; over several processes, of the whole ensemble."""
    h = state.steering.bandwidth
    if isinstance(h, torch.Tensor) and h.device != x0_pred.device:
        # Moved once, not at every step; narrowed before, since some devices have no float64.
        state.steering = replace(state.steering, bandwidth=h.to(x0_pred.dtype).to(x0_pred.device))

    options = state.steering
    steered = functools.partial(
        steer,
        bandwidth=options.bandwidth,
        strength=strength,
        patch_size=options.patch_size,
        stride=options.stride,
        kernel=options.kernel,
        sample_ndim=layout.sample_ndim,
        scale_with_dimension=options.scale_with_dimension,
    )

    if state.ranks is None:
        return steered(x0_pred)
    return state.ranks.steer(steered, x0_pred, -1 - layout.sample_ndim)


def _output_for(
    rows: torch.Tensor, output: torch.Tensor, x0: torch.Tensor, used: torch.Tensor, c_out: float | torch.Tensor
) -> torch.Tensor:
    """The output that predicts `rows` where they differ from the x0 that the scheduler would have used."""
    moved = rows != used  # what steering does not move keeps its bits
    if used is not x0:
        # Bounds may look at a whole sample (thresholding): where one value of a row moves, all of it takes the bounded
        # x0. It lies within the bounds, so that the scheduler's own clipping changes nothing.
        moved = moved.flatten(1).any(1).reshape(-1, *[1] * (moved.ndim - 1)).expand_as(moved)
    if isinstance(c_out, torch.Tensor):  # tokens that are clean already stay
        moved = moved & (c_out.abs() >= _SMALLEST)
        c_out = torch.where(c_out.abs() >= _SMALLEST, c_out, torch.ones_like(c_out))
    return torch.where(moved, output + (rows - x0) / c_out, output)
