"""Coefficients of a scheduler that is not in the table: read off its own step, run on tensors of one element."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch

from real.plugin.coefficients import Coefficients

__all__ = ["probe", "try_probe"]

_SMALL = 1e-3  # so that clipping to [-1, 1] is not met


def probe(scheduler: Any, arguments: Mapping[str, Any]) -> Coefficients:
    """Read a = x0(1, 0) and b = x0(0, 1) off the scheduler's step in its present state, which stays as it is."""

    def x0(sample: float, output: float) -> float:
        copied = copy.deepcopy(scheduler)
        plain = getattr(type(scheduler), "kds_base", type(scheduler))
        values = {name: torch.full((1, 1, 1, 1), v) for name, v in (("sample", sample), ("model_output", output))}
        given = {name: value for name, value in arguments.items() if name not in ("self", "generator")}
        with torch.random.fork_rng(devices=[]):  # the run's own random numbers stay as they are
            result = plain.step(copied, **{**given, **values, "return_dict": True})
        return float(result.pred_original_sample)

    a, b = x0(_SMALL, 0.0) / _SMALL, x0(0.0, _SMALL) / _SMALL
    expected, found = (2.0 * a + 3.0 * b) * _SMALL, x0(2.0 * _SMALL, 3.0 * _SMALL)
    if abs(found - expected) > 1e-4 * (abs(a) + abs(b)) * _SMALL or x0(0.0, 0.0) != 0.0:
        raise ValueError(f"pred_original_sample is not linear in sample and model_output at {arguments['timestep']}")
    total = getattr(scheduler.config, "num_train_timesteps", None)
    time = None if total is None else float(arguments["timestep"]) / total
    return Coefficients(a, b, None, time if time is not None and 0.0 <= time <= 1.0 else None)


def try_probe(scheduler: Any) -> None:
    """Probe the first step of a short run on a copy; raises whatever goes wrong."""
    copied = copy.deepcopy(scheduler)
    copied.set_timesteps(4)
    probe(copied, {"timestep": copied.timesteps[0]})
