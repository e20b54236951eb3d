"""Random numbers that belong to a particle, not to its place in a batch.

Particle i of a seed draws from a generator of its own, the one that `real.sampling.initial_noise` uses: N = 5 is a
prefix of N = 10, and no image of a batch knows of the others.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

__all__ = ["particle_generators"]


def particle_generators(
    num_particles: int,
    *,
    seed: int | Sequence[int] = 0,
    layout: str = "grouped",
    device: str = "cpu",
    stream: int | None = None,
    particles: Sequence[int] | None = None,
) -> list[torch.Generator]:
    """One generator a particle, for the `generator=` of a pipeline.

    With a single generator the noise of a particle depends on the size of the batch. With this list, particle i of an
    image starts from the noise of `real.sampling.initial_noise` for its seed, whatever N is and whatever images
    share the batch.

    Args:
        num_particles: N.
        seed: Of the image; a sequence gives one for each of B images, equal seeds give equal noise.
        layout: "grouped" (row b * N + i is particle i of image b) or "tiled" (row i * B + b is).
        device: Of the generators; noise drawn on the CPU is the same on all machines.
        stream: None for the initial noise; any number gives other noise of the same particles.
        particles: Only these of the N, such as `particle_share(N)` where several processes share an ensemble; their
            noise is the one that they have in the whole. None: all.

    Returns:
        B * N generators in the order of the rows; with particles that many in place of N.

    Raises:
        ValueError: If an argument is out of range.

    Example:
        >>> few, many = particle_generators(2, seed=7), particle_generators(3, seed=7)
        >>> [g.initial_seed() for g in few] == [g.initial_seed() for g in many][:2]
        True
        >>> [g.initial_seed() for g in particle_generators(3, seed=7, particles=range(2, 3))] == [
        ...     g.initial_seed() for g in many[2:]
        ... ]
        True
    """
    if isinstance(num_particles, bool) or not isinstance(num_particles, int) or num_particles < 1:
        raise ValueError(f"num_particles is {num_particles!r}; give a whole number of at least 1")
    if layout not in ("grouped", "tiled"):
        raise ValueError(f"layout is {layout!r}; known: grouped, tiled")
    seeds = [seed] if isinstance(seed, int) else list(seed)
    if not seeds or any(isinstance(s, bool) or not isinstance(s, int) or not 0 <= s < 2**63 for s in seeds):
        raise ValueError(f"seed is {seed!r}; give a whole number from 0 to 2^63 - 1, or one for each image")
    chosen = list(range(num_particles) if particles is None else particles)
    whole = all(isinstance(i, int) and not isinstance(i, bool) for i in chosen)
    if not chosen or not whole or len(set(chosen)) < len(chosen) or not 0 <= min(chosen) <= max(chosen) < num_particles:
        raise ValueError(f"particles is {particles!r}; give different whole numbers from 0 to {num_particles - 1}")
    pairs = [(s, i) for s in seeds for i in chosen]
    if layout == "tiled":
        pairs = [(s, i) for i in chosen for s in seeds]
    further = () if stream is None else (stream,)
    return [torch.Generator(device).manual_seed(_particle_seed(s, i, *further)) for s, i in pairs]


def _particle_seed(*key: int) -> int:
    """Seed of the generator for a seed and a particle; further numbers give it further streams."""
    return int(np.random.SeedSequence(list(key)).generate_state(1, np.uint64)[0]) % 2**63
