"""kds-ref on real photos: latent diffusion super-resolution, and Kernel Density Steering in any diffusers pipeline."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from real.plugin import (
        choosing_callback,
        particle_generators,
        repeat_for_particles,
        steer_scheduler,
        unsteer_scheduler,
    )
    from real.plugin.batching import split_batches, unsplit_batches
    from real.ranks import particle_share

__all__ = [
    "choosing_callback",
    "particle_generators",
    "particle_share",
    "repeat_for_particles",
    "split_batches",
    "steer_scheduler",
    "unsplit_batches",
    "unsteer_scheduler",
]
_HOMES = {
    "particle_share": "real.ranks",
    "split_batches": "real.plugin.batching",
    "unsplit_batches": "real.plugin.batching",
}


def __getattr__(name: str) -> Any:
    """Import the plug-in, and torch with it, only when it is asked for: the command line answers at once."""
    if name in __all__:
        return getattr(import_module(_HOMES.get(name, "real.plugin")), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
