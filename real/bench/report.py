"""From rows to a report: means with intervals, paired differences, the paper's numbers beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from real.bench.endings import ENDINGS
from real.bench.metrics import REPORTED
from real.bench.paper import PaperRow, find_row, paper_rows
from real.bench.plan import Line, LinePair, Study
from real.bench.sets import set_scores
from real.bench.statistics import mean_with_interval, paired
from real.bench.store import EnsembleStore
from real.records.finite import finite_photos, not_finite

__all__ = ["summarise"]


def summarise(
    study: Study, lines: Sequence[Line], seeds: Sequence[int], store: EnsembleStore, photos: Sequence[str]
) -> dict[str, Any]:
    """Numbers of a report.

    Args:
        study: What is compared, and which of the paper's rows stand beside it.
        lines: The lines of the study that were drawn.
        seeds: Seeds over which a photo's scores are averaged.
        store: Store with all that the lines need of every photo.
        photos: Names of the photos that count.

    Returns:
        `photos` (how many), `not_finite` (what means are without, see `real.records.finite`), `lines` (`change` is
        against the first line, photo by photo), `pairs`, `budgets` (best lines at a cost; only of `front`), and
        `paper`: every row of the paper's table.
    """
    every = {line.key: LineNumbers.of(line, seeds, store, photos) for line in lines}
    means = {key: numbers.means for key, numbers in every.items()}
    # Lines are compared on the same photos: those at which all of them are finite, metric by metric.
    kept = finite_photos(means)
    numbers = {key: found.only(kept) for key, found in every.items()}

    published = paper_rows() if study.paper else ()
    beside = {line.key: _beside(line, study, published) for line in lines}
    first = numbers[lines[0].key]
    tables = {study.paper.get("table")} | {line.paper.get("table") for line in lines}
    summary: dict[str, Any] = {
        "photos": len(photos),
        "not_finite": not_finite(means, photos),
        "lines": [_line(line, numbers[line.key], first) | {"paper": beside[line.key]} for line in lines],
        "pairs": [
            _pair(pair, numbers, beside, seeds)
            for pair in study.pairs(lines)
            if {pair.a, pair.b} <= numbers.keys()  # of lines that were drawn
        ],
        "paper": [{**row.columns, "values": dict(row.values)} for row in published if row.columns["table"] in tables],
    }
    summary["budgets"] = _budgets(summary["lines"]) if study.plot == "front" else []
    if study.plot in ("scatter", "panels"):
        by_photo = {key: found["psnr_rgb"].tolist() for key, found in means.items()}
        summary["by_photo"] = {"photos": list(photos), **by_photo}
    return summary


@dataclass(frozen=True)
class LineNumbers:
    """What was measured of a line.

    Attributes:
        values: Values by metric, (photos, seeds).
        sets: Metrics of all photos together, of the first seed.
        evaluations: The most that a photo took.
    """

    values: Mapping[str, np.ndarray]
    sets: Mapping[str, float]
    evaluations: int

    @classmethod
    def of(cls, line: Line, seeds: Sequence[int], store: EnsembleStore, photos: Sequence[str]) -> LineNumbers:
        """Read them from the store."""
        seeded = [line.with_seed(seed) for seed in seeds]
        found = [[store.of(photo, one) for one in seeded] for photo in photos]
        names = found[0][0]["scores"]
        # None, which stands for a number that is not finite in JSON, becomes NaN.
        values = {
            name: np.array([[one["scores"][name] for one in row] for row in found], dtype=np.float64) for name in names
        }

        sets = set_scores([row[0] for row in found], str(line.particles), line.ending)
        most = max(one["evaluations"] for row in found for one in row)
        return cls(values, sets, most)

    @property
    def means(self) -> dict[str, np.ndarray]:
        """Means over the seeds by metric, (photos,)."""
        return {name: numbers.mean(1) for name, numbers in self.values.items()}

    def only(self, kept: Mapping[str, np.ndarray]) -> LineNumbers:
        """The same of some photos alone: by metric, bool (photos,)."""
        return replace(self, values={name: numbers[kept[name]] for name, numbers in self.values.items()})


def _line(line: Line, own: LineNumbers, first: LineNumbers) -> dict[str, Any]:
    of_sets = {metric: {"mean": value, "low": None, "high": None} for metric, value in own.sets.items()}
    means, others = own.means, first.means
    return {
        "key": line.key,
        "label": line.label,
        "ending": ENDINGS[line.ending].what,
        "group": line.group,
        "at": line.at,
        "particles": line.particles,
        "evaluations": own.evaluations,
        "scores": {m: mean_with_interval(v) for m, v in means.items()} | of_sets,
        "change": {m: mean_with_interval(v - others[m]) for m, v in means.items() if m in others},
    }


def _pair(
    pair: LinePair, numbers: Mapping[str, LineNumbers], beside: Mapping[str, Any], seeds: Sequence[int]
) -> dict[str, Any]:
    a, b = numbers[pair.a], numbers[pair.b]
    of_a, of_b = a.means, b.means
    shared = [metric for metric in of_a if metric in of_b]
    scores = {metric: paired(of_a[metric], of_b[metric]) for metric in shared}

    # Photos are crossed with seeds: a difference that one seed's luck made shows here.
    if len(seeds) > 1:
        for metric in (m for m in shared if len(a.values[m])):
            by_seed = (a.values[metric] - b.values[metric]).mean(0)
            scores[metric]["by_seed"] = dict(zip(map(str, seeds), by_seed.tolist(), strict=True))

    theirs = {m: round(v - beside[pair.b][m], 6) for m, v in beside[pair.a].items() if m in beside[pair.b]}
    return {"a": pair.a, "b": pair.b, "what": pair.what, "scores": scores, "paper": theirs}


def _beside(line: Line, study: Study, published: Sequence[PaperRow]) -> dict[str, float]:
    return dict(find_row(published, {**study.paper, **line.paper}).values) if line.paper else {}


def _budgets(lines: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The line, at every budget and by every metric, that is best among those that cost no more.

    What takes no evaluation of the model is left out: the question is how to spend them.
    """
    found = []
    for budget in sorted({round(line["at"]) for line in lines} - {0}):
        within = [line for line in lines if 0 < line["evaluations"] <= budget]
        best = {}
        for name in within[0]["scores"] if within else ():
            if REPORTED[name].best:
                sign = 1 if REPORTED[name].best == "high" else -1
                known = [line for line in within if line["scores"][name]["mean"] is not None]
                if known:
                    winner = max(known, key=lambda line, m=name, s=sign: s * line["scores"][m]["mean"])  # type: ignore[misc]
                    best[name] = winner["key"]
        found.append({"evaluations": budget, "best": best})
    return found
