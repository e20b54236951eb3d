"""What all parts of `gpu` use: how large everything is, in full or only to see that it runs, and the clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import torch

from real.bench.memory import clock

__all__ = ["FULL", "TINY", "Sizes", "Timer"]


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How large everything is.

    Attributes:
        shapes: (N, C, H, W) of the latents that are steered.
        particles: N where a network runs, too.
        channels: Channels of the first level of the networks with random weights; 320 is the full size.
        side: Side of their latents.
        steps: Steps of a run.
        backbone_particles: N of DiffBIR and SeeSR.
        photo: Side of the low-resolution photo of the bundled model.
        repeats: Repetitions of each run.
    """

    shapes: tuple[tuple[int, int, int, int], ...]
    particles: int
    channels: int
    side: int
    steps: int
    backbone_particles: tuple[int, ...]
    photo: int
    repeats: int


FULL = Sizes(
    shapes=((10, 4, 64, 64), (50, 4, 64, 64), (10, 16, 128, 128)),
    particles=10,
    channels=320,
    side=64,
    steps=50,
    backbone_particles=(1, 5, 10),
    photo=64,
    repeats=3,
)
TINY = Sizes(
    shapes=((2, 4, 8, 8), (3, 4, 8, 8)),
    particles=2,
    channels=32,
    side=8,
    steps=2,
    backbone_particles=(1,),
    photo=8,
    repeats=1,
)


class Timer:
    """Seconds of work on a device, from when it is idle until it is idle again."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def now(self) -> float:
        """Wait for the device, then look at the clock."""
        return clock(self.device)

    def once(self, work: Callable[[], object]) -> float:
        """Seconds of one call."""
        start = self.now()
        work()
        return self.now() - start

    def each(self, work: Callable[[], object], *, calls: int = 20, repeats: int = 5) -> float:
        """Median seconds of one of many calls that follow each other without waiting, after a first one."""
        work()

        def many() -> None:
            for _ in range(calls):
                work()

        return median(self.once(many) for _ in range(repeats)) / calls
