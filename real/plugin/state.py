"""Options and state of one steered scheduler: when and how strongly it steers, what it saw, whom it chooses.

KDS Eq. 8 to 10 (v1) as a scheduler's companion. `carrier` calls it from inside `step`; the mathematics is
`kds_ref.steer`, `steering_strength` and `select_particle`.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from kds_ref import Kernel, KernelDensitySteering, SteeringInfo, select_particle, steer, steering_strength
from real.parallel.ranks import Ranks
from real.plugin.coefficients import Coefficients
from real.plugin.ensemble import LAYOUTS, Ensemble, check_axes
from real.plugin.records import Choice, StepRecord
from real.plugin.sharing import gather_rows

__all__ = ["CUTOFF_SCALES", "HAND_ON", "SteeringState"]

CUTOFF_SCALES = ("timestep", "noise", "step")
HAND_ON = ("all", "chosen")


@dataclass(kw_only=True)
class SteeringState:
    """What a steered scheduler carries as its attribute `kds`; `steer_scheduler` documents the options.

    Attributes:
        num_particles: N.
        bandwidth: h, as a number, the name of a rule or a tensor.
        strength: delta in [0, 1].
        cutoff: Where on the scale `cutoff_in` steering stops.
        cutoff_in: "timestep", "noise" or "step".
        ramp: Width of the ramp around the cut-off.
        patch_size: Side of the patches; None: the whole sample.
        stride: Distance between patches.
        kernel: Weights of the mean shift.
        scale_with_dimension: Multiply h by the root of the patch's dimension.
        layout: "grouped" or "tiled".
        axes: Axes of a row, or None for the usual ones of the scheduler.
        hand_on: "all" or "chosen": what the last step returns.
        seed: For noise inside `step` where the pipeline gives no generator.
        ranks: The processes that share the ensemble, each with its share of the rows; None: this one has all.
        trace: One `StepRecord` a call of `step` since `set_timesteps`.
        info: `kds_ref.SteeringInfo` of the last steered call, with axes images x frames x particles x locations.
        latents: All rows that the last call of `step` returned; where processes share the ensemble, its rows of all of
            them after the last step of a run, and those of this one before.
        x_t: Noisy latents that the last call of `step` got, a row a particle of this process.
        x0_pred: Clean latents that its model output predicted, before steering, likewise; None where the output says
            nothing of them (noise prediction at alpha_bar = 0).
        x0: Steered clean latents of the last steered call, a row a particle of this process; None: no call was steered.
        early: Particle of each image that `choose_early` lets go on, (B,); None: all still do.
    """

    num_particles: int
    bandwidth: float | str | Any = 0.3
    strength: float = 0.3
    cutoff: float = 0.3
    cutoff_in: str = "timestep"
    ramp: float = 0.0
    patch_size: int | None = 1
    stride: int | None = None
    kernel: str | Kernel = "gaussian"
    scale_with_dimension: bool = False
    layout: str = "grouped"
    axes: str | None = None
    hand_on: str = "all"
    seed: int | tuple[int, ...] | None = None
    ranks: Ranks | None = None
    trace: list[StepRecord] = field(default_factory=list, init=False)
    info: SteeringInfo | None = field(default=None, init=False)
    latents: torch.Tensor | None = field(default=None, init=False)
    x_t: torch.Tensor | None = field(default=None, init=False)
    x0_pred: torch.Tensor | None = field(default=None, init=False)
    x0: torch.Tensor | None = field(default=None, init=False)
    early: torch.Tensor | None = field(default=None, init=False)
    generators: list[torch.Generator] | None = field(default=None, init=False)
    whole: bool = field(default=False, init=False)  # whether latents are gathered from all ranks

    def __post_init__(self) -> None:
        """Check the options now, not at the first step of a long run."""
        _check_whole("num_particles", self.num_particles)
        if isinstance(self.bandwidth, np.ndarray):
            self.bandwidth = torch.from_numpy(self.bandwidth)
        KernelDensitySteering(
            bandwidth=self.bandwidth,
            strength=self.strength,
            cutoff=self.cutoff,
            patch_size=self.patch_size,
            stride=self.stride,
            kernel=self.kernel,
            scale_with_dimension=self.scale_with_dimension,
        )
        for name, accepted in (("cutoff_in", CUTOFF_SCALES), ("layout", LAYOUTS), ("hand_on", HAND_ON)):
            if getattr(self, name) not in accepted:
                raise ValueError(f"{name} is {getattr(self, name)!r}; known: {', '.join(accepted)}")
        if isinstance(self.ramp, bool) or not isinstance(self.ramp, int | float) or not 0.0 <= self.ramp <= 1.0:
            raise ValueError(f"ramp is {self.ramp!r}; give a width in [0, 1] on the scale of cutoff (0: a step)")
        if self.axes is not None:
            check_axes(self.axes)
        self.seed = _check_seed(self.seed)
        if self.ranks is not None:
            self.ranks.share(self.num_particles)

    @property
    def particles(self) -> range:
        """The particles among the rows of this process: all, or its share."""
        return range(self.num_particles) if self.ranks is None else self.ranks.share(self.num_particles)

    def reset(self) -> None:
        """Forget the run before; `set_timesteps` calls it."""
        self.trace, self.whole = [], False
        self.info = self.latents = self.generators = self.early = None
        self.x_t = self.x0_pred = self.x0 = None

    def remember(self, rows: torch.Tensor, last: bool) -> None:
        """Keep what `step` returned; after the last step of a run, of the whole ensemble."""
        self.whole = last and self.ranks is not None
        if self.ranks is not None and last:
            rows = gather_rows(self.ranks, rows, Ensemble(len(self.particles), self.layout, "C"))
        self.latents = rows

    def delta(self, coefficients: Coefficients, index: int, count: int) -> tuple[float, float]:
        """(position, strength) of a call: KDS Eq. 10 (v1) on the chosen scale, with the ramp around the cut-off."""
        left = 1.0 - index / count
        position: float | None = left
        if self.cutoff_in == "noise":
            position = coefficients.noise
            if position is None:
                raise ValueError("cutoff_in is 'noise', which is not known of a probed scheduler; use 'step'")
        elif self.cutoff_in == "timestep" and coefficients.time is not None:
            position = coefficients.time
        position = min(max(float(position or 0.0), 0.0), 1.0)
        return position, self.strength * self.part(position)

    def part(self, position: float) -> float:
        """Part of the strength at a position: 1 inside the steering window, 0 behind it, in between on a ramp."""
        if self.ramp == 0.0:
            nearly = min(position + 1e-9, 1.0)  # t/T == cutoff steers, whatever rounding makes of either
            return float(steering_strength(nearly, 1, strength=1.0, cutoff=self.cutoff))
        part = min(max((position - self.cutoff) / self.ramp + 0.5, 0.0), 1.0)
        return part if part > 1e-9 else 0.0

    def steer_x0(self, x0_pred: torch.Tensor, strength: float, ensemble: Ensemble) -> tuple[torch.Tensor, SteeringInfo]:
        """`kds_ref.steer` with these options, at the strength of this call."""
        bandwidth = self.bandwidth
        if isinstance(bandwidth, torch.Tensor):
            bandwidth = bandwidth.to(x0_pred.device)
        steered = functools.partial(
            steer,
            bandwidth=bandwidth,
            strength=strength,
            patch_size=self.patch_size,
            stride=self.stride,
            kernel=self.kernel,
            sample_ndim=ensemble.sample_ndim,
            scale_with_dimension=self.scale_with_dimension,
        )
        if self.ranks is None:
            x0_steered, info = steered(x0_pred)
        else:
            x0_steered, info = self.ranks.steer(steered, x0_pred, -1 - ensemble.sample_ndim)
        self.x0 = ensemble.from_steer(x0_steered)
        return x0_steered, info

    def ensemble(self, sample: torch.Tensor, usual: Any) -> Ensemble:
        """How the rows and axes of a sample are meant; `usual` are the scheduler's axes by their number."""
        axes = self.axes or usual.get(sample.ndim - 1)
        if axes is None or len(axes) != sample.ndim - 1:
            raise ValueError(
                f"sample has shape {tuple(sample.shape)}, a batch of samples with {sample.ndim - 1} axes, and axes is "
                f"{axes!r}; name each axis of a sample, e.g. axes='CHW' or 'LC'"
            )
        if "C" in axes and "L" in axes and axes.index("L") < axes.index("C") and self.patch_size not in (1, None):
            raise ValueError(
                f"patch_size is {self.patch_size} but the sample of shape {tuple(sample.shape)} is a set of tokens "
                f"(axes {axes!r}), which have no neighbours here; use patch_size=1 or None"
            )
        return Ensemble(len(self.particles), self.layout, axes)

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
        if self.ranks is not None and not (latents is None and self.whole):
            rows = gather_rows(self.ranks, rows, Ensemble(len(self.particles), self.layout, "C"))
        ensemble = Ensemble(self.num_particles, self.layout, self.axes or "C")
        ensembles = ensemble.split(rows)  # (B, N, *sample)
        particle = select_particle(ensembles, sample_ndim=rows.ndim - 1) if self.early is None else self.early
        images = torch.arange(len(ensembles), device=particle.device)
        numbers = ensemble.split(torch.arange(len(rows), device=particle.device))  # (B, N), which row is whose
        return Choice(particle, numbers[images, particle], ensembles[images, particle])


def _check_whole(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} is {value!r}; give a whole number of at least 1")


def _check_seed(seed: Any) -> int | tuple[int, ...] | None:
    if seed is None:
        return None
    seeds = (seed,) if isinstance(seed, int) else tuple(seed)
    if not seeds or any(isinstance(s, bool) or not isinstance(s, int) or not 0 <= s < 2**63 for s in seeds):
        raise ValueError(f"seed is {seed!r}; give a whole number from 0 to 2^63 - 1, or one for each image")
    return seed if isinstance(seed, int) else seeds
