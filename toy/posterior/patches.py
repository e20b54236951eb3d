"""The study on photos: patches are measured, answered by every method, and scored by their exact posterior.

A picture is a crop of 32 x 32 pixels, 16 patches that are independent under the prior; its posterior is their product.
Pictures are the independent repetitions: intervals are over them, and differences to plain sampling are paired.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from toy.mixture import Array
from toy.posterior.answers import answers, choose, shrink
from toy.posterior.batch import PosteriorBatch
from toy.posterior.conditioning import condition_many
from toy.posterior.degradations import Degradation
from toy.posterior.methods import Method, run
from toy.posterior.photos import cut_crops, to_patches
from toy.posterior.prior import PATCH, PatchPrior
from toy.posterior.scores import answer_scores, ensemble_scores, ratio_of_means

SIDE = 32  # pixels of a picture
PLACES = (SIDE // PATCH) ** 2  # patches in it
EXACT_SAMPLES = 32  # of each posterior, to compare ensembles with
MOST_PARTICLES = 20
GROUPS = (1, 4, 16, 64, 256)  # independent places in a picture, for what choosing is worth


@dataclass(frozen=True)
class Measured:
    """Everything that the lines of one degradation share.

    Args:
        posterior: posterior of every patch, B cases.
        truth: the patches, (B, d).
        noise: initial noise, (MOST_PARTICLES + 1, B, d), float32.
        exact: samples of the posteriors, (B, EXACT_SAMPLES + MOST_PARTICLES, d).
    """

    posterior: PosteriorBatch
    truth: Array
    noise: Array
    exact: Array


def measure_photos(
    prior: PatchPrior, photos: list[Array], degradation: Degradation, *, pictures: int, seed: int
) -> Measured:
    """Cut pictures out of photos, measure their patches and condition the prior on that.

    Args:
        prior: the mixture.
        photos: grey values, see `load_photos`.
        degradation: what is measured.
        pictures: how many crops.
        seed: seed of crops, measurement noise, initial noise and exact samples, which are independent of each other.
    """
    crop_rng, measure_rng, noise_rng, exact_rng = (np.random.default_rng([seed, stream]) for stream in range(4))
    crops = cut_crops(photos, pictures, size=SIDE, rng=crop_rng)
    truth = prior.to_units(to_patches(crops, PATCH)).reshape(-1, PATCH * PATCH)
    posterior = condition_many(
        prior.mixture,
        degradation.operator,
        degradation.measure(truth, measure_rng),
        noise_covariance=degradation.noise_covariance,
    )
    noise = noise_rng.standard_normal((MOST_PARTICLES + 1, *truth.shape), dtype=np.float32)
    return Measured(posterior, truth, noise, posterior.sample(EXACT_SAMPLES + MOST_PARTICLES, exact_rng))


def answer_line(measured: Measured, method: Method | None) -> dict[str, Any]:
    """Run one method on every patch and score it picture by picture.

    Args:
        measured: patches and posteriors.
        method: how to sample; None takes exact samples of the posterior.

    Returns:
        "answers": name -> score -> one value for each picture; "ensemble": the same for the scores of an ensemble;
        "evaluations" of the denoiser for one answer.
    """
    if method is None:
        particles = measured.exact[:, EXACT_SAMPLES : EXACT_SAMPLES + 10]
    else:
        particles = run(method, measured.posterior, measured.noise, group=PLACES)
    found = {
        name: _by_picture(answer_scores(answer, measured.posterior, measured.truth))
        for name, answer in answers(particles, group=PLACES).items()
    }
    ensemble: dict[str, list[float]] = {}
    if particles.shape[1] > 1:
        exact = measured.exact[:, :EXACT_SAMPLES]
        ensemble = _by_picture(ensemble_scores(particles, measured.posterior, measured.truth, exact))
    return {"answers": found, "ensemble": ensemble, "evaluations": method.evaluations if method else 0}


def choosing_line(measured: Measured, method: Method) -> dict[str, Any]:
    """Measure what choosing is worth in pictures of more and more independent places.

    The patches of neighbouring crops are put together to pictures of 64 and 256 places.

    Returns:
        The mean expected error of a random particle and of the average; for each number of places that of the chosen
        one and of the point halfway from it to the average, their log densities, and the part of the way from random
        to average that choosing goes, with its interval.
    """
    posterior, particles = measured.posterior, run(method, measured.posterior, measured.noise)
    random = _expected_error(particles, posterior)
    average = _expected_error(particles.mean(axis=1, keepdims=True), posterior)

    rows = []
    for group in (one for one in GROUPS if len(particles) >= 4 * one):
        # Patches at the end that do not fill a group are left out.
        kept = len(particles) - len(particles) % group
        part, best = posterior.take(slice(kept)), choose(particles[:kept], group=group)

        between = shrink(particles[:kept], best, 0.5)
        chosen, halfway = _expected_error(best, part), _expected_error(between, part)

        block = max(group, PLACES)  # what was chosen together, or lies in one crop, is one repetition
        gains = [(random[:kept] - other).reshape(-1, block).mean(1) for other in (chosen, average[:kept])]
        density = {"chosen": best, "halfway": between}

        rows.append(
            {
                "places": group,
                "chosen": float(chosen.mean()),
                "halfway": float(halfway.mean()),
                "log_density": {name: float(part.log_density(x).mean()) for name, x in density.items()},
                "part_of_the_way": ratio_of_means(*gains),
            }
        )
    return {"random": float(random.mean()), "average": float(average.mean()), "rows": rows}


def exact_mean_line(measured: Measured) -> dict[str, Any]:
    """Score the exact posterior mean: no answer has less expected squared error."""
    mean = measured.posterior.mean()[:, None]
    return {"answers": {"mean": _by_picture(answer_scores(mean, measured.posterior, measured.truth))}, "ensemble": {}}


def _by_picture(scores: dict[str, Array]) -> dict[str, list[float]]:
    return {name: [float(f"{v:.6g}") for v in values.reshape(-1, PLACES).mean(1)] for name, values in scores.items()}


def _expected_error(x: Array, posterior: PosteriorBatch) -> Array:
    """Expected squared error of answers (B, n, d) for each value, (B,)."""
    to_mean = ((x.astype(np.float64) - posterior.mean()[:, None]) ** 2).sum(-1).mean(1)
    return (to_mean + posterior.total_variance()) / posterior.dimension
