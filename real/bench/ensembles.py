"""One ensemble of one photo: drawn, then looked at in every way that the lines of a study want.

Decoding is lazy: an outcome that needs one particle decodes one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from skimage.measure import blur_effect

from kds_ref import SamplerState, select_particle, steering_strength
from real.bench.memory import PeakMemory
from real.bench.plan import Draw, Run
from real.metrics import distortion
from real.models import SuperResolutionModel
from real.perceptual import LpipsHed
from real.restore import Score, bicubic
from real.sampling import decode, padded_condition, sample

__all__ = ["OUTCOMES", "Ensemble", "Outcome", "evaluations_of", "make_score", "measure", "sharpness"]


def sharpness(image: np.ndarray) -> float:
    """Blur effect of Crete et al. 2007, by scikit-image: 0 (sharp) to 1 (blurred); needs no truth, RGB uint8 (H, W, 3).

    It says how much another blur would change the image. It is no judge of quality: noise counts as sharp.
    """
    return float(blur_effect(image, channel_axis=-1))


def make_score(*, perceptual: bool, device: str) -> Score:
    """PSNR, SSIM and the blur effect; with `perceptual` LPIPS-HED too (see `real.perceptual`)."""
    lpips_hed = LpipsHed(device=device) if perceptual else None

    def score(image: np.ndarray, truth: np.ndarray) -> dict[str, float]:
        numbers = {**distortion(image, truth), "blur_effect": sharpness(image)}
        return numbers if lpips_hed is None else {**numbers, "lpips_hed": lpips_hed(image, truth)}

    return score


@dataclass
class Ensemble:
    """The particles of one run, with what can be made of them.

    Attributes:
        latents: (N, 3, h, w); empty for bicubic interpolation.
        truth: RGB uint8 (H, W, 3).
        model: Decodes.
        score: Of an image against the truth.
        at_cutoff: Predicted clean latents at the last evaluation with t/T at or above the cut-off, (N, 3, h, w).
        until_cutoff: How many evaluations of a particle that took.
    """

    latents: torch.Tensor
    truth: np.ndarray
    model: SuperResolutionModel
    score: Score
    at_cutoff: torch.Tensor | None = None
    until_cutoff: int = 0
    _images: dict[int, np.ndarray] = field(default_factory=dict)
    _scores: dict[int, dict[str, float]] = field(default_factory=dict)

    def images(self, indices: Sequence[int]) -> list[np.ndarray]:
        """Decoded particles, RGB uint8 (H, W, 3), each decoded once."""
        missing = [i for i in indices if i not in self._images]
        if missing:
            height, width = self.truth.shape[:2]
            decoded = decode(self.model, self.latents[missing], height=height, width=width)
            self._images.update(zip(missing, decoded, strict=True))
        return [self._images[i] for i in indices]

    def scores(self, indices: Sequence[int]) -> list[dict[str, float]]:
        """Scores of particles, each computed once."""
        for i, image in zip(indices, self.images(indices), strict=True):
            if i not in self._scores:
                self._scores[i] = self.score(image, self.truth)
        return [self._scores[i] for i in indices]

    def choice(self, n: int) -> int:
        """Of the first n particles the one nearest to their mean: KDS Eq. 9 (v1)."""
        return int(select_particle(self.latents[:n]))

    def early_choice(self, n: int) -> int:
        """The same, of the clean latents predicted at the cut-off: the others need not be sampled further."""
        if self.at_cutoff is None:
            raise ValueError("cutoff: no evaluation lies at or above it, so nothing can be chosen there; lower it")
        return int(select_particle(self.at_cutoff[:n]))

    def sharpest(self, n: int) -> int:
        """Of the first n particles the one with the smallest blur effect."""
        return int(np.argmin([sharpness(image) for image in self.images(range(n))]))

    def worst(self, n: int) -> int:
        """Of the first n particles the one of lowest PSNR; needs the truth."""
        return int(np.argmin([s["psnr_rgb"] for s in self.scores(range(n))]))

    def average(self, n: int) -> np.ndarray:
        """Pixel average of the first n particles, RGB uint8 (H, W, 3)."""
        mean: np.ndarray = np.mean([image.astype(np.float64) for image in self.images(range(n))], axis=0)
        return np.rint(mean).astype(np.uint8)


Result = tuple[dict[str, float], np.ndarray, int | None]  # scores, an image of it, index of the particle


@dataclass(frozen=True)
class Outcome:
    """One way to end: `apply(ensemble, n)` gives scores, an image and, where one is picked, the particle's index."""

    what: str
    apply: Callable[[Ensemble, int], Result]
    cost: tuple[str, ...] = ("sample", "decode_one")


def _particle(pick: Callable[[Ensemble, int], int]) -> Callable[[Ensemble, int], Result]:
    def apply(ensemble: Ensemble, n: int) -> Result:
        index = pick(ensemble, n)
        return ensemble.scores([index])[0], ensemble.images([index])[0], index

    return apply


def _random(ensemble: Ensemble, n: int) -> Result:
    scores = ensemble.scores(range(n))
    return {name: float(np.mean([s[name] for s in scores])) for name in scores[0]}, ensemble.images([0])[0], None


def _average(ensemble: Ensemble, n: int) -> Result:
    image = ensemble.average(n)
    return ensemble.score(image, ensemble.truth), image, None


