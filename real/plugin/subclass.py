"""The class of a steered scheduler: a subclass of the original's class whose `step` rewrites the model output.

Everything that asks the scheduler what it is gets the answer of the original: name and module of the class,
signatures, length, configuration. `step` rewrites the output, `state` holds the options and what is remembered.
"""

from __future__ import annotations

import functools
import inspect
from typing import Any, ClassVar

import torch

from real.plugin.call import tables_on_host
from real.plugin.particles import particle_generators
from real.plugin.schedulers import Family, family_of
from real.plugin.state import SteeringState
from real.plugin.step import steer_step

__all__ = ["steered_scheduler_of"]


class Steered:
    """What a steered scheduler does; the class of diffusers comes after it in the bases."""

    kds: SteeringState
    kds_base: ClassVar[Any]
    kds_family: ClassVar[Family]
    kds_signature: ClassVar[inspect.Signature]

    def __new__(cls, *args: Any, **options: Any) -> Any:
        """`type(steered).from_config(...)` is not steered: give back what it says it is."""
        return cls.kds_base(*args, **options)

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        return steered_scheduler_of, (self.kds_base, dict(self.__dict__))

    def _steered_step(self, *args: Any, **options: Any) -> Any:
        """Steer the model output, let the original make its step, and keep what comes out."""
        call = self.kds_signature.bind(self, *args, **options)
        dtype = call.arguments["model_output"].dtype
        steer_step(self, self.kds_family, self.kds, call.arguments)
        self._fill_generator(call.arguments)
        result = self.kds_base.step(*call.args, **call.kwargs)
        return self._keep(result, dtype)

    def _fill_generator(self, arguments: dict[str, Any]) -> None:
        """Give `step` a generator for each row where the pipeline has none to give and `seed` asks for it."""
        state = self.kds
        takes_one = "generator" in self.kds_signature.parameters
        given = arguments.get("generator") is not None or arguments.get("variance_noise") is not None
        if state.seed is None or given or not takes_one:
            return
        if state.generators is None:
            images = len(state.rows.split(arguments["sample"]))
            seeds = (state.seed,) * images if isinstance(state.seed, int) else state.seed
            if len(seeds) != images:
                raise ValueError(f"seed must hold one number for each of the {images} images, got {len(seeds)} numbers")
            state.generators = particle_generators(
                state.num_particles, seed=seeds, layout=state.layout, stream=1, particles=state.particles
            )
        arguments["generator"] = state.generators

    def _keep(self, result: Any, dtype: torch.dtype) -> Any:
        """Keep the latents of a step; after the last one hand on only the chosen ones, if that was asked for."""
        state = self.kds
        rows = result[0] if isinstance(result, tuple) else result.prev_sample
        # Where the output was rewritten in float32, `step` gives that back and not the precision of the pipeline.
        handed = rows.to(dtype) if self.kds_family.upcasts and rows.dtype == torch.float32 else rows
        state.remember(handed.detach())
        if state.ended and state.hand_on == "chosen":
            handed = state.select().latents

        if handed is rows:
            return result
        if isinstance(result, tuple):
            return (handed, *result[1:])
        result.prev_sample = handed
        return result


class SteeredParallel(Steered):
    """Of schedulers that can also make steps of many timesteps at once."""

    def batch_step_no_noise(self, *args: Any, **options: Any) -> Any:
        """The original's, as long as nothing is to be steered: rows of many timesteps are no ensemble."""
        strength = self.kds.steering.strength
        if strength > 0.0:
            raise TypeError(
                f"strength must be 0 for batch_step_no_noise, whose rows of many timesteps are no ensemble, got "
                f"{strength}; use unsteer_scheduler first"
            )
        return self.kds_base.batch_step_no_noise(self, *args, **options)


def steered_scheduler_of(base: type, attributes: dict[str, Any]) -> Any:
    """An instance of the steered subclass of `base`; what pickle and deepcopy call."""
    scheduler: Any = object.__new__(_steered_class(base))
    scheduler.__dict__.update(attributes)
    return scheduler


@functools.cache
def _steered_class(base: Any) -> type:
    """The subclass; one for each base, so that copies are of the same type. Methods have the original's signatures."""
    kind: Any = SteeredParallel if hasattr(base, "batch_step_no_noise") else Steered

    class Subclass(kind, base):
        __doc__ = base.__doc__
        kds_base, kds_family, kds_signature = base, family_of(base), inspect.signature(base.step)

        @functools.wraps(base.step)
        def step(self, *args: Any, **options: Any) -> Any:
            return self._steered_step(*args, **options)

        @functools.wraps(base.set_timesteps)
        def set_timesteps(self, *args: Any, **options: Any) -> Any:
            self.kds.reset()
            result = super().set_timesteps(*args, **options)
            self.kds.host = tables_on_host(self)
            return result

    Subclass.__name__, Subclass.__qualname__, Subclass.__module__ = base.__name__, base.__qualname__, base.__module__
    return Subclass
