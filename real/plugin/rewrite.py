"""The one place where diffusers and KDS meet: a model output that makes a scheduler use the steered clean latent.

With x0 = a * sample + b * output, output' = output + (x0_steered - x0) / b has x0_steered in place of x0. The
scheduler's own `step` does the rest, so solver history, corrector stages, noise and variance need no special case. For
DDIM and noise prediction it is the eps' of KDS Algorithm 2 (v1).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from kds_ref import SteeringInfo
from real.plugin.ensemble import Ensemble

__all__ = ["SteerX0", "predict_clean", "rewrite_output"]

SteerX0 = Callable[[torch.Tensor], tuple[torch.Tensor, SteeringInfo]]
_SMALLEST_B = 1e-6


def rewrite_output(
    model_output: torch.Tensor,
    sample: torch.Tensor,
    a: float | torch.Tensor,
    b: float | torch.Tensor,
    *,
    steer_x0: SteerX0,
    ensemble: Ensemble,
    bound: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> tuple[torch.Tensor, SteeringInfo | None]:
    """Change a model output so that a * sample + b * output is the steered clean latent.

    Args:
        model_output: (B * N, *axes), any floating dtype; with a learned variance twice the channels, of which the
            first half is changed.
        sample: Noisy latents (B * N, *axes) as the scheduler gets them.
        a: Factor of the sample in the predicted clean latent: a number or a tensor that broadcasts to the sample.
        b: Factor of the model output, likewise. Where |b| < 1e-6 the output has no say and stays as it is.
        steer_x0: (B, ..., N, C, H, W) or (..., N, C, L) -> (steered, info), e.g. `kds_ref.steer` with its options.
        ensemble: How rows and axes are meant.
        bound: What the scheduler does to its predicted clean latent before it uses it (clipping, thresholding).

    Returns:
        (output', info): of the shape and dtype of model_output; info is None where nothing could be steered. Values
        that steering does not move keep their bits.

    Raises:
        ValueError: If the rows are no multiple of N, b is infinite (noise prediction where there is only noise), or
            the latents hold NaN or infinity.

    Notes:
        Computed in float32 (float64 if one of the arrays is), also for half precision.
    """
    output, rest = _without_variance(model_output, sample, ensemble)
    if isinstance(b, float) and math.isinf(b):
        raise ValueError(
            "prediction_type 'epsilon' says nothing about x0 where alpha_bar is 0 (rescale_betas_zero_snr); "
            "use a model with v_prediction, or a timestep spacing that leaves the last timestep out"
        )
    if isinstance(b, float) and abs(b) < _SMALLEST_B:
        return model_output, None
    x, o = _widened(sample, output)
    x0 = a * x + b * o
    used = x0 if bound is None else bound(x0)
    steered, info = steer_x0(ensemble.to_steer(used))
    rows = ensemble.from_steer(steered)
    moved = rows != used  # what steering does not move keeps its bits
    if bound is not None:
        # Bounds may look at a whole sample (thresholding): where one value of a row moves, all of it takes the bounded
        # x0. It lies within the bounds, so that the scheduler's own clipping changes nothing.
        moved = moved.flatten(1).any(1).reshape(-1, *[1] * (moved.ndim - 1)).expand_as(moved)
    if isinstance(b, torch.Tensor):
        moved = moved & (b.abs() >= _SMALLEST_B)
        b = torch.where(b.abs() >= _SMALLEST_B, b, torch.ones_like(b))
    changed = torch.where(moved, o + (rows - x0) / b, o).to(output.dtype)
    return (changed if rest is None else torch.cat([changed, rest], dim=1 + ensemble.axes.index("C"))), info


def predict_clean(
    model_output: torch.Tensor,
    sample: torch.Tensor,
    a: float | torch.Tensor,
    b: float | torch.Tensor,
    *,
    ensemble: Ensemble,
    bound: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> torch.Tensor | None:
    """The clean latent that a scheduler makes of a model output, x0 = a * sample + b * output, as it would use it.

    Args:
        model_output: As for `rewrite_output`, and so are all others.
        sample: Noisy latents.
        a: Factor of the sample.
        b: Factor of the model output.
        ensemble: How rows and axes are meant.
        bound: What the scheduler does to its predicted clean latent.

    Returns:
        (B * N, *axes), in float32 or wider; None where b is infinite.
    """
    if isinstance(b, float) and math.isinf(b):
        return None
    x, o = _widened(sample, _without_variance(model_output, sample, ensemble)[0])
    x0 = a * x + b * o
    return x0 if bound is None else bound(x0)


def _without_variance(
    model_output: torch.Tensor, sample: torch.Tensor, ensemble: Ensemble
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """(the prediction, the learned variance behind it in the channels, if there is one)."""
    channels = 1 + ensemble.axes.index("C")
    size = sample.shape[channels]
    if model_output.shape[channels] != 2 * size:
        return model_output, None
    output, rest = model_output.split(size, dim=channels)
    return output, rest


def _widened(sample: torch.Tensor, output: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    wide = torch.promote_types(torch.promote_types(sample.dtype, output.dtype), torch.float32)
    return sample.to(wide), output.to(wide)
