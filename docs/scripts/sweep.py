"""The data of the explorable page: the toy's runs over a grid of settings, from one noise.

The page shows DDIM and DDIM + KDS (KDS Algorithms 1 and 2 (v1)) side by side and computes nothing: every position
and every number on it was computed here and is looked up there. `packing` writes what `explore` returns as one
small file, and `explorable` puts that where the site finds it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

import numpy as np
from mistakes import MISTAKES

import kds_ref
from toy.experiment import initial_noise
from toy.mixture import Array, GaussianMixture, three_modes
from toy.settings import NUM_TRAIN_TIMESTEPS, SCHEDULES, Settings
from toy.statistics import Indices, within_mode_variance


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """The grid of settings that the page offers; every combination is run.

    Args:
        n_particles: numbers of particles N, see `Settings`; smaller ensembles are the first of the larger.
        bandwidths: bandwidths h, in the units of the plane.
        strengths: strengths delta in [0, 1]; 0 is run like the others and must come out as DDIM.
        cutoffs: t/T below which steering stops, in [0, 1]; the paper's 0.3, and 0.
        seed: of the one ensemble's noise.
        num_inference_steps: DDIM steps.
        every: steps between two pictures, counted back from the last step and with the noise added: with 50 steps
            2 keeps the moment t/T = 0.3 at which the paper's cut-off takes hold. Divides num_inference_steps.
        schedule: name of the noise schedule, see `Settings`.

    Raises:
        ValueError: a value outside its range, no value at all, or an `every` that does not divide the steps.
        TypeError: a number of something is not an int.

    Example:
        >>> Sweep(cutoffs=())
        Traceback (most recent call last):
        ValueError: cutoffs must hold at least one value, got ()
    """

    n_particles: tuple[int, ...] = (5, 10, 20, 50)
    bandwidths: tuple[float, ...] = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0)
    strengths: tuple[float, ...] = (0.0, 0.1, 0.3, 0.6, 1.0)
    cutoffs: tuple[float, ...] = (0.3, 0.0)
    seed: int = 0
    num_inference_steps: int = 50
    every: int = 2
    schedule: str = "cosine"

    def __post_init__(self) -> None:
        for name in ("n_particles", "bandwidths", "strengths", "cutoffs"):
            if not getattr(self, name):
                raise ValueError(f"{name} must hold at least one value, got {getattr(self, name)}")
        for n, h, strength, cutoff in product(self.n_particles, self.bandwidths, self.strengths, self.cutoffs):
            Settings(**self._common(n), bandwidth=h, strength=strength, cutoff=cutoff)
        if type(self.every) is not int:
            raise TypeError(f"every must be an int, got {self.every!r}")
        if self.every < 1 or self.num_inference_steps % self.every:
            raise ValueError(f"every must divide num_inference_steps = {self.num_inference_steps}, got {self.every}")

    def _common(self, n_particles: int) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "n_seeds": 1,
            "n_particles": n_particles,
            "num_inference_steps": self.num_inference_steps,
            "schedule": self.schedule,
        }

    def noise(self, n_particles: int, dimension: int) -> Array:
        """Return x_T, (N, d), of the first N particles."""
        return initial_noise(Settings(**self._common(n_particles)), dimension)[0]

    def timesteps(self) -> tuple[int, ...]:
        """Return the training timesteps of the DDIM steps, descending."""
        return kds_ref.time_grid(self.num_inference_steps, NUM_TRAIN_TIMESTEPS, spacing="trailing")

    def kept(self) -> tuple[int, ...]:
        """Return the timesteps of the pictures but the last, descending; a picture shows the state before a step."""
        timesteps = self.timesteps()
        return tuple(dict.fromkeys((timesteps[0], *timesteps[self.every - 1 :: self.every])))

    def alpha_bars(self) -> tuple[float, ...]:
        """Return alpha_bar of every picture, (F,); the last one is the result's, 1."""
        schedule = SCHEDULES[self.schedule](NUM_TRAIN_TIMESTEPS)
        return (*(float(schedule.alpha_bar(t)) for t in self.kept()), 1.0)

    def fractions(self) -> tuple[float, ...]:
        """Return t/T of every picture, (F,), from (T - 1)/T down to 0."""
        return (*(t / NUM_TRAIN_TIMESTEPS for t in self.kept()), 0.0)

    def steered(self, cutoff: float) -> tuple[bool, ...]:
        """Return whether KDS Eq. 10 (v1) steers the step from each picture, (F,), given a strength above 0."""
        kept = self.kept()
        return (*(kds_ref.steering_strength(t, NUM_TRAIN_TIMESTEPS, cutoff=cutoff) > 0 for t in kept), False)


@dataclass(frozen=True)
class Ways:
    """The ways of one ensemble from noise to data, one for each of B bandwidths, in F pictures.

    Attributes:
        x: the particles x_t, (F, B, N, d); the last picture is the result.
        clean: the clean points that the model predicts for them, (F, B, N, d); in the last picture the result itself.
        shifted: those after a full mean shift at this bandwidth, (F, B, N, d).
        effective_particles: (F, B): 1 / sum_k w_ik^2 of the predicted clean points at this bandwidth, mean over
            the particles; measured whether or not the step from there is steered.
        counts: (B, K): particles that end in each mode.
        variance: (F, B): variance of x within the modes, per axis; a particle belongs to the mode where it ends.
    """

    x: Array
    clean: Array
    shifted: Array
    effective_particles: Array
    counts: Indices
    variance: Array


