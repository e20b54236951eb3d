"""kds-ref on real photos: latent diffusion super-resolution, and Kernel Density Steering in any diffusers pipeline."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from real.plugin import particle_generators, repeat_for_particles, steer_scheduler, unsteer_scheduler

__all__ = ["particle_generators", "repeat_for_particles", "steer_scheduler", "unsteer_scheduler"]


def __getattr__(name: str) -> Any:
    """Import the plug-in, and torch with it, only when it is asked for: the command line answers at once."""
    if name in __all__:
        return getattr(import_module("real.plugin"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
