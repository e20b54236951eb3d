"""The processes that share one ensemble: who draws which particles, and how they see all of them.

KDS Eq. 7 and 9 (v1) need the whole ensemble, the network does not: every process (rank) of a torch.distributed group
runs the network on its share, and predictions are gathered where they are steered. With R processes, particle i of N
is particle i - r * N / R of rank r = floor(i * R / N). `sampling` and the plug-in call it; the core knows no processes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import distributed

from kds_ref import KernelDensitySteering
from real.errors import UserError
from real.parallel.collectives import RankError, broadcast, check_ready, collect, gather, text_of

__all__ = ["RankError", "Ranks", "SharedSteering", "particle_share"]

Info = TypeVar("Info")


class Ranks:
    """A torch.distributed process group, and this process in it.

    `agree`, `collect`, `broadcast`, `gather` and `steer` are collective calls: all processes of the group must make
    them, in the same order. Where one makes another call, all get an error.

    Args:
        process_group: `torch.distributed.group.WORLD` or of `torch.distributed.new_group`; None: the default group.

    Raises:
        TypeError: If process_group is no process group.
        ValueError: If this process is not in it.
        RuntimeError: If `torch.distributed.init_process_group` was not called. From collective calls, as RankError: a
            process ended, did not answer within the timeout of the group, or made another call.

    Notes:
        Copies share the group. A pickle keeps the default group only, which is then that of the process that loads it;
        another group cannot be pickled (TypeError).
    """

    def __init__(self, process_group: Any = None) -> None:
        check_ready()
        if process_group is distributed.group.WORLD:
            process_group = None
        if process_group is distributed.GroupMember.NON_GROUP_MEMBER:
            raise ValueError(
                "process_group must be a group that this process belongs to, got another; give it on members only"
            )
        if process_group is not None and not isinstance(process_group, distributed.ProcessGroup):
            raise TypeError(
                "process_group must be a group of torch.distributed, got a "
                f"{type(process_group).__name__}; pass torch.distributed.group.WORLD or one of new_group"
            )
        self.group = process_group

    @property
    def size(self) -> int:
        """Number of processes."""
        check_ready()
        return distributed.get_world_size(self.group)

    @property
    def rank(self) -> int:
        """This process, from 0 to size - 1."""
        check_ready()
        return distributed.get_rank(self.group)

    def share(self, num_particles: int) -> range:
        """The particles of this process.

        Raises:
            UserError: If the number of processes does not divide num_particles.
        """
        each, rest = divmod(num_particles, self.size)
        if rest:
            raise UserError(
                f"must be a multiple of {self.size}, the number of processes, got {num_particles}",
                argument="num_particles",
            )
        return range(self.rank * each, (self.rank + 1) * each)

    def agree(self, **values: object) -> None:
        """Compare values between the processes.

        Raises:
            UserError: On every process, if one differs; the message names it.
        """
        everyone = self.collect({name: text_of(value) for name, value in values.items()})
        for name in everyone[0]:
            texts = [one.get(name) for one in everyone]
            other = next((rank for rank, text in enumerate(texts) if text != texts[0]), None)
            if other is not None:
                raise UserError(
                    f"must be the same in all processes, got {texts[0]} on rank 0 and {texts[other]} on rank {other}",
                    argument=name,
                )

    def collect(self, value: Any) -> list[Any]:
        """Any picklable value of every process, in the order of ranks."""
        return collect(self.group, value)

    def broadcast(self, stage: str, x: torch.Tensor) -> torch.Tensor:
        """The tensor of rank 0, on every process; x has its shape and dtype."""
        return broadcast(self.group, stage, x)

    def gather(self, stage: str, x: torch.Tensor, axis: int) -> torch.Tensor:
        """The tensors of all ranks, joined along an axis, on every process; gradients do not pass."""
        return gather(self.group, stage, x, axis)

    def steer(
        self, steer: Callable[[torch.Tensor], tuple[torch.Tensor, Info]], x0_pred: torch.Tensor, axis: int
    ) -> tuple[torch.Tensor, Info]:
        """Steer the whole ensemble; this process's share of the axis of particles comes back and the info of all."""
        share = x0_pred.shape[axis]
        steered, info = steer(self.gather("x0_pred", x0_pred, axis))
        return steered.narrow(axis, self.rank * share, share), info

    def __copy__(self) -> Ranks:
        return self

    def __deepcopy__(self, memo: object) -> Ranks:
        return self

    def __getstate__(self) -> dict[str, None]:
        if self.group is not None:
            raise TypeError(
                "process_group must be the default group to be pickled, which is then that of the process that loads, "
                "got another; use unsteer_scheduler before pickling"
            )
        return {"group": None}


class SharedSteering:
    """`KernelDensitySteering` for a sampler that runs a share of the particles on each process.

    Attributes:
        steering: Options and schedule; below its cut-off nothing is exchanged.
        ranks: The processes.
    """

    def __init__(self, steering: KernelDensitySteering, ranks: Ranks) -> None:
        self.steering, self.ranks = steering, ranks

    @property
    def needs_alpha_bar(self) -> bool:
        """See `KernelDensitySteering.needs_alpha_bar`."""
        return self.steering.needs_alpha_bar

    def __call__(
        self, x0_pred: torch.Tensor, t: float, *, alpha_bar: float | None = None
    ) -> tuple[torch.Tensor, Any]:
        """(share, *sample) at timestep t -> the same of the steered ensemble, and the info of the whole."""
        steering = self.steering
        if steering.strength_at(t, alpha_bar=alpha_bar) == 0.0:
            return x0_pred, None
        return self.ranks.steer(lambda whole: steering(whole, t, alpha_bar=alpha_bar), x0_pred, 0)


def particle_share(num_particles: int, process_group: Any = None) -> range:
    """The particles that this process draws, where several share an ensemble: for `particle_generators`.

    Args:
        num_particles: N, of the whole ensemble.
        process_group: Process group, as of `steer_scheduler`; None: the default group.

    Returns:
        N / R consecutive numbers, those from rank * N / R on.

    Raises:
        RuntimeError: If `torch.distributed.init_process_group` was not called.
        ValueError: If the number of processes R does not divide N, or this process is not in the group.
    """
    return Ranks(process_group).share(num_particles)