def follow(
    mixture: GaussianMixture,
    sweep: Sweep,
    *,
    n_particles: int,
    strength: float = 0.0,
    cutoff: float | None = None,
    mistake: str | None = None,
) -> Ways:
    """Run DDIM once for every bandwidth of the sweep, all from the same noise.

    Args:
        mixture: the target.
        sweep: bandwidths, noise and times.
        n_particles: N.
        strength: delta in [0, 1] (KDS Eq. 8 (v1)).
        cutoff: t/T below which steering stops (KDS Eq. 10 (v1)); None for plain DDIM, where the bandwidth serves
            for the effective particles only.
        mistake: a name in `mistakes.MISTAKES`, to run that instead of KDS.

    Returns:
        The ways; see there.
    """
    bandwidths = np.asarray(sweep.bandwidths)
    options: dict[str, Any] = {"bandwidth": bandwidths, "patch_size": None, "sample_ndim": 1}
    steering = kds_ref.KernelDensitySteering(
        num_train_timesteps=NUM_TRAIN_TIMESTEPS, strength=strength, cutoff=0.0 if cutoff is None else cutoff, **options
    )
    schedule = SCHEDULES[sweep.schedule](NUM_TRAIN_TIMESTEPS)
    if mistake is not None:
        wrong = MISTAKES[mistake](schedule, sweep.timesteps())
        steering = wrong.steering(bandwidths, strength=strength, cutoff=0.0 if cutoff is None else cutoff)
    kept = sweep.kept()
    pictures: list[tuple[Array, Array]] = []  # x_t and the predicted clean points

    def observe(state: kds_ref.SamplerState) -> None:
        if state.t in kept:
            pictures.append((state.x_t.copy(), state.x0_pred.copy()))

    noise = sweep.noise(n_particles, mixture.dimension)
    result = kds_ref.ddim(
        lambda x_t, t: mixture.eps(x_t, alpha_bar=schedule.alpha_bar(t)),
        np.tile(noise, (bandwidths.size, 1, 1)),  # (B, N, d)
        schedule=schedule,
        timesteps=sweep.timesteps(),
        steering=None if cutoff is None else steering,
        callback=observe,
    ).x0
    pictures.append((result, result))
    modes = mixture.responsibilities(result).argmax(axis=-1)  # (B, N)
    # With strength 0 `steer` moves nothing and still measures: (B, N, 1) effective particles.
    infos = [kds_ref.steer(x0_pred, strength=0.0, **options)[1] for _, x0_pred in pictures]
    return Ways(
        x=np.stack([x for x, _ in pictures]),
        clean=np.stack([x0_pred for _, x0_pred in pictures]),
        shifted=np.stack([kds_ref.steer(x0_pred, strength=1.0, **options)[0] for _, x0_pred in pictures]),
        effective_particles=np.stack([info.effective_particles.mean(axis=(1, 2)) for info in infos]),
        counts=(modes[..., None] == np.arange(mixture.n_components)).sum(axis=1),
        variance=np.stack([within_mode_variance(x, modes, mixture.n_components) for x, _ in pictures]),
    )


def explore(sweep: Sweep, *, mixture: GaussianMixture | None = None) -> dict[int, list[Ways]]:
    """Run the whole grid.

    Args:
        sweep: the grid.
        mixture: the target; None for `three_modes`.

    Returns:
        For each N the ways of plain DDIM, then of every cut-off and strength in the order of
        `product(sweep.cutoffs, sweep.strengths)`.

    Example:
        >>> sweep = Sweep(n_particles=(5,), bandwidths=(0.3,), strengths=(0.3,), num_inference_steps=4)
        >>> plain, early, to_the_end = explore(sweep)[5]
        >>> plain.x.shape  # pictures, bandwidths, particles, axes
        (4, 1, 5, 2)
    """
    target = three_modes() if mixture is None else mixture
    return {
        n: [
            follow(target, sweep, n_particles=n),
            *(
                follow(target, sweep, n_particles=n, strength=strength, cutoff=cutoff)
                for cutoff, strength in product(sweep.cutoffs, sweep.strengths)
            ),
        ]
        for n in sweep.n_particles
    }


def explore_mistakes(
    sweep: Sweep, *, strength: float = 0.3, mixture: GaussianMixture | None = None
) -> dict[int, list[Ways]]:
    """Run the wrong implementations, all with one strength.

    Returns:
        For each N the ways in the order of `product(MISTAKES, sweep.cutoffs)`.
    """
    target = three_modes() if mixture is None else mixture
    return {
        n: [
            follow(target, sweep, n_particles=n, strength=strength, cutoff=cutoff, mistake=name)
            for name, cutoff in product(MISTAKES, sweep.cutoffs)
        ]
        for n in sweep.n_particles
    }


def settings_of(sweep: Sweep, mixture: GaussianMixture) -> dict[str, Any]:
    """Return every setting of the data, for the file: the sweep, the sampler, the target and our version."""
    return asdict(sweep) | {
        "num_train_timesteps": NUM_TRAIN_TIMESTEPS,
        "sampler": "ddim, eta 0",
        "kds_ref": kds_ref.__version__,
        "mixture": {
            "weights": mixture.weights.tolist(),
            "means": mixture.means.tolist(),
            "covariances": mixture.covariances.tolist(),
        },
    }
