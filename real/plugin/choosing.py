"""Choosing before decoding, in pipelines that have a hook for it.

KDS Eq. 9 (v1) in the last step of a pipeline, so that only the chosen particle of each image reaches the decoder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from diffusers.callbacks import MultiPipelineCallbacks, PipelineCallback

from real.plugin.scheduler import is_steered

__all__ = ["choosing_callback"]

Callback = Callable[[Any, int, Any, dict[str, Any]], Mapping[str, Any]]


def choosing_callback(other: Callback | None = None) -> Callback:
    """A `callback_on_step_end` that hands on only the chosen latents of each image after the last step.

    `pipe(..., callback_on_step_end=choosing_callback())` decodes one picture per image, not N. It sees the latents
    as the pipeline has them, also where the pipeline changed them after `step` (inpainting without a mask channel).
    With `hand_on="chosen"` they are chosen already and stay as they are.

    Args:
        other: Your own callback, called first at every step; its return value is kept. An official one of diffusers
            (`SDCFGCutoffCallback`, ...) still gets the tensors that it asks for.

    Returns:
        The callback; it needs "latents" among callback_on_step_end_tensor_inputs, where they are by default.

    Raises:
        TypeError: From the callback, if the pipeline's scheduler is not steered.
        ValueError: From the callback, if it is not given the latents.

    Example:
        >>> callback = choosing_callback()
        >>> callable(callback)
        True
    """
    if isinstance(other, PipelineCallback | MultiPipelineCallbacks):
        # Pipelines ask these for the names of their tensors, and a plain function for none.
        first = [other] if isinstance(other, PipelineCallback) else list(other.callbacks)
        return MultiPipelineCallbacks([*first, _Choosing()])

    def callback(pipeline: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> Mapping[str, Any]:
        changed = dict(other(pipeline, step, timestep, tensors)) if other is not None else {}
        return {**changed, **_chosen(pipeline, step, {**tensors, **changed})}

    return callback


class _Choosing(PipelineCallback):
    """The choice among official callbacks, each of which gets the tensors of all and hands them on."""

    tensor_inputs = ("latents",)

    def callback_fn(self, pipeline: Any, step_index: int, timestep: Any, callback_kwargs: dict[str, Any]) -> Any:
        return {**callback_kwargs, **_chosen(pipeline, step_index, callback_kwargs)}


def _chosen(pipeline: Any, step: int, tensors: Mapping[str, Any]) -> dict[str, Any]:
    """The chosen latents of each image after the last step; nothing before."""
    if step != pipeline.num_timesteps - 1:
        return {}

    scheduler = pipeline.scheduler
    if not is_steered(scheduler):
        raise TypeError(
            f"pipeline.scheduler must be one of steer_scheduler, got {type(scheduler).__name__} that is not steered; "
            "set it to steer_scheduler(pipeline.scheduler, ...) first"
        )
    if tensors.get("latents") is None:
        raise ValueError(
            f"callback_on_step_end_tensor_inputs must hold 'latents', got {sorted(tensors)}; leave it at its default"
        )

    if scheduler.kds.hand_on == "chosen":
        return {}
    return {"latents": scheduler.kds.select(tensors["latents"]).latents}
