"""One call of a scheduler's `step`: look up the coefficients, rewrite the model output, keep a record.

Between `families`, which knows the scheduler, and `rewrite`, which does not. `carrier` and `modular` call it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from real.plugin.ensemble import Ensemble
from real.plugin.families import Family, family_of
from real.plugin.records import StepRecord
from real.plugin.rewrite import predict_clean, rewrite_output
from real.plugin.sharing import check_run
from real.plugin.state import SteeringState

__all__ = ["steer_call"]


def steer_call(scheduler: Any, state: SteeringState, arguments: dict[str, Any]) -> tuple[bool, int]:
    """Rewrite the model output among the arguments of one call of `step`.

    Args:
        scheduler: As it is before the call; its step index is set, as `step` would.
        state: Options and trace; this call is added.
        arguments: Of `step`, by name: model_output, timestep, sample and what else was given. The model output is
            replaced in place where steering acts.

    Returns:
        (last, images): whether this is the last call of the run, and the number of images in the batch.

    Raises:
        ValueError: See `steer_scheduler`.
    """
    family = family_of(scheduler)
    if family.churns and arguments.get("s_churn", 0.0) > 0.0:
        raise ValueError(
            f"s_churn is {arguments['s_churn']}; it adds noise before the clean latent is predicted, so that it cannot "
            "be steered: use s_churn=0 or an ancestral sampler"
        )
    sample, timestep = arguments["sample"], arguments["timestep"]
    family.start(scheduler, timestep)
    index, count = family.position(scheduler, arguments)
    coefficients = family.coefficients(scheduler, arguments)
    position, strength = state.delta(coefficients, index, count)
    if state.ranks is not None and not state.trace:
        check_run(state.ranks, scheduler, state, sample)
    ensemble = state.ensemble(sample, family.axes)
    images = len(ensemble.split(sample))
    name, a, b = "model_output", coefficients.a, coefficients.b
    if arguments.get("pred_original_sample") is not None:  # EDM Euler: the pipeline has predicted x0 itself
        name, a, b = "pred_original_sample", 0.0, 1.0
    output, x, ensemble = _unfold(scheduler, family, arguments[name], sample, ensemble)
    bound = _bound(scheduler, family)
    state.x_t = sample.detach()
    state.x0_pred = predict_clean(output.detach(), x.detach(), a, b, ensemble=ensemble, bound=bound)
    info = None
    if strength > 0.0:
        output, info = rewrite_output(
            output,
            x,
            a,
            b,
            steer_x0=lambda x0: state.steer_x0(x0, strength, ensemble),
            ensemble=ensemble,
            bound=bound,
        )
        arguments[name] = output.reshape(arguments[name].shape)
    state.trace.append(_record(len(state.trace), timestep, position, strength, info))
    state.info = info or state.info
    return index >= count - 1, images


def _unfold(
    scheduler: Any, family: Family, output: torch.Tensor, sample: torch.Tensor, ensemble: Ensemble
) -> tuple[torch.Tensor, torch.Tensor, Ensemble]:
    """Where one output holds K predictions behind each other in its channels, give them an axis K of their own."""
    if family.grid is None:
        return output, sample, ensemble
    output = output.unflatten(-1, (getattr(scheduler, family.grid), sample.shape[-1]))
    axes = ensemble.axes[:-1] + "KC"
    return output, sample.unsqueeze(-2).expand_as(output), Ensemble(ensemble.num_particles, ensemble.layout, axes)


def _bound(scheduler: Any, family: Family) -> Callable[[torch.Tensor], torch.Tensor] | None:
    """What `step` does to its predicted clean sample: dynamic thresholding, clipping, or nothing."""
    config = scheduler.config
    if not family.bounded:
        return None
    if config.get("thresholding"):
        # UniPC and Helios threshold a predicted clean sample only, not a predicted noise
        threshold: Callable[[torch.Tensor], torch.Tensor] = scheduler._threshold_sample
        return threshold if config.get("predict_x0", True) else None
    if config.get("clip_sample") or config.get("clip_denoised"):
        limit = float(config.get("clip_sample_range", 1.0))
        return lambda x0: x0.clamp(-limit, limit)
    return None


def _record(index: int, timestep: Any, position: float, strength: float, info: Any) -> StepRecord:
    t = float(timestep.flatten()[0]) if isinstance(timestep, torch.Tensor) else float(timestep)
    if info is None:
        return StepRecord(index, t, position, 0.0)
    h = info.bandwidth
    width = float(h.float().mean()) if isinstance(h, torch.Tensor) else float(h)
    means = float(info.effective_particles.float().mean()), float(info.shift_norm.float().mean())
    return StepRecord(index, t, position, strength, *means, width)
