"""The rows of a batch that are particles: their random numbers, and inputs repeated for each of them.

Particle i of a seed draws from a generator of its own, the one that the initial noise of the samplers in `real` uses:
N = 5 is a prefix of N = 10, and no image depends on the others in its batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from real.plugin.layout import LAYOUTS

__all__ = ["check_num_particles", "particle_generators", "repeat_for_particles", "seeds_of"]


def particle_generators(
    num_particles: int,
    *,
    seed: int | Sequence[int] = 0,
    layout: str = "grouped",
    device: str = "cpu",
    stream: int | None = None,
    particles: Sequence[int] | None = None,
) -> list[torch.Generator]:
    """One generator per particle, for the `generator=` of a pipeline.

    With a single generator the noise of a particle depends on the size of the batch. With this list, particle i of an
    image starts from the noise of `real.sampling.initial_noise` for its seed, whatever N is and whatever images
    share the batch.

    Args:
        num_particles: N.
        seed: Seed of the image; a sequence gives one for each of B images, equal seeds give equal noise.
        layout: "grouped" (row b * N + i is particle i of image b) or "tiled" (row i * B + b is).
        device: Device of the generators; noise drawn on the CPU is the same on all machines.
        stream: None for the initial noise; any number gives other noise of the same particles.
        particles: Indices of the particles to draw, such as `particle_share(N)` where several processes share an
            ensemble; their noise is the one that they have in the whole. None: all.

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
    check_num_particles(num_particles)
    if layout not in LAYOUTS:
        raise ValueError(f"layout must be one of {', '.join(LAYOUTS)}, got {layout!r}")
    seeds = seeds_of(seed)
    chosen = list(range(num_particles) if particles is None else particles)
    whole = all(isinstance(i, int) and not isinstance(i, bool) for i in chosen)
    if not chosen or not whole or len(set(chosen)) < len(chosen) or not 0 <= min(chosen) <= max(chosen) < num_particles:
        raise ValueError(f"particles must be different whole numbers from 0 to {num_particles - 1}, got {particles!r}")

    pairs = [(s, i) for s in seeds for i in chosen]
    if layout == "tiled":
        pairs = [(s, i) for i in chosen for s in seeds]
    further = () if stream is None else (stream,)
    return [torch.Generator(device).manual_seed(_particle_seed(s, i, *further)) for s, i in pairs]


def _particle_seed(*key: int) -> int:
    """Seed of the generator for a seed and a particle; further numbers give it further streams."""
    # A hash of the numbers: neighbouring seeds and particles share nothing.
    return int(np.random.SeedSequence(list(key)).generate_state(1, np.uint64)[0]) % 2**63


def repeat_for_particles(value: object, num_particles: int) -> object:
    """Repeat a pipeline's input for the particles of each image, in the grouped layout.

    Pipelines with image conditions repeat those over the batch in another order (tiled) than prompts (grouped), so
    that two images with `num_images_per_prompt=2` get each other's masks. Repeating every input here and leaving
    `num_images_per_prompt` at 1 keeps them together: row b * N + i is particle i of image b.

    Args:
        value: Tensor (B, ...), list with one entry per image (prompts, pictures), or one prompt or picture.
        num_particles: N.

    Returns:
        A tensor (B * N, ...), or a list of B * N entries.

    Raises:
        TypeError: If value is None, a number or a mapping.
        ValueError: If num_particles is less than 1.

    Example:
        >>> repeat_for_particles(["a cat", "a dog"], 2)
        ['a cat', 'a cat', 'a dog', 'a dog']
    """
    check_num_particles(num_particles)
    if isinstance(value, torch.Tensor):
        return value.repeat_interleave(num_particles, dim=0)
    if isinstance(value, list | tuple):
        return [entry for entry in value for _ in range(num_particles)]
    if value is None or isinstance(value, int | float | dict):
        raise TypeError(f"value must be a tensor, a list, one prompt or one picture, got {type(value).__name__}")
    return [value] * num_particles


def check_num_particles(value: object) -> None:
    """ValueError unless the value is a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"num_particles must be a whole number of at least 1, got {value!r}")


def seeds_of(seed: int | Sequence[int]) -> tuple[int, ...]:
    """One seed per image; ValueError unless all are whole numbers that a generator takes."""
    seeds = tuple(seed) if isinstance(seed, Sequence) else (seed,)
    if not seeds or any(isinstance(s, bool) or not isinstance(s, int) or not 0 <= s < 2**63 for s in seeds):
        raise ValueError(f"seed must be a whole number from 0 to 2^63 - 1, or one for each image, got {seed!r}")
    return seeds
