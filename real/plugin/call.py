"""One call of a scheduler's `step`: which timestep it is, and the numbers that are read for it.

Everything is read on the host, without waiting for an accelerator where that can be avoided: a table that lies there is
copied once per run, and a timestep is recognised by its place in the scheduler's timesteps, or brings its number along.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, TypeAlias

import torch

__all__ = ["Call", "HostTables", "tables_on_host", "timestep_on"]

HostTables: TypeAlias = dict[str, tuple[torch.Tensor, torch.Tensor]]  # name -> (the table, its copy)


def tables_on_host(scheduler: Any) -> HostTables:
    """Copies of a scheduler's tables that lie on an accelerator, made before a run, so that no step waits for them."""
    tables = {name: value for name, value in vars(scheduler).items() if isinstance(value, torch.Tensor)}
    return {n: (table, table.cpu()) for n, table in tables.items() if table.ndim == 1 and table.device.type != "cpu"}


def timestep_on(device: torch.device | str, t: int) -> torch.Tensor:
    """A timestep on a device, for a network; its number goes with it, so that `Call` reads it without waiting."""
    timestep = torch.full((), t, device=device)  # networks send a plain number to the device, and wait for it
    timestep.kds_number = t  # type: ignore[attr-defined]
    return timestep


class Call:
    """One call of a scheduler's `step`, and the numbers that are read for it.

    Args:
        scheduler: Any scheduler of diffusers (whose annotations are not followed), before the call.
        arguments: Arguments of `step`, by name.
        host: Copies of the scheduler's tables in the processor's memory, by name. One that is missing, or was made of
            another table, is made here and kept for the next call.
        previous: Index of the call before in the scheduler's timesteps; -1 at the first.
    """

    def __init__(
        self,
        scheduler: Any,
        arguments: Mapping[str, Any],
        host: HostTables,
        previous: int = -1,
    ) -> None:
        self.scheduler, self.config, self.arguments = scheduler, scheduler.config, arguments
        self._host, self._previous = host, previous

    def table(self, name: str) -> torch.Tensor:
        """A table of the scheduler or among the arguments, such as sigmas, in the processor's memory."""
        own = hasattr(self.scheduler, name)
        table: torch.Tensor = getattr(self.scheduler, name) if own else self.arguments[name]
        if table.device.type == "cpu":
            return table
        if name not in self._host or self._host[name][0] is not table:
            self._host[name] = table, table.cpu()
        return self._host[name][1]

    def read(self, name: str, index: int | None = None) -> float:
        """Number of a table, at the index of this call unless another is given."""
        return float(self.table(name)[self.index if index is None else index])

    @cached_property
    def t(self) -> float:
        """The timestep; of equal timesteps for all rows, which some pipelines give, the first."""
        t = self.arguments["timestep"]
        if not isinstance(t, torch.Tensor):
            return float(t)
        if hasattr(t, "kds_number"):
            return float(t.kds_number)
        place = None if t.device.type == "cpu" else self.place
        return float(t.flatten()[0]) if place is None else self.read("timesteps", place)

    @property
    def time(self) -> float:
        """t/T."""
        return self.t / float(self.config.num_train_timesteps)

    @cached_property
    def index(self) -> int:
        """Index of this call in the scheduler's timesteps: its own, where it keeps one."""
        own = getattr(self.scheduler, "step_index", None)
        if own is not None:
            return int(own)
        if self.place is not None:
            return self.place
        apart = (self.table("timesteps") - self.t).abs()
        nearest: list[int] = (apart == apart.min()).nonzero().flatten().tolist()
        return next((i for i in nearest if i > self._previous), nearest[0])  # a timestep may occur twice

    @cached_property
    def place(self) -> int | None:
        """Index of the timestep if it is an element of the scheduler's timesteps, seen from where it lies in memory.

        Pipelines hand on elements of `scheduler.timesteps`, also expanded to all rows; their values need no reading.
        """
        t, grid = self.arguments["timestep"], self.scheduler.timesteps
        if not isinstance(t, torch.Tensor) or t.numel() == 0 or t.dtype != grid.dtype or grid.ndim != 1:
            return None
        one = t[(0,) * t.ndim]
        if one.untyped_storage()._cdata != grid.untyped_storage()._cdata:
            return None
        place, rest = divmod(one.storage_offset() - grid.storage_offset(), max(grid.stride(0), 1))
        return place if rest == 0 and 0 <= place < len(grid) else None


def usual_start(scheduler: Any, timestep: Any) -> None:
    """Set the step index as `step` would, where the scheduler keeps one and it is not set yet."""
    if getattr(scheduler, "step_index", 0) is None:
        scheduler._init_step_index(timestep)


def start_at_zero(scheduler: Any, timestep: Any) -> None:
    """Like `usual_start`, for schedulers whose runs always begin with the first timestep."""
    if scheduler.step_index is None:
        scheduler._step_index = 0


def start_for_timestep(scheduler: Any, timestep: Any) -> None:
    """Like `usual_start`, for schedulers that look the timestep up at every call."""
    scheduler._step_index_for(timestep)


def no_start(scheduler: Any, timestep: Any) -> None:
    """Nothing to set, for schedulers without a step index."""


def usual_position(call: Call) -> tuple[int, int]:
    """(index of this call in the run, number of calls): one for each timestep."""
    return call.index, len(call.scheduler.timesteps)


def position_before_the_end(call: Call) -> tuple[int, int]:
    """Like `usual_position`; the last timestep is where the last step ends."""
    return call.index, len(call.scheduler.timesteps) - 1


def given_position(call: Call) -> tuple[int, int]:
    """Like `usual_position`, but given by the pipeline."""
    return int(call.arguments["cur_sampling_step"]), len(call.arguments["all_timesteps"])
