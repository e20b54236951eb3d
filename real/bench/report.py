"""From rows to a report: means with intervals, paired differences, the paper's numbers beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from real.bench.figures import BUDGETS
from real.bench.metrics import REPORTED
from real.bench.outcomes import OUTCOMES, evaluations_of
from real.bench.paper import PaperRow, find_row, paper_rows
from real.bench.plan import Line, PlannedDraw, Study
from real.bench.sets import set_scores
from real.bench.statistics import mean_with_interval, paired
from real.records.finite import finite_photos, not_finite
from real.records.journal import Rows

__all__ = ["summarise"]


def summarise(
    study: Study, lines: Sequence[Line], plan: Mapping[str, PlannedDraw], rows: Rows, photos: Sequence[str]
) -> dict[str, Any]:
    """Numbers of a report.

    Args:
        study: What is compared, and which of the paper's rows stand beside it.
        lines: The lines of the study.
        plan: From `draws`: which ensemble a line looks at.
        rows: With a row for every photo and ensemble.
        photos: Names of the photos that count.

    Returns:
        `photos` (how many), `not_finite` (what means are without, see `real.records.finite`), `lines` (`change` is
        against the first line, photo by photo), `pairs`, `budgets` (best lines at a cost; only of `front`), and
        `paper`: every row of the paper's table.
    """
    published = paper_rows() if study.paper else ()
    every = {line.key: _values(line, plan, rows, photos) for line in lines}
    kept = finite_photos(every)
    values = {key: {m: v[kept[m]] for m, v in of_line.items()} for key, of_line in every.items()}
    beside = {line.key: _beside(line, study, published) for line in lines}
    summary: dict[str, Any] = {"photos": len(photos), "not_finite": not_finite(every, photos), "lines": [], "pairs": []}
    for line in lines:
        costs = [_evaluations(line, plan, rows, photo) for photo in photos]
        entry = {"key": line.key, "label": line.label, "outcome": OUTCOMES[line.outcome].what, "group": line.group}
        numbers = {"at": line.at, "particles": line.run.settings.particles, "evaluations": max(costs)}
        first, own = values[lines[0].key], values[line.key]
        scores = {m: mean_with_interval(v) for m, v in own.items()} | _of_sets(line, plan, rows, photos)
        change = {m: mean_with_interval(v - first[m]) for m, v in own.items() if m in first}
        summary["lines"].append({**entry, **numbers, "scores": scores, "change": change, "paper": beside[line.key]})
    for pair in study.pairs(lines):
        a, b = values[pair.a], values[pair.b]
        both = {m: beside[pair.a][m] - beside[pair.b][m] for m in beside[pair.a] if m in beside[pair.b]}
        differences = {m: paired(a[m], b[m]) for m in a if m in b}
        theirs = {m: round(v, 6) for m, v in both.items()}
        entry = {"a": pair.a, "b": pair.b, "what": pair.what}
        summary["pairs"].append({**entry, "scores": differences, "paper": theirs})
    summary["budgets"] = _budgets(summary["lines"]) if study.plot == "front" else []
    tables = {study.paper.get("table")} | {line.paper.get("table") for line in lines}
    summary["paper"] = [
        {**row.columns, "values": dict(row.values)} for row in published if row.columns["table"] in tables
    ]
    if study.plot in ("scatter", "panels"):
        summary["by_photo"] = {
            "photos": list(photos),
            **{line.key: every[line.key]["psnr_rgb"].tolist() for line in lines},
        }
    return summary


def _values(line: Line, plan: Mapping[str, PlannedDraw], rows: Rows, photos: Sequence[str]) -> dict[str, np.ndarray]:
    """Every metric of a line, one number a photo."""
    run, n = plan[line.run.key].run.key, str(line.run.settings.particles)
    of_line = [rows[photo, run] for photo in photos]
    scores = [row["outcomes"][n][line.outcome] for row in of_line]
    # None, which is what JSON has for a number that is not finite, becomes NaN.
    values = {metric: np.array([s[metric] for s in scores], dtype=np.float64) for metric in scores[0]}
    if "cost" in of_line[0]:
        parts = OUTCOMES[line.outcome].cost
        values["seconds"] = np.array([sum(row["cost"]["seconds"][part] for part in parts) for row in of_line])
        memory = [[row["cost"]["memory_gb"][part] for part in parts] for row in of_line]
        if not any(None in pieces for pieces in memory):
            values["memory_gb"] = np.array([max(pieces) for pieces in memory])
    return values


def _of_sets(
    line: Line, plan: Mapping[str, PlannedDraw], rows: Rows, photos: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Metrics of all photos together: one number, without an interval."""
    of_line = [rows[photo, plan[line.run.key].run.key] for photo in photos]
    distances = set_scores(of_line, str(line.run.settings.particles), line.outcome)
    return {metric: {"mean": value, "low": None, "high": None} for metric, value in distances.items()}


def _evaluations(line: Line, plan: Mapping[str, PlannedDraw], rows: Rows, photo: str) -> int:
    row = rows[photo, plan[line.run.key].run.key]
    return evaluations_of(line.run, line.outcome, row["until_cutoff"])


def _beside(line: Line, study: Study, published: Sequence[PaperRow]) -> dict[str, float]:
    return dict(find_row(published, {**study.paper, **line.paper}).values) if line.paper else {}


def _budgets(lines: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """At every budget and by every metric the line that is best among those that cost no more."""
    found = []
    for budget in BUDGETS:
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
