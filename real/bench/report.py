"""From rows to a report: means with intervals, paired differences, the paper's numbers beside them, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from real.bench.endings import ENDINGS
from real.bench.metrics import REPORTED
from real.bench.paper import PaperRow, find_row, paper_rows
from real.bench.plan import Line, LinePair, Study
from real.bench.sets import set_scores
from real.bench.statistics import LEVEL, mean_with_interval, paired
from real.bench.store import EnsembleStore

__all__ = ["render", "summarise"]


def summarise(
    study: Study, lines: Sequence[Line], seeds: Sequence[int], store: EnsembleStore, photos: Sequence[str]
) -> dict[str, Any]:
    """Numbers of a report.

    Args:
        study: What is compared, and which of the paper's rows stand beside it.
        lines: The lines of the study that were drawn.
        seeds: Over which a photo's scores are averaged.
        store: With all that the lines need of every photo.
        photos: Names of the photos that count.

    Returns:
        `photos` (how many), `lines` (`change` is against the first line, photo by photo), `pairs`, `budgets` (best
        lines at a cost; only of `front`), and `paper`: every row of the paper's table.
    """
    published = paper_rows() if study.paper else ()
    numbers = {line.key: LineNumbers.of(line, seeds, store, photos) for line in lines}
    beside = {line.key: _beside(line, study, published) for line in lines}
    first = numbers[lines[0].key]
    tables = {study.paper.get("table")} | {line.paper.get("table") for line in lines}
    summary: dict[str, Any] = {
        "photos": len(photos),
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
        by_photo = {key: found.means["psnr_rgb"].tolist() for key, found in numbers.items()}
        summary["by_photo"] = {"photos": list(photos), **by_photo}
    return summary


@dataclass(frozen=True)
class LineNumbers:
    """What was measured of a line.

    Attributes:
        values: By metric, (photos, seeds).
        means: By metric, over the seeds, (photos,).
        sets: Metrics of all photos together, of the first seed.
        evaluations: The most that a photo took.
    """

    values: Mapping[str, np.ndarray]
    means: Mapping[str, np.ndarray]
    sets: Mapping[str, float]
    evaluations: int

    @classmethod
    def of(cls, line: Line, seeds: Sequence[int], store: EnsembleStore, photos: Sequence[str]) -> LineNumbers:
        """Read them from the store."""
        found = [[store.of(photo, line, seed) for seed in seeds] for photo in photos]
        names = found[0][0]["scores"]
        values = {name: np.array([[one["scores"][name] for one in row] for row in found]) for name in names}
        sets = set_scores([row[0] for row in found], str(line.particles), line.ending)
        most = max(one["evaluations"] for row in found for one in row)
        return cls(values, {name: numbers.mean(1) for name, numbers in values.items()}, sets, most)


def _line(line: Line, own: LineNumbers, first: LineNumbers) -> dict[str, Any]:
    of_sets = {metric: {"mean": value, "low": None, "high": None} for metric, value in own.sets.items()}
    return {
        "key": line.key,
        "label": line.label,
        "ending": ENDINGS[line.ending].what,
        "group": line.group,
        "at": line.at,
        "particles": line.particles,
        "evaluations": own.evaluations,
        "scores": {m: mean_with_interval(v) for m, v in own.means.items()} | of_sets,
        "change": {m: mean_with_interval(v - first.means[m]) for m, v in own.means.items() if m in first.means},
    }


def _pair(
    pair: LinePair, numbers: Mapping[str, LineNumbers], beside: Mapping[str, Any], seeds: Sequence[int]
) -> dict[str, Any]:
    a, b = numbers[pair.a], numbers[pair.b]
    shared = [metric for metric in a.means if metric in b.means]
    scores = {metric: paired(a.means[metric], b.means[metric]) for metric in shared}
    if len(seeds) > 1:
        for metric in shared:
            by_seed = (a.values[metric] - b.values[metric]).mean(0)
            scores[metric]["by_seed"] = dict(zip(map(str, seeds), by_seed.tolist(), strict=True))
    theirs = {m: round(v - beside[pair.b][m], 6) for m, v in beside[pair.a].items() if m in beside[pair.b]}
    return {"a": pair.a, "b": pair.b, "what": pair.what, "scores": scores, "paper": theirs}


def _beside(line: Line, study: Study, published: Sequence[PaperRow]) -> dict[str, float]:
    return dict(find_row(published, {**study.paper, **line.paper}).values) if line.paper else {}


def _budgets(lines: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """At every budget and by every metric the line that is best among those that cost no more."""
    found = []
    for budget in sorted({round(line["at"]) for line in lines}):
        within = [line for line in lines if 0 < line["evaluations"] <= budget]
        best = {}
        for name in within[0]["scores"] if within else ():
            if REPORTED[name].best:
                sign = 1 if REPORTED[name].best == "high" else -1
                winner = max(within, key=lambda line, m=name, s=sign: s * line["scores"][m]["mean"])  # type: ignore[misc]
                best[name] = winner["key"]
        found.append({"evaluations": budget, "best": best})
    return found


def render(report: Mapping[str, Any]) -> str:
    """A report as Markdown, from the content of `report.json`."""
    s = report["settings"]
    parts = [f"# {report['study']}: {report['title']}", report["about"]]
    parts.append(
        f"{report['photos']} photos; model {report['model']}; unless a line says otherwise N = {s['particles']}, "
        f"{s['steps']} steps of {s['sampler']}, h = {s['bandwidth']}, strength {s['strength']:g} while t/T is at least "
        f"{s['cutoff']:g}, seed {', '.join(map(str, report['grid']['seed']))}."
    )
    if "backbone" in report:
        parts.append(_backbone(report["backbone"], s))
    if "prompt" in report:
        parts.append(_text(report))
    parts.append(f"```text\n{report['command']}\n```")
    if report["left_out"]:
        parts.append("Left out:\n\n" + "\n".join(f"- {name}: {why}" for name, why in report["left_out"].items()))
    parts.append(
        f"In brackets: Student's interval of the mean over photos ({LEVEL:.0%}). PSNR and SSIM of the paper stand "
        "beside ours in RGB; its models and photos differ, so compare differences."
    )
    parts.append("## Lines\n\n" + _lines_table(report["lines"]))
    if report["budgets"]:
        parts.append("## Best at a cost\n\n" + _budget_table(report))
    if report["pairs"]:
        parts.append(
            "## Differences\n\nPaired by photo, from the same noise: the mean, p of the two-sided paired t test (not "
            "corrected for the number of differences), and in how many photos the first is larger.\n\n"
            + _pairs_table(report["pairs"], report["photos"])
        )
    parts.append(f"![plot]({report['study']}.png)")
    if report["paper"]:
        parts.append("## All numbers of the paper's table\n\n" + _paper_table(report["paper"]))
    return "\n\n".join(part for part in parts if part) + "\n"


def _backbone(recipe: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """Where sampling starts and on which timesteps, which results hang on."""
    return (
        f"{recipe['paper']}: start {recipe['start']}, {recipe['time_grid']} time grid, last alpha "
        f"{recipe['last_alpha']}, guidance {settings['guidance']:g} unless a line says otherwise, colours "
        f'{recipe["colours"]}, negative prompt "{recipe["negative_prompt"]}".'
    )


def _text(report: Mapping[str, Any]) -> str:
    """What a pipeline was told beside the photo."""
    text = f'Prompt "{report["prompt"]}", negative prompt "{report["negative_prompt"]}"'
    text += f", noise level {report['noise_level']}" if "noise_level" in report else ""
    if report["prompt"] == report["negative_prompt"] and max(report["grid"]["guidance"]) > 1.0:
        text += "; the two are the same, so guidance changes nothing"
    return f"{text}."


def _lines_table(lines: Sequence[Mapping[str, Any]]) -> str:
    columns = _columns(lines)
    body = [
        [line["label"], str(line["evaluations"])]
        + [
            _paper(line, m, "g") if beside else _mean(line["scores"].get(m), REPORTED[m].digits)
            for m, beside in columns
        ]
        for line in lines
    ]
    return _table(["line", "evaluations", *_heads(columns)], body)


def _pairs_table(pairs: Sequence[Mapping[str, Any]], photos: int) -> str:
    columns = [(m, beside) for m, beside in _columns(pairs) if m not in ("psnr_y", "ssim_y")]
    body = [
        [pair["what"]]
        + [
            _paper(pair, m, "+.3g") if beside else _difference(pair["scores"].get(m), REPORTED[m].digits, photos)
            for m, beside in columns
        ]
        for pair in pairs
    ]
    return _table(["difference", *_heads(columns)], body)


def _columns(entries: Sequence[Mapping[str, Any]]) -> list[tuple[str, bool]]:
    """Metrics that some entry has; after each, where some entry has the paper's, (metric, True)."""
    columns = []
    for metric in REPORTED:
        if any(metric in entry["scores"] for entry in entries):
            columns.append((metric, False))
            if any(REPORTED[metric].paper in entry["paper"] for entry in entries):
                columns.append((metric, True))
    return columns


