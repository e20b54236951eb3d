"""One answer of many particles: any of them, the one nearest to the mean, the mean, and what lies between.

`choose` is KDS Eq. 9 (v1). A picture is a group of neighbouring cases, and whether it is chosen as a whole or patch
by patch is what the paper's choice depends on most.
"""

from __future__ import annotations

import numpy as np

import kds_ref
from toy.mixture import Array


def choose(particles: Array, *, group: int = 1) -> Array:
    """Choose one particle for each picture: KDS Eq. 9 (v1).

    Args:
        particles: (B, N, d).
        group: how many neighbouring cases make a picture, for all of which the same particle is chosen; divides B.

    Returns:
        The chosen, (B, 1, d).

    Raises:
        ValueError: group does not divide B.

    Example:
        Patch by patch the particles nearest to the means 2 and 1; as one picture, particle 0 for both.

        >>> import numpy as np
        >>> particles = np.array([[[0.0], [1.9], [4.1]], [[1.0], [2.0], [0.0]]])
        >>> choose(particles).ravel().tolist(), choose(particles[:, ::-1], group=2).ravel().tolist()
        ([1.9, 1.0], [1.9, 2.0])
    """
    cases, n, dimension = particles.shape
    if cases % group:
        raise ValueError(f"group must divide the number of cases {cases}, got {group}")
    pictures = particles.reshape(-1, group, n, dimension).swapaxes(1, 2)  # (pictures, N, group, d)
    index = kds_ref.select_particle(pictures.reshape(len(pictures), n, -1), sample_ndim=1)
    return particles[np.arange(cases), np.repeat(index, group)][:, None]


def shrink(particles: Array, chosen: Array, gamma: float) -> Array:
    """Move the chosen particle towards the average: mean + gamma (chosen - mean), (B, 1, d).

    Args:
        particles: (B, N, d).
        chosen: (B, 1, d).
        gamma: 1 is the chosen particle, 0 the average.

    Example:
        >>> import numpy as np
        >>> particles = np.array([[[0.0], [3.0]]])
        >>> shrink(particles, particles[:, 1:], 0.5).item()
        2.25
    """
    mean = particles.mean(axis=1, keepdims=True)
    return mean + gamma * (chosen - mean)


def answers(particles: Array, *, group: int) -> dict[str, Array]:
    """Return every way to answer with an ensemble, (B, answers, d) each; of one particle there is one way.

    random: each particle, so that means over them are those of a random one; chosen: one for each picture;
    chosen_by_patch: one for each case; average; halfway: from the chosen one to the average.
    """
    if particles.shape[1] == 1:
        return {"random": particles}
    chosen = choose(particles, group=group)
    return {
        "random": particles,
        "chosen": chosen,
        "chosen_by_patch": choose(particles),
        "average": particles.mean(axis=1, keepdims=True),
        "halfway": shrink(particles, chosen, 0.5),
    }
