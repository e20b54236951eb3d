"""One ensemble of one photo: it is drawn, and every ending that the lines want of it is scored."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from real.bench.draws import Progress, draw_ensemble
from real.bench.endings import ENDINGS, evaluations_of
from real.bench.ensembles import DrawnEnsemble
from real.bench.memory import PeakMemory, clock
from real.bench.plan import Endings, EnsemblePlan
from real.bench.unsampled import UNSAMPLED
from real.metrics.score import ImageMetric, Score
from real.restorers.base import Restorer

__all__ = ["Meter", "measure"]

Images = Mapping[tuple[int, str], np.ndarray]
NO_METRICS: Mapping[str, ImageMetric] = MappingProxyType({})


def measure(
    plan: EnsemblePlan,
    wanted: Endings,
    truth: np.ndarray,
    restorer: Restorer,
    score: Score,
    *,
    metrics: Mapping[str, ImageMetric] = NO_METRICS,
    noise_seed: int | None = None,
    progress: Progress | None = None,
) -> tuple[dict[str, Any], Images]:
    """Draw an ensemble and score every wanted ending.

    Args:
        plan: What to draw.
        wanted: Names of endings, by how many of the first particles they look at.
        truth: RGB uint8 (H, W, 3).
        restorer: What is known of it, and the model.
        score: Metrics of an image against the truth.
        metrics: Metrics that a best of N is picked by; see `real.metrics.score.load_metrics`.
        noise_seed: Seed of the noise of the kind "fixed-noise".
        progress: Callback, called after every model evaluation of the ensemble, where that is known.

    Returns:
        The row's content, by N and ending: `scores`, `evaluations`, `picked` (indices), and of a timed plan `cost`
        (seconds and 10^9 bytes by piece of work); and an image of every ending, by N and ending.
    """
    if plan.kind in UNSAMPLED:
        # No particles: one picture is every ending of any N.
        image = UNSAMPLED[plan.kind].restore(restorer)
        found = {(n, ending): (score(image, truth), image, None) for n, ends in wanted.items() for ending in ends}
        return _row(found, dict.fromkeys(found, 0)), dict.fromkeys(found, image)

    meter = Meter(restorer.model.device)
    with meter.part("sample"):
        ensemble = draw_ensemble(plan, truth, restorer, score, noise_seed=noise_seed, progress=progress)
    ensemble.metrics = metrics
    if plan.timed:
        _decode_metered(ensemble, plan, wanted, meter)
    results = {(n, ending): ENDINGS[ending].apply(ensemble, n) for n, ends in wanted.items() for ending in ends}
    row = _row(results, {key: evaluations_of(plan, key[1], key[0], ensemble) for key in results})
    if plan.timed:
        row["cost"] = {"seconds": meter.seconds, "memory_gb": meter.gigabytes}
    return row, {key: image for key, (_, image, _) in results.items()}


def _row(results: Mapping[tuple[int, str], Any], evaluations: Mapping[tuple[int, str], int]) -> dict[str, Any]:
    picked = {key: index for key, (_, _, index) in results.items() if index is not None}
    scores = {key: {name: round(value, 6) for name, value in found[0].items()} for key, found in results.items()}
    return {"scores": _nested(scores), "evaluations": _nested(evaluations), "picked": _nested(picked)}


class Meter:
    """Seconds and peak memory (10^9 bytes, None where it cannot be measured) of pieces of work, by name."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, float] = {}
        self.gigabytes: dict[str, float | None] = {}

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Context manager: what is done inside is the piece of work of this name."""
        start = clock(self.device)
        with PeakMemory(self.device) as memory:
            yield
            self.seconds[name] = clock(self.device) - start
        self.gigabytes[name] = memory.gigabytes


def _decode_metered(ensemble: DrawnEnsemble, plan: EnsemblePlan, wanted: Endings, meter: Meter) -> None:
    """Decode and judge what the endings need, each piece from nothing, so that the pieces can be added."""
    n = plan.settings.particles
    parts = {part for ends in wanted.values() for ending in ends for part in ENDINGS[ending].cost}
    if "decode_one" in parts:
        with meter.part("decode_one"):
            ensemble.images([ensemble.choice(n)])
    if "decode_all" in parts:
        ensemble.forget_images()
        with meter.part("decode_all"):
            ensemble.images(range(n))
    for judge in {ENDINGS[ending].judge for ends in wanted.values() for ending in ends} - {""}:
        with meter.part(f"judge-{judge}"):
            ensemble.best_by(judge, n)


def _nested(flat: Mapping[tuple[int, str], Any]) -> dict[str, dict[str, Any]]:
    """Keys (n, ending) -> dicts by n (as text, for JSON), then by ending."""
    nested: dict[str, dict[str, Any]] = {}
    for (n, ending), value in flat.items():
        nested.setdefault(str(n), {})[ending] = value
    return nested
