"""How a restoration can end: which particle, or what of all of them, and what that costs.

An ending is a function of an ensemble and n. It gives an image of the first n particles, or, where it picks one of
them, the index.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from real.bench.ensembles import DrawnEnsemble, rounded
from real.bench.plan import EnsemblePlan, evaluations_per_call
from real.images.colour import COLOUR_FIXES
from real.metrics.score import NO_REFERENCE

__all__ = ["ENDINGS", "FIXES", "Ending", "evaluations_of"]

FIXES = tuple(fix for fix in COLOUR_FIXES if fix != "none")

Picked = Callable[[DrawnEnsemble, int], int]
Made = Callable[[DrawnEnsemble, int], np.ndarray]
Result = tuple[dict[str, float], np.ndarray, int | None]  # scores, an image of it, index of the particle


@dataclass(frozen=True)
class Ending:
    """One way to end.

    Attributes:
        what: Description in words.
        apply: (ensemble, n) -> scores, an image, and the index of the particle where one is picked; of the first n.
        cost: Pieces of work that it needs, as `real.bench.measure` times them.
        judge: Name of the metric that picks, of `real.metrics.score.NO_REFERENCE`; empty where none does.
    """

    what: str
    apply: Callable[[DrawnEnsemble, int], Result]
    cost: tuple[str, ...] = ("sample", "decode_one")
    judge: str = ""


def _picks(pick: Picked) -> Callable[[DrawnEnsemble, int], Result]:
    def apply(ensemble: DrawnEnsemble, n: int) -> Result:
        index = pick(ensemble, n)
        return ensemble.scores([index])[0], ensemble.images([index])[0], index

    return apply


def _makes(make: Made) -> Callable[[DrawnEnsemble, int], Result]:
    def apply(ensemble: DrawnEnsemble, n: int) -> Result:
        image = make(ensemble, n)
        return ensemble.score(image, ensemble.truth), image, None

    return apply


def _best_by(judge: str) -> Picked:
    return lambda ensemble, n: ensemble.best_by(judge, n)


def _recolours(fix: str) -> Callable[[DrawnEnsemble, int], Result]:
    return _makes(lambda ensemble, n: ensemble.recoloured_choice(n, fix=fix))


def _random(ensemble: DrawnEnsemble, n: int) -> Result:
    scores = ensemble.scores(range(n))
    return {name: float(np.mean([s[name] for s in scores])) for name in scores[0]}, ensemble.images([0])[0], None


ALL = ("sample", "decode_all")
ENDINGS = {
    "one": Ending("the first particle", _picks(lambda ensemble, n: 0)),
    "random": Ending("mean of the scores over the particles: what a random one gives on average", _random),
    "worst": Ending("the particle of lowest PSNR; needs the truth", _picks(DrawnEnsemble.worst)),
    "choice": Ending("the particle nearest to the ensemble mean (KDS Eq. 9, v1)", _picks(DrawnEnsemble.choice)),
    "early": Ending(
        "the same, chosen at the cut-off; only that one is sampled on", _picks(DrawnEnsemble.early_choice)
    ),
    "by-patch": Ending("the particle nearest to the mean at every latent pixel", _makes(DrawnEnsemble.by_patch)),
    "average": Ending("pixel average of the particles", _makes(lambda e, n: rounded(e.average(n))), ALL),
    "halfway-pixels": Ending(
        "halfway from the chosen particle to the pixel average", _makes(lambda e, n: e.between_pixels(n, 0.5)), ALL
    ),
}
ENDINGS |= {
    f"choice-{fix}": Ending(f"the chosen particle with the {fix} colour fix", _recolours(fix)) for fix in FIXES
}
ENDINGS |= {
    f"best-{name}": Ending(
        f"best of N by {name}, which needs no truth", _picks(_best_by(name)), (*ALL, f"judge-{name}"), judge=name
    )
    for name in NO_REFERENCE
}
# Shrinkage of the chosen particle towards the mean of the latents.
ENDINGS |= {
    name: Ending(f"{words} from the chosen particle to the mean, in latents", _makes(make))
    for name, words, make in (
        ("quarter-latents", "a quarter of the way", lambda e, n: e.between_latents(n, 0.75)),
        ("halfway-latents", "halfway", lambda e, n: e.between_latents(n, 0.5)),
        ("mean-latents", "all the way", lambda e, n: e.between_latents(n, 0.0)),
    )
}


def evaluations_of(plan: EnsemblePlan, ending: str, n: int, ensemble: DrawnEnsemble) -> int:
    """Model evaluations that an ending of the first n particles costs, each particle counted.

    Without steering a particle needs no others; an early choice needs them until the cut-off only.
    """
    if plan.kind not in ("plain", "kds"):
        return ensemble.evaluations
    of_one = ensemble.evaluations // plan.settings.particles
    if plan.kind == "plain" and ending in ("one", "random"):
        return of_one
    if ending == "early":
        weight = evaluations_per_call(plan.settings)
        return weight * (n * ensemble.until_cutoff + of_one // weight - ensemble.until_cutoff)
    return n * of_one
