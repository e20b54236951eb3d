"""The names that `real` offers; lazy_loader reads them here, and so do type checkers."""

from .api import inpaint, open_model, super_resolve
from .errors import UserError
from .parallel.ranks import particle_share
from .plugin import choosing_callback, particle_generators, repeat_for_particles, steer_scheduler, unsteer_scheduler
from .plugin.batching import split_batches, unsplit_batches
from .plugin.early import choose_early, unchoose_early
from .restorers.base import Restoration
from .settings import Settings

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
