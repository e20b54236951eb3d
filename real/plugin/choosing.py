"""Choosing before decoding, in pipelines that have a hook for it.

KDS Eq. 9 (v1) in the last step of a pipeline, so that only the chosen particle of each image reaches the decoder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from real.plugin.scheduler import is_steered

__all__ = ["choosing_callback"]

Callback = Callable[[Any, int, Any, dict[str, Any]], Mapping[str, Any]]


def choosing_callback(other: Callback | None = None) -> Callback:
    """A `callback_on_step_end` that hands on only the chosen latents of each image after the last step.

    `pipe(..., callback_on_step_end=choosing_callback())` decodes one picture an image instead of N. It sees the latents
    as the pipeline has them, also where the pipeline changed them after `step` (inpainting without a mask channel).

    Args:
        other: A callback of yours, called before at every step; what it returns counts.

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

    def callback(pipeline: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> Mapping[str, Any]:
        changed = dict(other(pipeline, step, timestep, tensors)) if other is not None else {}
        if step != pipeline.num_timesteps - 1:
            return changed
        if not is_steered(pipeline.scheduler):
            raise TypeError(
                f"pipeline.scheduler is a {type(pipeline.scheduler).__name__} that is not steered; set it to "
                "steer_scheduler(pipeline.scheduler, ...) first"
            )
        latents = changed.get("latents", tensors.get("latents"))
        if latents is None:
            raise ValueError("the callback got no latents; leave callback_on_step_end_tensor_inputs at ['latents']")
        return {**changed, "latents": pipeline.scheduler.kds.select(latents).latents}

    return callback
