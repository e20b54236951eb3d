"""The experiment of the paper's Fig. 2: DDIM and DDIM + KDS from the same initial noise, over many seeds.

Calls the samplers of `kds_ref` (KDS Algorithm 2 (v1)) with the exact score of `mixture`. Seeds are a leading
axis: each seed is one ensemble with a generator of its own, and ensembles never mix.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

import kds_ref
from toy.mixture import Array, GaussianMixture, three_modes
from toy.settings import NUM_TRAIN_TIMESTEPS, SCHEDULES, Settings
from toy.statistics import TEST_NAME, ensemble_statistics, paired_difference, summarise

SNAPSHOT_FRACTIONS = (1.0, 0.5)  # t/T of the states kept on the way; the result, t/T = 0, is always kept


@dataclass(frozen=True)
class Snapshot:
    """Particles of all seeds at one moment: t/T (0 at the end), alpha_bar there, and x, (S, N, d)."""

    fraction: float
    alpha_bar: float
    x: Array


@dataclass(frozen=True)
class Run:
    """One method's run: name, cut-off (None for plain DDIM), steered steps, snapshots in time order."""

    name: str
    cutoff: float | None
    steered_steps: int
    snapshots: tuple[Snapshot, ...]


def initial_noise(settings: Settings, dimension: int) -> Array:
    """Return x_T, (S, N, d), standard normal; each seed has its own generator, filled particle by particle.

    So seed and particle alone decide a particle's noise: 5 particles are the first 5 of 10.
    """
    generators = [np.random.default_rng(settings.seed + index) for index in range(settings.n_seeds)]
    return np.stack([rng.standard_normal((settings.n_particles, dimension)) for rng in generators])


def run_method(
    mixture: GaussianMixture,
    settings: Settings,
    *,
    cutoff: float | None,
    on_step: Callable[[], None] | None = None,
) -> Run:
    """Run DDIM with the exact score, steered if a cut-off is given.

    Args:
        mixture: the target.
        settings: everything else; its own cut-off is not used.
        cutoff: t/T below which steering stops; None for plain DDIM.
        on_step: callback, called after every step, for progress.

    Returns:
        The run, with snapshots at t/T = 1, next to 0.5 and at 0.
    """
    schedule = SCHEDULES[settings.schedule](NUM_TRAIN_TIMESTEPS)
    timesteps = kds_ref.time_grid(settings.num_inference_steps, NUM_TRAIN_TIMESTEPS, spacing="trailing")
    wanted = {_nearest(timesteps, fraction) for fraction in SNAPSHOT_FRACTIONS}
    steering = None
    if cutoff is not None:
        steering = kds_ref.KernelDensitySteering(
            num_train_timesteps=NUM_TRAIN_TIMESTEPS,
            bandwidth=settings.bandwidth,
            strength=settings.strength,
            cutoff=cutoff,
            patch_size=None,  # the whole point is one patch
            sample_ndim=1,
        )

    # The callback sees the states before each step; the clean samples at the end are added below.
    snapshots: list[Snapshot] = []
    steered: list[int] = []

    def observe(state: kds_ref.SamplerState) -> None:
        if state.t in wanted:
            fraction = state.t / NUM_TRAIN_TIMESTEPS
            snapshots.append(Snapshot(fraction, float(state.alpha_bar), state.x_t.copy()))
        if state.info is not None:
            steered.append(state.t)
        if on_step is not None:
            on_step()

    result = kds_ref.ddim(
        lambda x_t, t: mixture.eps(x_t, alpha_bar=schedule.alpha_bar(t)),
        initial_noise(settings, mixture.dimension),
        schedule=schedule,
        timesteps=timesteps,
        steering=steering,
        callback=observe,
    )
    snapshots.append(Snapshot(0.0, 1.0, result.x0))
    name = "ddim" if cutoff is None else f"kds_cutoff_{cutoff:g}"
    return Run(name, cutoff, len(steered), tuple(snapshots))


def cutoffs(settings: Settings) -> tuple[float | None, ...]:
    """Return the methods of the experiment as cut-offs: plain DDIM (None), the given cut-off, and 0."""
    return (None, 0.0) if settings.cutoff == 0 else (None, settings.cutoff, 0.0)


def run_experiment(
    settings: Settings,
    *,
    mixture: GaussianMixture | None = None,
    on_step: Callable[[], None] | None = None,
) -> tuple[dict[str, Any], tuple[Run, ...]]:
    """Run every method from the same noise and measure it.

    Args:
        settings: settings of the experiment, see `Settings`.
        mixture: the target; None for `three_modes`.
        on_step: callback, called after each step of each method, for progress.

    Returns:
        The results as a dict that json can write (see `measure`), and the runs with their particles.

    Example:
        >>> results, runs = run_experiment(Settings(n_seeds=2, n_particles=5, num_inference_steps=10))
        >>> [run.name for run in runs]
        ['ddim', 'kds_cutoff_0.3', 'kds_cutoff_0']
    """
    target = three_modes() if mixture is None else mixture
    runs = tuple(run_method(target, settings, cutoff=cutoff, on_step=on_step) for cutoff in cutoffs(settings))
    return measure(settings, target, runs), runs


def measure(settings: Settings, mixture: GaussianMixture, runs: tuple[Run, ...]) -> dict[str, Any]:
    """Return settings, target and statistics; each number as mean over seeds, standard error, paired test."""
    baseline = ensemble_statistics(runs[0].snapshots[-1].x, mixture)
    return {
        "settings": asdict(settings) | {"num_train_timesteps": NUM_TRAIN_TIMESTEPS, "sampler": "ddim, eta 0"},
        "mixture": {
            "weights": mixture.weights.tolist(),
            "means": mixture.means.tolist(),
            "covariances": mixture.covariances.tolist(),
        },
        "test": TEST_NAME,
        "snapshots": [{"t_over_T": s.fraction, "alpha_bar": s.alpha_bar} for s in runs[0].snapshots],
        "target": target_statistics(mixture),
        "methods": {run.name: _measure_run(run, mixture, baseline) for run in runs},
    }


def target_statistics(mixture: GaussianMixture) -> dict[str, Any]:
    """Return what perfect samples of the target would give; its likelihood is the mean over 20000."""
    log_density = mixture.log_density(mixture.sample(20_000, np.random.default_rng(20251207)))
    traces = np.trace(mixture.covariances, axis1=1, axis2=2)
    return {
        "within_mode_variance": float(mixture.weights @ traces / mixture.dimension),
        "mode_shares": mixture.weights.tolist(),
        "mean_log_likelihood": float(log_density.mean()),
    }


def _measure_run(run: Run, mixture: GaussianMixture, baseline: dict[str, Array]) -> dict[str, Any]:
    values = ensemble_statistics(run.snapshots[-1].x, mixture)
    result: dict[str, Any] = {"cutoff": run.cutoff, "steered_steps": run.steered_steps}
    difference: dict[str, Any] = {}
    for name, per_seed in values.items():
        if per_seed.ndim == 1:
            result[name] = summarise(per_seed)
            difference[name] = paired_difference(per_seed, baseline[name])
        else:  # shares: one column per mode
            result[name] = [summarise(column) for column in per_seed.T]
            pairs = zip(per_seed.T, baseline[name].T, strict=True)
            difference[name] = [paired_difference(column, plain) for column, plain in pairs]
    if run.cutoff is not None:
        result["difference_to_ddim"] = difference
    return result


def _nearest(timesteps: tuple[int, ...], fraction: float) -> int:
    return min(timesteps, key=lambda t: abs(t - fraction * NUM_TRAIN_TIMESTEPS))
