"""What every result file says of how it came about: settings, model, versions, command."""

from __future__ import annotations

import hashlib
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

__all__ = ["describe", "mean_with_error", "weights_digest"]


def mean_with_error(values: np.ndarray) -> dict[str, float | None]:
    """Mean over photos, (n,), and its standard error, rounded to four digits after the point.

    Numbers that are not finite are left out (NaN and infinity). Without any the mean is None, for one photo the error.
    """
    values = values[np.isfinite(values)]
    if not len(values):
        return {"mean": None, "standard_error": None}
    error = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
    return {"mean": round(float(values.mean()), 4), "standard_error": None if error is None else round(error, 4)}


def describe(settings: Settings, model: Model, command: str) -> dict[str, Any]:
    """Settings (as they were used), model, versions, command; nothing that changes between runs."""
    # None stands for the model's own bandwidth and grid. Of the two cut-offs one is used.
    used = asdict(settings)
    used["bandwidth"] = model.bandwidth if settings.bandwidth is None else settings.bandwidth
    if settings.sampler == "ddim" and settings.spacing is None:
        used["spacing"] = getattr(model, "timestep_spacing", None)  # pipelines keep it in their scheduler
    if settings.cutoff_nsr is not None:
        used["cutoff"] = None

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


def weights_digest(model: Model) -> str | None:
    """Digest of the weights of a model in a folder, so that another one under its name is noticed; None with a commit.

    It takes half a second per gigabyte and more: for folders of rows, not for single photos.
    """
    if model.commit is not None:
        return None
    digest = hashlib.sha256()
    owner = getattr(model, "pipe", model)  # of a pipeline of diffusers the networks are there
    for name in ("unet", "controlnet", "vae", "vqvae", "text_encoder", "cleaner"):
        network = getattr(owner, name, None)
        network = getattr(network, "model", network) if name == "cleaner" else network  # spandrel's holds the network
        for key, value in network.state_dict().items() if isinstance(network, torch.nn.Module) else ():
            digest.update(f"{name}.{key} {value.dtype} {tuple(value.shape)}".encode())
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()[:16]
