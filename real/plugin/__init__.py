"""KDS in any diffusers pipeline: a scheduler that steers, and helpers around it.

`coefficients` and `families` know how every scheduler predicts the clean latent, `rewrite` changes a model output so
that it predicts the steered one, `ensemble` says which rows are particles of one image, `carrier` puts this inside a
live scheduler, `state` holds the options and what was seen.
"""

from real.plugin.carrier import is_steered, steer_scheduler, unsteer_scheduler
from real.plugin.ensemble import repeat_for_particles
from real.plugin.generators import particle_generators
from real.plugin.state import Choice, SteeringState, StepRecord

__all__ = [
    "Choice",
    "SteeringState",
    "StepRecord",
    "is_steered",
    "particle_generators",
    "repeat_for_particles",
    "steer_scheduler",
    "unsteer_scheduler",
]
