"""The class of a steered scheduler: a subclass of the original's class whose `step` is `step.steered_step`.

Everything that asks the scheduler what it is gets the answer of the original: name and module of the class,
signatures, length, configuration.
"""

from __future__ import annotations

import functools
import inspect
from typing import Any, ClassVar

from real.plugin.call import tables_on_host
from real.plugin.schedulers import Family, family_of
from real.plugin.state import SteeringState
from real.plugin.step import steered_step

__all__ = ["steered_scheduler_of"]


class Steered:
    """What a steered scheduler is besides the original, whose class comes after it in the bases."""

    kds: SteeringState
    kds_base: ClassVar[Any]
    kds_family: ClassVar[Family]
    kds_signature: ClassVar[inspect.Signature]

    def __new__(cls, *args: Any, **options: Any) -> Any:
        """`type(steered).from_config(...)` is not steered: give back what it says it is."""
        return cls.kds_base(*args, **options)

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        return steered_scheduler_of, (self.kds_base, dict(self.__dict__))


class SteeredParallel(Steered):
    """Mixin for schedulers that can also make steps of many timesteps at once."""

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
            return steered_step(self, self.kds_signature.bind(self, *args, **options))

        @functools.wraps(base.set_timesteps)
        def set_timesteps(self, *args: Any, **options: Any) -> Any:
            self.kds.reset()
            result = super().set_timesteps(*args, **options)
            self.kds.host = tables_on_host(self)
            return result

    Subclass.__name__, Subclass.__qualname__, Subclass.__module__ = base.__name__, base.__qualname__, base.__module__
    return Subclass
