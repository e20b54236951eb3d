"""A report as Markdown, from the content of `report.json`: tables of lines and of their differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from real.bench.metrics import REPORTED
from real.bench.statistics import LEVEL

__all__ = ["render"]


def render(report: Mapping[str, Any]) -> str:
    """A report as Markdown, from the content of `report.json`."""
    s = report["settings"]
    parts = [f"# {report['study']}: {report['title']}", report["about"]]
    parts.append(
        f"{report['photos']} photos; model {report['model']}; unless a line says otherwise N = {s['particles']}, "
        f"{s['steps']} steps of {s['sampler']}, h = {s['bandwidth']}, strength {s['strength']:g} while t/T is at least "
        f"{s['cutoff']:g}, seed {', '.join(map(str, report['grid']['seed']))}."
    )

    # Which of the following there are depends on the model, the study and the photos.
    if "backbone" in report:
        parts.append(_backbone(report["backbone"], s))
    if "prompt" in report:
        parts.append(_text(report))

    parts.append(f"```text\n{report['command']}\n```")

    if "threads" in report:
        parts.append(f"Number of CPU threads where time was measured: {report['threads']}.")
    if report["left_out"]:
        parts.append("Left out:\n\n" + "\n".join(f"- {name}: {why}" for name, why in report["left_out"].items()))
    if report.get("not_finite"):
        parts.append(_not_finite(report))

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
    """Where sampling starts and on which timesteps, which results depend on."""
    return (
        f"{recipe['paper']}: start {recipe['start']}, {recipe['time_grid']} time grid, last alpha "
        f"{recipe['last_alpha']}, guidance {settings['guidance']:g} unless a line says otherwise, colour fix "
        f'{recipe["colour_fix"]}, negative prompt "{recipe["negative_prompt"]}".'
    )


def _text(report: Mapping[str, Any]) -> str:
    """What a pipeline got besides the photo."""
    text = f'Prompt "{report["prompt"]}", negative prompt "{report["negative_prompt"]}"'
    text += f", noise level {report['noise_level']}" if "noise_level" in report else ""
    if report["prompt"] == report["negative_prompt"] and max(report["grid"]["guidance"]) > 1.0:
        text += "; the two are the same, so guidance changes nothing"
    return f"{text}."


def _not_finite(report: Mapping[str, Any]) -> str:
    """Which photos some means are without: an infinite PSNR, say, of a picture without error."""
    labels = {line["key"]: line["label"] for line in report["lines"]}
    named = [
        f"- {entry['photo']}: {REPORTED[entry['metric']].label} of {'; '.join(labels[key] for key in entry['lines'])}"
        for entry in report["not_finite"]
    ]
    return "Not finite, so that the photo is left out of this number in every line:\n\n" + "\n".join(named)


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
    if number is None or number["mean"] is None:
        return ""
    ends = "" if number["low"] is None else f" [{number['low']:.{digits}f}, {number['high']:.{digits}f}]"
    return f"{number['mean']:.{digits}f}{ends}"


def _difference(number: Mapping[str, Any] | None, digits: int, photos: int) -> str:
    if number is None or number["mean"] is None:
        return ""
    ends = "" if number["low"] is None else f" [{number['low']:+.{digits}f}, {number['high']:+.{digits}f}]"
    n = number.get("photos", photos)  # fewer than in the study where some number is not finite
    p = "" if number["p"] is None else f", p = {number['p']:.2g}"
    return f"{number['mean']:+.{digits}f}{ends}{p}, {number['positive']} of {n}"
