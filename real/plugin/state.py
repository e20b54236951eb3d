"""Options and state of one steered scheduler: when and how strongly it steers, what it saw, which particle it chooses.

KDS Eq. 8 to 10 (v1) as a scheduler's companion. `step` reads the options and writes down what happened; the user reads
it from `scheduler.kds`, and chooses with `select` (Eq. 9).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import torch

from kds_ref import KernelDensitySteering, SteeringInfo, select_particle
from real.parallel.ranks import Ranks
from real.plugin.call import HostTables
from real.plugin.layout import LAYOUTS, Layout, check_axes
from real.plugin.particles import check_num_particles, seeds_of
from real.plugin.sharing import gather_rows

__all__ = ["Choice", "SteeringState", "StepRecord"]

CUTOFF_SCALES = ("timestep", "noise", "step")
HAND_ON = ("all", "chosen")


class StepRecord(NamedTuple):
    """One call of `step`.

    Attributes:
        step: Number of the call in the run, from 0.
        timestep: Timestep as the pipeline gave it.
        position: What `cutoff` is compared with: t/T, the noise level, or the part of the steps to come.
        strength: delta of this call; 0 where nothing was steered.
        effective_particles: Mean over particles and locations of 1 / sum_k w_k^2, from 1 (every particle keeps to
            itself: the bandwidth is too small to steer) to N; None where nothing was steered.
        shift_norm: Mean length of the mean shift, before the strength, in units of the latent; None likewise.
        bandwidth: Mean of the h that was used, in units of the latent; None likewise.
    """

    step: int
    timestep: float
    position: float
    strength: float
    effective_particles: float | None = None
    shift_norm: float | None = None
    bandwidth: float | None = None


class Choice(NamedTuple):
    """The particle nearest to the mean of its ensemble, for each image: KDS Eq. 9 (v1).

    Attributes:
        particle: Index of the particle, (B,), from 0 to N - 1.
        rows: Row of the particle in the batch, (B,); in the whole ensemble's batch where several processes share it.
        latents: The chosen latents, (B, *sample).
    """

    particle: torch.Tensor
    rows: torch.Tensor
    latents: torch.Tensor


@dataclass(kw_only=True, eq=False)
class SteeringState:
    """What a steered scheduler carries as its attribute `kds`; `steer_scheduler` documents the options.

    Attributes:
        num_particles: N.
        steering: Bandwidth, strength, cut-off, patches and kernel. Its num_train_timesteps and sample_ndim play no
            part: positions and axes are those of the scheduler.
        cutoff_in: Scale of the cut-off: "timestep", "noise" or "step"; a `cutoff_nsr` of the steering becomes "noise".
        ramp: Width of the ramp around the cut-off.
        layout: Order of the rows: "grouped" or "tiled".
        axes: Axes of a row, or None for the usual ones of the scheduler.
        hand_on: What the last step returns: "all" rows or the "chosen" ones.
        seed: Seed for noise inside `step` where the pipeline gives no generator.
        ranks: The processes that share the ensemble, each with its share of the rows; None: this one has all.
        info: `kds_ref.SteeringInfo` of the last steered call, with axes images x frames x particles x locations.
        latents: All rows that the last call of `step` returned; where processes share the ensemble, its rows of all of
            them after the last step of a run, and those of this one before.
        x_t: Noisy latents that the last call of `step` got, one row per particle of this process.
        x0_pred: Clean latents that its model output predicted, before steering, likewise; None where the output says
            nothing of them (noise prediction at alpha_bar = 0).
        x0: Steered clean latents of the last steered call, a row a particle of this process; None: no call was steered.
        early: Particle of each image that `choose_early` lets go on, (B,); None: all still do.
        runs: Number of runs that were begun.
        calls: Number of calls of `step` in this run.
        index: Index of the last of them in the scheduler's timesteps; -1 before the first.
        ended: Whether the last step of this run was made.
    """

    num_particles: int
    steering: KernelDensitySteering = field(default_factory=KernelDensitySteering)
    cutoff_in: str = "timestep"
    ramp: float = 0.0
    layout: str = "grouped"
    axes: str | None = None
    hand_on: str = "all"
    seed: int | tuple[int, ...] | None = None
    ranks: Ranks | None = None

    info: SteeringInfo | None = field(default=None, init=False)
    latents: torch.Tensor | None = field(default=None, init=False)
    x_t: torch.Tensor | None = field(default=None, init=False)
    x0_pred: torch.Tensor | None = field(default=None, init=False)
    x0: torch.Tensor | None = field(default=None, init=False)
    early: torch.Tensor | None = field(default=None, init=False)
    generators: list[torch.Generator] | None = field(default=None, init=False)
    runs: int = field(default=0, init=False)
    index: int = field(default=-1, init=False)
    ended: bool = field(default=False, init=False)
    host: HostTables = field(default_factory=dict, init=False, repr=False)
    _whole: bool = field(default=False, init=False, repr=False)  # whether latents are gathered from all ranks
    _records: list[tuple[Any, ...]] = field(default_factory=list, init=False, repr=False)  # may hold tensors

    def __post_init__(self) -> None:
        """Check the options now, not at the first step of a long run."""
        check_num_particles(self.num_particles)
        if not isinstance(self.steering, KernelDensitySteering):
            raise TypeError(f"steering must be a KernelDensitySteering, got {type(self.steering).__name__}")

        # In the units of `step`: the noise level that the ratio means, and a tensor that the caller cannot change.
        if self.steering.cutoff_nsr is not None:
            self._read_cutoff_nsr(self.steering.cutoff_nsr)
        if isinstance(self.steering.bandwidth, np.ndarray):
            self.steering = replace(self.steering, bandwidth=_as_tensor(self.steering.bandwidth))

        for name, accepted in (("cutoff_in", CUTOFF_SCALES), ("layout", LAYOUTS), ("hand_on", HAND_ON)):
            if getattr(self, name) not in accepted:
                raise ValueError(f"{name} must be one of {', '.join(accepted)}, got {getattr(self, name)!r}")
        if isinstance(self.ramp, bool) or not isinstance(self.ramp, int | float) or not 0.0 <= self.ramp <= 1.0:
            raise ValueError(f"ramp must be a width in [0, 1] on the scale of cutoff (0: a step), got {self.ramp!r}")

        if self.axes is not None:
            check_axes(self.axes)
        if self.seed is not None:
            seeds = seeds_of(self.seed)
            self.seed = self.seed if isinstance(self.seed, int) else seeds
        if self.ranks is not None:
            self.ranks.share(self.num_particles)  # raises unless the processes divide N

    def _read_cutoff_nsr(self, ratio: float) -> None:
        """A noise-to-signal ratio r is the noise level r / sqrt(1 + r^2) of `cutoff_in="noise"`."""
        if self.cutoff_in != "timestep":
            raise ValueError(f"cutoff_in must be left out where cutoff_nsr is given, got {self.cutoff_in!r}")
        # Levels come in float32; neighbouring timesteps differ by more than this tolerance.
        least = ratio * (1.0 - 1e-4)
        self.steering = replace(self.steering, cutoff=least / math.hypot(1.0, least), cutoff_nsr=None)
        self.cutoff_in = "noise"

    @property
    def particles(self) -> range:
        """Indices of the particles among the rows of this process: all, or its share."""
        return range(self.num_particles) if self.ranks is None else self.ranks.share(self.num_particles)

    @property
    def rows(self) -> Layout:
        """Layout of this process's rows, whatever their axes."""
        return Layout(len(self.particles), self.layout, "C")

    @property
    def calls(self) -> int:
        """Number of calls of `step` in this run."""
        return len(self._records)

    @property
    def trace(self) -> list[StepRecord]:
        """One `StepRecord` per call of `step` since `set_timesteps`; numbers are brought from the device here."""
        # All in one transfer: each number by itself would wait for the device.
        waiting = [value for record in self._records for value in record if isinstance(value, torch.Tensor)]
        if waiting:
            numbers = iter(torch.stack(waiting).tolist())
            self._records = [
                tuple(next(numbers) if isinstance(value, torch.Tensor) else value for value in record)
                for record in self._records
            ]
        return [StepRecord(*record) for record in self._records]

    def reset(self) -> None:
        """Forget the run before; `set_timesteps` calls it."""
        self._records, self._whole, self.ended, self.index = [], False, False, -1
        self.runs += 1
        self.host.clear()
        self.info = self.latents = self.generators = self.early = None
        self.x_t = self.x0_pred = self.x0 = None

    def record(self, index: int, timestep: float, position: float, strength: float, info: SteeringInfo | None) -> None:
        """Write down a call of `step`. Numbers of info stay on their device: to read them would be to wait for it."""
        means: tuple[Any, ...] = ()
        if info is not None:
            h = info.bandwidth
            width = h.float().mean() if isinstance(h, torch.Tensor) else float(h)
            means = info.effective_particles.float().mean(), info.shift_norm.float().mean(), width
            self.info = info
        self._records.append((self.calls, timestep, position, strength if means else 0.0, *means))
        self.index = index

    def remember(self, rows: torch.Tensor) -> None:
        """Keep what `step` returned; after the last step of a run, of the whole ensemble."""
        self._whole = self.ended and self.ranks is not None
        if self.ranks is not None and self.ended:
            rows = gather_rows(self.ranks, rows, self.rows)
        self.latents = rows

    def select(self, latents: torch.Tensor | None = None) -> Choice:
        """Choose the particle nearest to the ensemble mean, for each image: KDS Eq. 9 (v1).

        Where processes share the ensemble, all of them get the same choice with its latents, by the whole ensemble.
        With latents given, every process must call it; without, after the last step, one alone may. After an early
        choice (`choose_early`) it is that one.

        Args:
            latents: Final latents (B * N, *sample), of a process that shares the ensemble those of its own rows; None:
                those that the last call of `step` returned. Pipelines that change latents after `step` (inpainting
                without a mask channel) must give theirs.

        Returns:
            A `Choice` with indices and latents of B images.

        Raises:
            RuntimeError: If nothing was sampled yet.
            ValueError: If N does not divide the rows.
        """
        rows = self.latents if latents is None else latents
        if rows is None:
            raise RuntimeError("nothing was sampled yet: run the pipeline first, or pass latents")
        if self.ranks is not None and not (latents is None and self._whole):
            rows = gather_rows(self.ranks, rows, self.rows)

        whole = Layout(self.num_particles, self.layout, "C")
        ensembles = whole.split(rows)  # (B, N, *sample)
        particle = select_particle(ensembles, sample_ndim=rows.ndim - 1) if self.early is None else self.early
        images = torch.arange(len(ensembles), device=particle.device)
        numbers = whole.split(torch.arange(len(rows), device=particle.device))  # (B, N), which row is whose
        return Choice(particle, numbers[images, particle], ensembles[images, particle])


def _as_tensor(bandwidth: np.ndarray) -> torch.Tensor:
    """The array as a tensor of its own; torch takes no negative strides, no foreign byte order and no long double."""
    dtype = np.float64 if bandwidth.dtype.itemsize > 8 else bandwidth.dtype.newbyteorder("=")
    return torch.from_numpy(np.array(bandwidth, dtype=dtype, order="C"))
