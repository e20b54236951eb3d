"""Coefficients of a scheduler that is not in the table: read off its own step, run on tensors of one element."""

from __future__ import annotations

import copy
from typing import Any

import torch

from real.plugin.call import Call
from real.plugin.coefficients import Coefficients

__all__ = ["probe", "try_probe"]

_SMALL = 1e-3  # so that clipping to [-1, 1] is not met


def probe(call: Call) -> Coefficients:
    """Read c_skip = x0(1, 0) and c_out = x0(0, 1) off the scheduler's step in its present state, which stays."""
    scheduler = call.scheduler
    plain = getattr(type(scheduler), "kds_base", type(scheduler))
    given = {name: value for name, value in call.arguments.items() if name not in ("self", "generator")}

    def x0(sample: float, output: float) -> float:
        numbers = {"sample": sample, "model_output": output}
        tensors = {n: torch.full((1, 1, 1, 1), v, dtype=torch.float32, device="cpu") for n, v in numbers.items()}
        with torch.random.fork_rng(devices=[]):  # the run's own random numbers stay as they are
            result = plain.step(copy.deepcopy(scheduler), **{**given, **tensors, "return_dict": True})
        return float(result.pred_original_sample)

    c_skip, c_out = x0(_SMALL, 0.0) / _SMALL, x0(0.0, _SMALL) / _SMALL
    # Two coefficients describe the step only if x0 is linear in both.
    expected, found = (2.0 * c_skip + 3.0 * c_out) * _SMALL, x0(2.0 * _SMALL, 3.0 * _SMALL)
    if abs(found - expected) > 1e-4 * (abs(c_skip) + abs(c_out)) * _SMALL or x0(0.0, 0.0) != 0.0:
        raise ValueError(
            f"pred_original_sample must be linear in sample and model_output, got other values at t={call.t:g}"
        )

    total = getattr(call.config, "num_train_timesteps", None)
    time = None if total is None else call.t / total
    return Coefficients(c_skip, c_out, None, time if time is not None and 0.0 <= time <= 1.0 else None)


def try_probe(scheduler: Any) -> None:
    """Probe the first step of a short run on a copy; raises whatever goes wrong."""
    copied = copy.deepcopy(scheduler)
    copied.set_timesteps(4)
    probe(Call(copied, {"timestep": copied.timesteps[0]}, {}))
