"""One run on one photo: the ensemble is drawn, and every outcome that the lines want of it is scored."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch

from kds_ref import SamplerState
from real.bench.ensembles import ScoredEnsemble
from real.bench.memory import PeakMemory
from real.bench.outcomes import OUTCOMES
from real.bench.plan import PlannedDraw, StudyRun
from real.early_choice import in_window
from real.metrics.score import Score
from real.restorers.base import Restorer
from real.restorers.compare import bicubic

__all__ = ["Meter", "measure"]


def measure(
    draw: PlannedDraw,
    truth: np.ndarray,
    restorer: Restorer,
    score: Score,
    *,
    timed: bool = False,
    progress: Callable[[SamplerState], object] | None = None,
) -> tuple[dict[str, Any], Mapping[tuple[int, str], np.ndarray]]:
    """Draw an ensemble and score every wanted outcome.

    Args:
        draw: What to draw, and what is wanted of it.
        truth: RGB uint8 (H, W, 3).
        restorer: The photo and the model.
        score: Of an image against the truth.
        timed: Measure seconds and peak memory of sampling, decoding and judging.
        progress: Called after every model evaluation of the ensemble.

    Returns:
        The row's content: `outcomes` (scores by N and outcome), `picked` (indices), `until_cutoff`, and with `timed`
        `cost` (seconds and 10^9 bytes by piece of work); and an image of every outcome, by N and outcome.
    """
    if draw.run.kind == "bicubic":
        image = bicubic(restorer.shown)
        scores = score(image, truth)
        wanted = [(n, outcome) for n, outcomes in draw.wanted.items() for outcome in outcomes]
        row = {"outcomes": _nested(dict.fromkeys(wanted, scores)), "picked": {}, "until_cutoff": 0}
        return row, dict.fromkeys(wanted, image)
    meter = Meter(restorer.model.device)
    with meter.part("sample"):
        ensemble = _draw(draw.run, truth, restorer, score, progress)
    if timed:
        _decode_metered(ensemble, draw, meter)
    results = {(n, o): OUTCOMES[o].apply(ensemble, n) for n, outcomes in draw.wanted.items() for o in outcomes}
    picked = {key: float(index) for key, (_, _, index) in results.items() if index is not None}
    row = {
        "outcomes": _nested({key: scores for key, (scores, _, _) in results.items()}),
        "picked": {n: {o: int(i) for o, i in by.items()} for n, by in _nested(picked).items()},
        "until_cutoff": ensemble.until_cutoff,
    }
    if timed:
        row["cost"] = {"seconds": meter.seconds, "memory_gb": meter.gigabytes}
    return row, {key: image for key, (_, image, _) in results.items()}


def _draw(
    run: StudyRun,
    truth: np.ndarray,
    restorer: Restorer,
    score: Score,
    progress: Callable[[SamplerState], object] | None,
) -> ScoredEnsemble:
    ensemble = ScoredEnsemble(torch.empty(0, dtype=torch.float32, device="cpu"), truth, restorer, score)
    cutoff, total = run.settings.cutoff, restorer.model.num_train_timesteps

    def watch(state: SamplerState) -> None:
        if in_window(state.t, total, cutoff=cutoff):
            ensemble.at_cutoff, ensemble.until_cutoff = state.x0_steered, state.num_model_evaluations
        if progress is not None:
            progress(state)

    ensemble.latents = restorer.sample(run.settings, steered=run.kind == "kds", progress=watch).latents
    return ensemble


class Meter:
    """Seconds and peak memory (10^9 bytes, None where it cannot be measured) of pieces of work, by name."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, float] = {}
        self.gigabytes: dict[str, float | None] = {}

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Context manager: what is done inside is the piece of work of this name."""
        start = self._now()
        with PeakMemory(self.device) as memory:
            yield
            self.seconds[name] = self._now() - start
        self.gigabytes[name] = memory.gigabytes

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


def _decode_metered(ensemble: ScoredEnsemble, draw: PlannedDraw, meter: Meter) -> None:
    """Decode and judge what the outcomes need, each piece from nothing, so that the pieces can be added."""
    n = draw.run.settings.particles
    parts = {part for outcomes in draw.wanted.values() for o in outcomes for part in OUTCOMES[o].cost}
    if "decode_one" in parts:
        with meter.part("decode_one"):
            ensemble.images([ensemble.choice(n)])
    if "decode_all" in parts:
        ensemble.forget_images()
        with meter.part("decode_all"):
            ensemble.images(range(n))
    if "judge" in parts:
        with meter.part("judge"):
            ensemble.sharpest(n)


def _nested(flat: Mapping[tuple[int, str], Any]) -> dict[str, dict[str, Any]]:
    """Keys (n, outcome) -> dicts by n as JSON has it, then by outcome."""
    nested: dict[str, dict[str, Any]] = {}
    for (n, outcome), value in flat.items():
        nested.setdefault(str(n), {})[outcome] = value
    return nested
