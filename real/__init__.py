"""kds-ref on real photos: latent diffusion super-resolution, and Kernel Density Steering in any diffusers pipeline."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from real.api import inpaint, open_model, super_resolve
    from real.errors import UserError
    from real.parallel.ranks import particle_share
    from real.plugin import (
        choosing_callback,
        particle_generators,
        repeat_for_particles,
        steer_scheduler,
        unsteer_scheduler,
    )
    from real.plugin.batching import split_batches, unsplit_batches
    from real.plugin.early import choose_early, unchoose_early
    from real.restorers.base import Restoration
    from real.settings import Settings

__all__ = [
    "Restoration",
    "Settings",
    "UserError",
    "choose_early",
    "choosing_callback",
    "inpaint",
    "open_model",
    "particle_generators",
    "particle_share",
    "repeat_for_particles",
    "split_batches",
    "steer_scheduler",
    "super_resolve",
    "unchoose_early",
    "unsplit_batches",
    "unsteer_scheduler",
]
_HOMES = {
    "Restoration": "real.restorers.base",
    "Settings": "real.settings",
    "UserError": "real.errors",
    "choose_early": "real.plugin.early",
    "inpaint": "real.api",
    "open_model": "real.api",
    "particle_share": "real.parallel.ranks",
    "split_batches": "real.plugin.batching",
    "super_resolve": "real.api",
    "unchoose_early": "real.plugin.early",
    "unsplit_batches": "real.plugin.batching",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for, and torch with it, only then: the command line answers at once."""
    if name in __all__:
        return getattr(import_module(_HOMES.get(name, "real.plugin")), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
