"""The plane of distortion and perception: squared error against the distance to the posterior, with the known optimum.

For every posterior with variance V in all, answers whose law has the 2-Wasserstein distance W to it have an expected
squared error of at least V + max(sqrt(V) - W, 0)^2, see `theory.best_error`. With one Gaussian as prior the law of
an answer's error is the same for every measurement, so that its covariance is known well and W with it (Gelbrich's
formula). With the mixture, W is bounded from below by the sliced distance, for which the same optimum holds; it is
measured with many ensembles of a few posteriors.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from toy.mixture import Array, GaussianMixture
from toy.posterior.answers import answers, shrink
from toy.posterior.batch import PosteriorBatch
from toy.posterior.methods import Method, Steering, run
from toy.posterior.scores import gelbrich_distance, sliced_distance

ENSEMBLES = 64  # of each posterior of the mixture
POSTERIORS = 8
DIRECTIONS = 64
REFERENCE = 100  # exact samples for each answer that is compared with them
GAMMAS = (0.0, 0.25, 0.5, 0.75)


def bound_lines() -> list[Method]:
    """Return the methods that the plane shows."""
    wanted = {
        "plain": None,
        "KDS h=0.3 to 0.3": Steering(),
        "KDS h=0.3 to 0": Steering(cutoff=0.0),
        "KDS h=1 to 0.3": Steering(bandwidth=1.0),
        "KDS h=1 to 0": Steering(bandwidth=1.0, cutoff=0.0),
        "KDS h=3 to 0, patch 8": Steering(bandwidth=3.0, cutoff=0.0, patch_size=8),
    }
    methods = [Method(name=name, steering=steering) for name, steering in wanted.items()]
    return [*methods, Method(name="HDS below 0.3", hds=0.3), Method(name="renoised mean at 0.3", renoise=0.3)]


def single_gaussian(mixture: GaussianMixture) -> GaussianMixture:
    """Return the one Gaussian with the mixture's mean and covariance."""
    return GaussianMixture(np.ones(1), mixture.mean()[None], mixture.covariance()[None])


def gaussian_line(posterior: PosteriorBatch, method: Method | None, noise: Array, exact: Array) -> dict[str, Any]:
    """Place a method's answers in the plane, where the posterior is one Gaussian.

    Args:
        posterior: posterior with one component.
        method: how to sample; None takes the exact samples.
        noise: (N_max, B, d).
        exact: exact samples, (B, N, d).

    Returns:
        Answer -> error and distance, both for each value of a sample (squared error over d, W over sqrt(d)).

    Raises:
        ValueError: the posterior has several components.
    """
    if posterior.log_weights.shape[1] != 1:
        raise ValueError(f"posterior must have one component, got {posterior.log_weights.shape[1]}")
    particles = exact if method is None else run(method, posterior, noise)
    mean, covariance = posterior.mean()[:, None], posterior.covariances[0]
    found = {}
    for name, answer in _plane_answers(particles, mean).items():
        rest = (answer.astype(np.float64) - mean).reshape(-1, posterior.dimension)
        distance = gelbrich_distance(rest.mean(0), covariance, np.cov(rest.T, bias=True))
        error = (rest**2).sum(1).mean() + np.trace(covariance)
        found[name] = _point(error, distance, posterior.dimension)
    return found


def mixture_line(
    posterior: PosteriorBatch, method: Method | None, *, seed: int, ensembles: int = ENSEMBLES
) -> dict[str, Any]:
    """Place a method's answers in the plane, where the posteriors are mixtures.

    Of every ensemble one answer counts, also of its particles, so that all have the same number of samples and the
    distance of exact samples, which is not 0 for that reason, is a yardstick for all.

    Args:
        posterior: a few posteriors.
        method: how to sample; None takes exact samples.
        seed: seed of noise, directions and exact samples.
        ensembles: how many for each posterior.

    Returns:
        What `gaussian_line` returns; errors and squared distances are means over the posteriors.
    """
    noise_rng, direction_rng, exact_rng = (np.random.default_rng([seed, stream]) for stream in range(3))
    cases, dimension = posterior.n_cases, posterior.dimension
    repeated = posterior.take(np.repeat(np.arange(cases), ensembles))
    directions = direction_rng.standard_normal((DIRECTIONS, dimension))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)

    if method is None:
        particles = repeated.sample(10, exact_rng)
    else:
        shape = (method.particles + 1, len(repeated.means), dimension)
        particles = run(method, repeated, noise_rng.standard_normal(shape, dtype=np.float32))
    named = _plane_answers(particles, repeated.mean()[:, None])
    squared = dict.fromkeys(named, 0.0)
    for case in range(cases):
        reference = posterior.take(slice(case, case + 1)).sample(ensembles * REFERENCE, exact_rng)[0]
        for name, answer in named.items():
            own = answer[case * ensembles : (case + 1) * ensembles, 0].astype(np.float64)
            squared[name] += sliced_distance(own, reference, directions) ** 2 / cases

    found = {}
    for name, answer in named.items():
        # The truth is a sample of the posterior: the error against it is that against the mean, plus the variance.
        to_mean = ((answer.astype(np.float64) - repeated.mean()[:, None]) ** 2).sum(-1).mean()
        error = to_mean + posterior.total_variance().mean()
        found[name] = _point(float(error), float(np.sqrt(squared[name])), dimension)
    return found


def _plane_answers(particles: Array, exact_mean: Array) -> dict[str, Array]:
    """The answers of an ensemble, and a particle moved towards the exact mean: the optimum, if it is a sample."""
    found = answers(particles, group=1)
    found.pop("chosen_by_patch", None)  # every patch is its own picture here
    for gamma in GAMMAS:
        found[f"random, {gamma:g} of the way from the exact mean"] = exact_mean + gamma * (particles - exact_mean)
    if particles.shape[1] > 1:
        found["quarter"] = shrink(particles, found["chosen"], 0.25)
    return found


def _point(error: float, distance: float, dimension: int) -> dict[str, float]:
    return {"error": float(error) / dimension, "distance": float(distance) / float(np.sqrt(dimension))}