def _heads(columns: Sequence[tuple[str, bool]]) -> list[str]:
    return [f"paper's {REPORTED[m].paper}" if beside else REPORTED[m].label for m, beside in columns]


def _paper(entry: Mapping[str, Any], metric: str, style: str) -> str:
    value = entry["paper"].get(REPORTED[metric].paper)
    return "" if value is None else format(value, style)


def _budget_table(report: Mapping[str, Any]) -> str:
    lines = {line["key"]: line for line in report["lines"]}
    metrics = list(dict.fromkeys(m for budget in report["budgets"] for m in budget["best"]))
    body = []
    for budget in report["budgets"]:
        cells = [str(budget["evaluations"])]
        for m in metrics:
            key = budget["best"].get(m)
            cells.append(f"{lines[key]['label']}: {_mean(lines[key]['scores'][m], REPORTED[m].digits)}" if key else "")
        body.append(cells)
    return _table(["evaluations at most", *(f"best {REPORTED[m].label}" for m in metrics)], body)


def _paper_table(rows: Sequence[Mapping[str, Any]]) -> str:
    columns = ("table", "text", "backbone", "dataset", "sampler", "method", "n_particles")
    metrics = list(dict.fromkeys(m for row in rows for m in row["values"]))
    body = [
        [row[c] for c in columns] + [f"{row['values'][m]:g}" if m in row["values"] else "" for m in metrics]
        for row in rows
    ]
    return _table([*columns[:-1], "N", *metrics], body)


def _table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in (head, ["---"] * len(head), *body)]
    return "\n".join("| " + " | ".join(row) + " |" for row in escaped)


def _mean(number: Mapping[str, Any] | None, digits: int) -> str:
    if number is None:
        return ""
    ends = "" if number["low"] is None else f" [{number['low']:.{digits}f}, {number['high']:.{digits}f}]"
    return f"{number['mean']:.{digits}f}{ends}"


def _difference(number: Mapping[str, Any] | None, digits: int, photos: int) -> str:
    if number is None:
        return ""
    ends = "" if number["low"] is None else f" [{number['low']:+.{digits}f}, {number['high']:+.{digits}f}]"
    p = "" if number["p"] is None else f", p = {number['p']:.2g}"
    return f"{number['mean']:+.{digits}f}{ends}{p}, {number['positive']} of {photos}"