OUTCOMES = {
    "one": Outcome("the first particle", _particle(lambda ensemble, n: 0)),
    "random": Outcome("mean of the scores over the particles: what a random one gives on average", _random),
    "worst": Outcome("the particle of lowest PSNR; needs the truth", _particle(Ensemble.worst)),
    "choice": Outcome("the particle nearest to the ensemble mean (KDS Eq. 9, v1)", _particle(Ensemble.choice)),
    "early": Outcome("the same, chosen at the cut-off; only that one is sampled on", _particle(Ensemble.early_choice)),
    "average": Outcome("pixel average of the particles", _average, ("sample", "decode_all")),
    "sharpest": Outcome(
        "best of N by the blur effect (Crete et al. 2007), which needs no truth",
        _particle(Ensemble.sharpest),
        ("sample", "decode_all", "judge"),
    ),
}


def evaluations_of(run: Run, outcome: str, until_cutoff: int) -> int:
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


def measure(
    draw: Draw,
    truth: np.ndarray,
    low: np.ndarray,
    model: SuperResolutionModel,
    score: Score,
    *,
    timed: bool = False,
    progress: Callable[[SamplerState], object] | None = None,
) -> tuple[dict[str, Any], Mapping[tuple[int, str], np.ndarray]]:
    """Draw an ensemble and score every wanted outcome.

    Args:
        draw: What to draw, and what is wanted of it.
        truth: RGB uint8 (4h, 4w, 3).
        low: RGB uint8 (h, w, 3).
        model: The model.
        score: Of an image against the truth.
        timed: Measure seconds of sampling, decoding and judging, and the peak memory of all of it.
        progress: Called after every model evaluation of the ensemble.

    Returns:
        The row's content: `outcomes` (scores by N and outcome), `picked` (indices), `until_cutoff`, and with `timed`
        `cost`; and an image of every outcome, by N and outcome.
    """
    if draw.run.kind == "bicubic":
        image = bicubic(low)
        scores = score(image, truth)
        wanted = [(n, outcome) for n, outcomes in draw.wanted.items() for outcome in outcomes]
        row = {"outcomes": _nested(dict.fromkeys(wanted, scores)), "picked": {}, "until_cutoff": 0}
        return row, dict.fromkeys(wanted, image)
    watch = _Stopwatch(model.device)
    with PeakMemory(model.device) as memory:
        ensemble = _draw(draw.run, truth, low, model, score, progress)
        watch.lap("sample")
        if timed:
            _decode_timed(ensemble, draw, watch)
    results = {(n, o): OUTCOMES[o].apply(ensemble, n) for n, outcomes in draw.wanted.items() for o in outcomes}
    picked = {key: float(index) for key, (_, _, index) in results.items() if index is not None}
    row = {
        "outcomes": _nested({key: scores for key, (scores, _, _) in results.items()}),
        "picked": {n: {o: int(i) for o, i in by.items()} for n, by in _nested(picked).items()},
        "until_cutoff": ensemble.until_cutoff,
    }
    if timed:
        row["cost"] = {**watch.seconds, "peak_memory_gb": memory.gigabytes}
    return row, {key: image for key, (_, image, _) in results.items()}


def _draw(
    run: Run,
    truth: np.ndarray,
    low: np.ndarray,
    model: SuperResolutionModel,
    score: Score,
    progress: Callable[[SamplerState], object] | None,
) -> Ensemble:
    ensemble = Ensemble(torch.empty(0), truth, model, score)
    cutoff, total = run.settings.cutoff, model.schedule.num_train_timesteps

    def watch(state: SamplerState) -> None:
        if steering_strength(state.t, total, strength=1.0, cutoff=cutoff) > 0.0:
            ensemble.at_cutoff, ensemble.until_cutoff = state.x0_steered, state.num_model_evaluations
        if progress is not None:
            progress(state)

    condition = padded_condition(low, model)
    ensemble.latents = sample(model, condition, run.settings, steered=run.kind == "kds", progress=watch).latents
    return ensemble


class _Stopwatch:
    """Seconds of consecutive pieces of work, by name."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, float] = {}
        self._last = self._now()

    def lap(self, name: str) -> None:
        now = self._now()
        self.seconds[name], self._last = now - self._last, now

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


def _decode_timed(ensemble: Ensemble, draw: Draw, watch: _Stopwatch) -> None:
    """Decode and judge what the outcomes need, each piece from nothing, so that the laps can be added."""
    n = draw.run.settings.particles
    parts = {part for outcomes in draw.wanted.values() for o in outcomes for part in OUTCOMES[o].cost}
    if "decode_one" in parts:
        ensemble.images([ensemble.choice(n)])
        watch.lap("decode_one")
    if "decode_all" in parts:
        ensemble._images.clear()
        ensemble.images(range(n))
        watch.lap("decode_all")
    if "judge" in parts:
        ensemble.sharpest(n)
        watch.lap("judge")


def _nested(flat: Mapping[tuple[int, str], Any]) -> dict[str, dict[str, Any]]:
    """Keys (n, outcome) -> dicts by n as JSON has it, then by outcome."""
    nested: dict[str, dict[str, Any]] = {}
    for (n, outcome), value in flat.items():
        nested.setdefault(str(n), {})[outcome] = value
    return nested
