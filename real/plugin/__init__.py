"""KDS in any diffusers pipeline: a scheduler that steers, and helpers around it.

`coefficients` and `families` know how every scheduler predicts the clean latent, `rewrite` changes a model output so
that it predicts the steered one, `ensemble` says which rows are particles of one image, `call` does one step with
these, `carrier` puts that inside a live scheduler (`modular` into a modular loop), `state` holds the options and what
was seen, in `records`. Around it: `sharing` (several processes), `generators`, `pipelines` (choosing before decoding),
`batching` (many particles, little memory).
`modular` and `batching` are not imported here: they load large parts of diffusers.
"""

from real.plugin.carrier import is_steered, steer_scheduler, unsteer_scheduler
from real.plugin.ensemble import repeat_for_particles
from real.plugin.generators import particle_generators
from real.plugin.pipelines import choosing_callback
from real.plugin.records import Choice, StepRecord
from real.plugin.state import SteeringState

__all__ = [
    "Choice",
    "SteeringState",
    "StepRecord",
    "choosing_callback",
    "is_steered",
    "particle_generators",
    "repeat_for_particles",
    "steer_scheduler",
    "unsteer_scheduler",
]
