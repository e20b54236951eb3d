"""Restorations that draw nothing: interpolation, networks that answer once, and the classical fillings of holes.

They are lines of the studies like any other, without an ensemble and without an evaluation of the diffusion model: what
a user would pick instead of it. A line is there where its packages are installed and its network knows the degradation.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from real.alternatives.named import filler, installed, upscaler, versions
from real.bench.photo_sets import HOLES, digest_of
from real.models.regression import BUNDLED_REGRESSION, RegressionNetwork, load_regression, regress
from real.restorers.base import Restorer
from real.restorers.compare import bicubic
from real.restorers.inpainting import LatentInpainting, PipelineInpainting

__all__ = ["UNSAMPLED", "Unsampled", "regression_digest", "unsampled_for"]

REGRESSION = ("config.json", "model.safetensors")


@dataclass(frozen=True)
class Unsampled:
    """One way to restore without sampling.

    Attributes:
        label: What tables say.
        restore: (restorer) -> RGB uint8 (H, W, 3), from what the restorer is shown.
        depends: What its pictures depend on that the store's identity does not say: versions, a digest of weights.
        usable: Name of a degradation, or of a hole -> whether it can be used for photos made so.
    """

    label: str
    restore: Callable[[Restorer], np.ndarray]
    depends: Callable[[], str]
    usable: Callable[[str], bool]


def unsampled_for(degradation: str) -> tuple[str, ...]:
    """The names of those that can be used for photos made so; see `Unsampled.usable`."""
    return tuple(name for name, way in UNSAMPLED.items() if way.usable(degradation))


def _bicubic() -> Unsampled:
    return Unsampled(
        "bicubic interpolation", lambda restorer: bicubic(restorer.shown), str, lambda how: how not in HOLES
    )


def regression_digest() -> str:
    """Digest of the bundled regression network's files, so that rows of another one are noticed."""
    return digest_of([BUNDLED_REGRESSION / name for name in REGRESSION])


def _regression() -> Unsampled:
    return Unsampled(
        "the regression network, once",
        lambda restorer: regress(_regression_on(restorer.model.device), restorer.shown),
        regression_digest,
        lambda how: how == "simple",  # it was trained on this degradation alone
    )


@functools.cache
def _regression_on(device: torch.device) -> RegressionNetwork:
    return load_regression(device=device)


def _upscaling(name: str, label: str) -> Unsampled:
    return Unsampled(
        label,
        lambda restorer: _upscaler(name)(restorer.shown),
        lambda: _versions(name),
        lambda how: how not in HOLES and installed(name),
    )


def _filling(name: str, label: str) -> Unsampled:
    def restore(restorer: Restorer) -> np.ndarray:
        assert isinstance(restorer, LatentInpainting | PipelineInpainting)  # only these have a hole
        return filler(name)(restorer.image, restorer.mask)

    return Unsampled(label, restore, lambda: _versions(name), lambda how: how in HOLES and installed(name))


_upscaler = functools.cache(upscaler)  # Real-ESRGAN's weights are read once


def _versions(name: str) -> str:
    return " ".join(f"{package}={version}" for package, version in versions(name).items())


UNSAMPLED = {
    "bicubic": _bicubic(),
    "lanczos": _upscaling("lanczos", "Lanczos interpolation"),
    "regression": _regression(),
    "real-esrgan": _upscaling("real-esrgan", "Real-ESRGAN x4plus, once"),
    "biharmonic": _filling("biharmonic", "biharmonic filling"),
    "fast-marching": _filling("fast-marching", "fast-marching filling (OpenCV)"),
    "navier-stokes": _filling("navier-stokes", "Navier-Stokes filling (OpenCV)"),
}
