"""How a restoration can end: which particle, or what of all of them, and what that costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from real.bench.ensembles import ScoredEnsemble
from real.bench.plan import StudyRun

__all__ = ["OUTCOMES", "Outcome", "Result", "evaluations_of"]

Result = tuple[dict[str, float], np.ndarray, int | None]  # scores, an image of it, index of the particle


@dataclass(frozen=True)
class Outcome:
    """One way to end.

    Attributes:
        what: In words.
        apply: (ensemble, n) -> scores, an image, and the index of the particle where one is picked; of the first n.
        cost: Pieces of work that it needs, as `real.bench.measure` times them.
    """

    what: str
    apply: Callable[[ScoredEnsemble, int], Result]
    cost: tuple[str, ...] = ("sample", "decode_one")


def _particle(pick: Callable[[ScoredEnsemble, int], int]) -> Callable[[ScoredEnsemble, int], Result]:
    def apply(ensemble: ScoredEnsemble, n: int) -> Result:
        index = pick(ensemble, n)
        return ensemble.scores([index])[0], ensemble.images([index])[0], index

    return apply


def _random(ensemble: ScoredEnsemble, n: int) -> Result:
    scores = ensemble.scores(range(n))
    return {name: float(np.mean([s[name] for s in scores])) for name in scores[0]}, ensemble.images([0])[0], None


def _average(ensemble: ScoredEnsemble, n: int) -> Result:
    image = ensemble.average(n)
    return ensemble.score(image, ensemble.truth), image, None


OUTCOMES = {
    "one": Outcome("the first particle", _particle(lambda ensemble, n: 0)),
    "random": Outcome("mean of the scores over the particles: what a random one gives on average", _random),
    "worst": Outcome("the particle of lowest PSNR; needs the truth", _particle(ScoredEnsemble.worst)),
    "choice": Outcome("the particle nearest to the ensemble mean (KDS Eq. 9, v1)", _particle(ScoredEnsemble.choice)),
    "early": Outcome(
        "the same, chosen at the cut-off; only that one is sampled on", _particle(ScoredEnsemble.early_choice)
    ),
    "average": Outcome("pixel average of the particles", _average, ("sample", "decode_all")),
    "sharpest": Outcome(
        "best of N by the blur effect (Crete et al. 2007), which needs no truth",
        _particle(ScoredEnsemble.sharpest),
        ("sample", "decode_all", "judge"),
    ),
}


def evaluations_of(run: StudyRun, outcome: str, until_cutoff: int) -> int:
    """Model evaluations that an outcome costs, each particle counted.

    Args:
        run: The ensemble, with as many particles as the outcome looks at.
        outcome: Name in `OUTCOMES`. Without steering one particle needs no others; an early choice needs them until the
            cut-off only.
        until_cutoff: Evaluations of a particle down to the cut-off.
    """
    n, steps = run.settings.particles, run.settings.steps
    if run.kind == "plain" and outcome in ("one", "random"):
        return run.evaluations // n
    if outcome == "early":
        return run.evaluations // (n * steps) * (n * until_cutoff + steps - until_cutoff)
    return run.evaluations
