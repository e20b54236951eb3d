"""Settings of the toy experiment: the paper's values where it gives any, and the limits of each.

`experiment` reads them, `__main__` makes them from the command line.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import kds_ref

NUM_TRAIN_TIMESTEPS = 1000
MAX_SEED = 2**32 - 1
MAX_SEEDS = 5000
MAX_PARTICLES = 2000
MAX_TOTAL = 1_000_000  # seeds times particles: keeps memory below about 1 GiB
BANDWIDTHS = (1e-6, 1e6)  # below: no particle sees another; above: every particle sees all alike

SCHEDULES: dict[str, Callable[[int], kds_ref.NoiseSchedule]] = {
    "cosine": kds_ref.cosine_schedule,
    "linear": kds_ref.linear_schedule,
    "scaled_linear": kds_ref.scaled_linear_schedule,
}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of one experiment.

    PAPER-GAP: Fig. 2 comes with N = 50 and nothing else. Bandwidth, strength, cut-off and number of steps are
    those of the paper's other experiments. The cosine schedule makes t/T = 1 pure noise (alpha_bar = 2e-9; a
    latent diffusion model's schedule stops at 0.005) and shows the modes half formed at t/T = 0.5 (0.49).

    Args:
        seed: first seed, 0 to 2^32 - 1; repetition i draws its noise from default_rng(seed + i).
        n_seeds: number of independent repetitions, 1 to 5000.
        n_particles: particles N per seed, 1 to 2000; at most a million in all seeds.
        bandwidth: kernel bandwidth h, 1e-6 to 1e6, in the units of the plane (KDS Eq. 7 (v1)).
        strength: steering strength delta in [0, 1] (KDS Eq. 8 (v1)).
        cutoff: steering stops below this t/T, in [0, 1] (KDS Eq. 10 (v1)); 0 steers to the end.
        num_inference_steps: DDIM steps, 1 to 1000.
        schedule: noise schedule, "cosine", "linear" or "scaled_linear".

    Raises:
        ValueError: a value outside its range; the message starts with the name of the argument.
        TypeError: a number of something is not an int.

    Example:
        >>> Settings(n_particles=0)
        Traceback (most recent call last):
        ValueError: n_particles must lie between 1 and 2000, got 0
    """

    seed: int = 0
    n_seeds: int = 50
    n_particles: int = 50
    bandwidth: float = 0.3
    strength: float = 0.3
    cutoff: float = 0.3
    num_inference_steps: int = 50
    schedule: str = "cosine"

    def __post_init__(self) -> None:
        limits: dict[str, tuple[float, float]] = {
            "seed": (0, MAX_SEED),
            "n_seeds": (1, MAX_SEEDS),
            "n_particles": (1, MAX_PARTICLES),
            "bandwidth": BANDWIDTHS,
            "strength": (0, 1),
            "cutoff": (0, 1),
            "num_inference_steps": (1, NUM_TRAIN_TIMESTEPS),
        }

        for name in ("seed", "n_seeds", "n_particles", "num_inference_steps"):
            if type(getattr(self, name)) is not int:
                raise TypeError(f"{name} must be an int, got {getattr(self, name)!r}")
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:  # refuses NaN, too
                raise ValueError(f"{name} must lie between {low} and {high}, got {getattr(self, name)}")

        # Each within its limits, but together too much memory.
        if self.n_seeds * self.n_particles > MAX_TOTAL:
            total = self.n_seeds * self.n_particles
            raise ValueError(f"n_seeds times n_particles must be at most {MAX_TOTAL}, got {total}")

        if self.schedule not in SCHEDULES:
            raise ValueError(f"schedule must be one of {', '.join(SCHEDULES)}, got {self.schedule!r}")
