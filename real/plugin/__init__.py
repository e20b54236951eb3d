"""KDS in any diffusers pipeline: a scheduler that steers, and helpers around it.

One `step` of a steered scheduler is `step` (x0, steered, and the output that predicts it) -> `coefficients` (how this
scheduler predicts x0, in numbers that `call` reads) -> `layout` (which rows are particles of one image) ->
`kds_ref.steer` -> `state` (the options, and what was seen). `scheduler` makes one, of a class by `subclass`;
`schedulers` is the table of families. Around it: `particles` (random numbers, repeated inputs), `choosing` (before
decoding), `batching` (little memory) and `early` (early choice), which are `network_hooks`, `sharing` (several
processes), `modular` (a block for modular pipelines). `modular` and the hooks are not imported here: they load large
parts of diffusers.
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
