"""KDS in any diffusers pipeline: a scheduler that steers, and helpers around it.

One `step` of a steered scheduler: `subclass` (in place of the original's) -> `step` (x0, steered, and the output that
predicts it) -> `call` and `coefficients` (how this scheduler predicts x0) -> `layout` (which rows are particles of one
image) -> `kds_ref.steer`. `scheduler` makes one, `schedulers` is the table of families, `state` holds the options and
what was seen. Around it: `particles` (random numbers, repeated inputs), `choosing` (before decoding), `batching`
(little memory) and `early` (early choice), which are `network_hooks`, `sharing` (several processes), `modular` (a
block for modular pipelines). `modular` and the hooks are not imported here: they load large parts of diffusers.
"""

from real.plugin.choosing import choosing_callback
from real.plugin.particles import particle_generators, repeat_for_particles
from real.plugin.scheduler import is_steered, steer_scheduler, unsteer_scheduler
from real.plugin.state import Choice, SteeringState, StepRecord

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
