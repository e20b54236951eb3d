"""What every result file says of how it came about: settings, model, versions, command."""

from __future__ import annotations

import platform
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import diffusers
import numpy as np
import torch

import kds_ref
from real.models.base import Model
from real.settings import Settings

__all__ = ["describe", "mean_with_error"]


def mean_with_error(values: np.ndarray) -> dict[str, float | None]:
    """Mean over photos, (n,), and its standard error (None for one photo), rounded to four digits after the point."""
    error = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
    return {"mean": round(float(values.mean()), 4), "standard_error": None if error is None else round(error, 4)}


def describe(settings: Settings, model: Model, command: str) -> dict[str, Any]:
    """Settings (with the bandwidth that was used), model, versions, command; nothing that changes between runs."""
    used = asdict(settings)
    used["bandwidth"] = model.bandwidth if settings.bandwidth is None else settings.bandwidth
    return {
        "command": command,
        "settings": used,
        **model.describe(),
        "versions": {
            "kds_ref": kds_ref.__version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "torch": torch.__version__,
            "diffusers": diffusers.__version__,
            **{package: version(package) for package in model.packages},
        },
    }
