"""Posteriors in the plane, and models that are wrong about them in a known way.

Which answers fall between the modes, and does KDS take particles out of a mode that only the model believes in? Many
independent ensembles answer, all of them scored by the true posterior. `study` lists the lines, `figures` draws them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from toy.mixture import Array, GaussianMixture, three_modes
from toy.posterior.answers import choose
from toy.posterior.batch import PosteriorBatch
from toy.posterior.conditioning import condition
from toy.posterior.methods import Method, Model, Steering, run
from toy.posterior.scores import summarise

SPURIOUS_VARIANCE = 0.06  # per axis, about that of the true mode
SHOWN = 16  # ensembles whose particles a figure shows


@dataclass(frozen=True)
class Case:
    """What is true, and what the sampler believes.

    Args:
        name: name in files and tables.
        truth: the posterior.
        model: what the sampler uses; its `eps` takes (B, N, d).
        believed: the mixture whose modes particles are counted in.
    """

    name: str
    truth: GaussianMixture
    model: Model
    believed: GaussianMixture


@dataclass(frozen=True)
class Shared:
    """One mixture as the model of all ensembles, in the fast form of a batch of one."""

    batch: PosteriorBatch

    @classmethod
    def of(cls, mixture: GaussianMixture) -> Shared:
        """Return the mixture as such a model."""
        return cls(PosteriorBatch(np.log(mixture.weights)[None], mixture.means[None], mixture.covariances))

    def eps(self, x: Array, *, alpha_bar: float) -> Array:
        """Noise prediction of the mixture."""
        return self.batch.eps(x.reshape(1, -1, x.shape[-1]), alpha_bar=alpha_bar).reshape(x.shape)


@dataclass(frozen=True)
class Tempered:
    """A model whose score is too sharp (factor above 1) or too flat (below)."""

    model: Model
    factor: float

    def eps(self, x: Array, *, alpha_bar: float) -> Array:
        """The model's noise prediction times the factor."""
        return self.factor * self.model.eps(x, alpha_bar=alpha_bar)


def posteriors() -> dict[str, GaussianMixture]:
    """Return the posteriors of the plane by name, each conditioned on one measurement.

    one mode, two modes: the toy's three modes, both coordinates measured, or the second only; ridge: a round Gaussian
    of which a sum is measured; arc: a prior along a half circle, of which next to nothing is measured.

    Example:
        >>> {name: round(float(mixture.weights.max()), 2) for name, mixture in posteriors().items()}
        {'one mode': 1.0, 'two modes': 0.61, 'ridge': 1.0, 'arc': 0.15}
    """
    three, round_one = three_modes(), GaussianMixture(np.ones(1), np.zeros((1, 2)), np.eye(2)[None])
    angles = np.linspace(0, np.pi, 11)
    places = 1.5 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    arc = GaussianMixture(np.full(11, 1 / 11), places, np.tile(0.03 * np.eye(2), (11, 1, 1)))
    first, second, total = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]), np.array([[1.0, 1.0]]) / np.sqrt(2)
    return {
        "one mode": condition(three, np.eye(2), np.array([-1.0, 0.6]), noise_covariance=0.25 * np.eye(2)),
        "two modes": condition(three, second, np.array([0.53]), noise_covariance=0.01 * np.eye(1)),
        "ridge": condition(round_one, total, np.array([0.5]), noise_covariance=0.01 * np.eye(1)),
        "arc": condition(arc, first, np.array([0.3]), noise_covariance=np.eye(1)),
    }


def exact_cases() -> dict[str, Case]:
    """Return the posteriors with their own exact score as the model."""
    return {name: Case(name, truth, Shared.of(truth), truth) for name, truth in posteriors().items()}


def spurious(weight: float, distance: float) -> Case:
    """Return the posterior with one mode, and a model that believes in a second.

    Args:
        weight: weight of the spurious mode in the model, in (0, 1).
        distance: distance from the true mean to the spurious mode, along the first axis.
    """
    truth = posteriors()["one mode"]
    place = truth.mean() + np.array([distance, 0.0])
    believed = GaussianMixture(
        np.append((1 - weight) * truth.weights, weight),
        np.append(truth.means, place[None], axis=0),
        np.append(truth.covariances, SPURIOUS_VARIANCE * np.eye(2)[None], axis=0),
    )
    return Case(f"spurious {weight:g} at {distance:g}", truth, Shared.of(believed), believed)


def other_errors() -> dict[str, Case]:
    """Return models with a missing mode, a score too sharp or too flat, and a bias."""
    one, two = posteriors()["one mode"], posteriors()["two modes"]
    largest = int(two.weights.argmax())
    lacking = GaussianMixture(np.ones(1), two.means[[largest]], two.covariances[[largest]])
    biased = GaussianMixture(one.weights, one.means + np.array([0.3, 0.0]), one.covariances)
    listed = (
        Case("missing mode", two, Shared.of(lacking), two),
        Case("too sharp", two, Tempered(Shared.of(two), 1.2), two),
        Case("too flat", two, Tempered(Shared.of(two), 0.8), two),
        Case("biased", one, Shared.of(biased), one),
    )
    return {case.name: case for case in listed}


def lines(num_particles: int = 10) -> dict[str, Method]:
    """Return the methods that are compared in the plane; the whole point is one patch."""
    wanted: dict[str, Steering | None] = {"plain": None}
    for bandwidth in (0.3, 1.0, 3.0):
        for cutoff in (0.3, 0.0):
            wanted[f"h={bandwidth:g} to {cutoff:g}"] = Steering(bandwidth=bandwidth, cutoff=cutoff)
    return {name: Method(name=name, steering=steering, particles=num_particles) for name, steering in wanted.items()}


def initial_noise(ensembles: int, num_particles: int, seed: int) -> Array:
    """Return x_T, (N, S, 2): 5 particles are the first 5 of 10, and all methods and cases share it."""
    return np.random.default_rng(seed).standard_normal((num_particles, ensembles, 2))


def measure_case(case: Case, method: Method, noise: Array) -> dict[str, Any]:
    """Run one method on one case and score its answers.

    Args:
        case: what is true and what is believed.
        method: how to sample.
        noise: (N_max, S, 2).

    Returns:
        Per answer (random, chosen, average): expected squared error over the least possible, log density under the
        truth, and the part of answers in each mode that the model believes in; particles of a few ensembles.
    """
    particles = run(method, case.model, noise, channels=2)
    chosen = choose(particles) if particles.shape[1] > 1 else particles
    ways = {"random": particles, "chosen": chosen, "average": particles.mean(axis=1, keepdims=True)}
    return {
        "answers": {name: _score(case, answer) for name, answer in ways.items()},
        "least_error": float(np.trace(case.truth.covariance())),
        "shown": particles[:SHOWN].round(3).tolist(),
    }


def _score(case: Case, x: Array) -> dict[str, Any]:
    """Score answers (S, n, 2), a mean and interval over the ensembles."""
    least = float(np.trace(case.truth.covariance()))
    error = ((x - case.truth.mean()) ** 2).sum(-1).mean(1) + least
    modes = case.believed.responsibilities(x)  # (S, n, K)
    return {
        "error_over_least": summarise(error / least),
        "log_density": summarise(case.truth.log_density(x).mean(1)),
        "shares": [summarise(column) for column in modes.mean(1).T],
    }
