"""Steering over several processes: what they compare before a run, and how rows of all of them come together.

Each process's batch holds its share of the particles of every image. `step` and `state` come here only where
a scheduler has ranks; the exchange itself is `real.parallel.collectives`.
"""

from __future__ import annotations

import warnings
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import torch

from real.parallel.collectives import fingerprint
from real.parallel.ranks import Ranks
from real.plugin.layout import Layout

if TYPE_CHECKING:
    from real.plugin.state import SteeringState

__all__ = ["check_run", "gather_rows"]


def check_run(ranks: Ranks, scheduler: Any, state: SteeringState, sample: torch.Tensor) -> None:
    """Compare options, scheduler, timesteps and batch between the processes, at the first call of a run.

    Raises:
        ValueError: On every process, if something differs (the message names it), or the rows are no multiple of the
            share.

    Warns:
        UserWarning: If two processes start from the same noise, which makes one particle of two.
    """
    options = {f.name: getattr(state, f.name) for f in fields(state) if f.init and f.name not in ("ranks", "steering")}
    options |= {f.name: getattr(state.steering, f.name) for f in fields(state.steering)}
    config = {name: value for name, value in scheduler.config.items() if not name.startswith("_")}
    ranks.agree(
        **options,
        scheduler=type(scheduler).__name__,
        config=sorted(config.items()),
        timesteps=scheduler.timesteps,
        sample=tuple(sample.shape),
        dtype=sample.dtype,
    )

    share = len(state.particles)
    if len(sample) % share:
        raise ValueError(
            f"the batch of a process must have a multiple of its share of {share} particles (num_particles="
            f"{state.num_particles} over {ranks.size} processes) as rows, got {len(sample)} (sample of shape "
            f"{tuple(sample.shape)}); give every image as many rows as particle_share has particles"
        )

    # The noise itself is too much to compare; a fingerprint of each particle is enough.
    images = state.rows.split(sample)
    everyone = ranks.collect([[fingerprint(particle) for particle in image] for image in images])
    if any(_repeated([rank[image] for rank in everyone], share) for image in range(len(images))):
        warnings.warn(
            "processes start from the same noise, so that they draw the same particles; pass "
            "generator=particle_generators(N, particles=particle_share(N)) to the pipeline",
            stacklevel=5,
        )


def _repeated(starts: list[list[str]], share: int) -> bool:
    """Whether processes have a particle in common; not where a process starts its own particles alike on purpose."""
    own = [set(start) for start in starts]
    return all(len(start) == share for start in own) and len(set().union(*own)) < share * len(own)


def gather_rows(ranks: Ranks, rows: torch.Tensor, share: Layout) -> torch.Tensor:
    """Rows of this process's share -> the rows of the whole ensemble, in the order of the layout."""
    ensembles = ranks.gather("latents", share.split(rows), 1)  # (B, N, *sample)
    return Layout(ensembles.shape[1], share.layout, share.axes).join(ensembles)
