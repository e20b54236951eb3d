"""The page "What replicates", from the reports of the studies beside it and the claims in claims.toml.

    python docs/replication/render.py

writes docs/replication/index.md. A verdict is not written by hand: a difference counts when its interval lies on the
side of zero that the paper claims.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
PAGE = FOLDER / "index.md"
LABELS = {
    "psnr_rgb": "PSNR",
    "ssim_rgb": "SSIM",
    "lpips_hed": "LPIPS-HED",
    "within_mode_variance": "variance in a mode",
}
LABELS |= {"hole_psnr_rgb": "PSNR of the hole", "hole_ssim_rgb": "SSIM of the hole", "seconds": "seconds"}
DIGITS = {"psnr_rgb": 2, "hole_psnr_rgb": 2, "seconds": 2}  # the rest has three
UNITS = {"psnr_rgb": " dB", "hole_psnr_rgb": " dB", "seconds": " s"}
PAPERS = {"psnr_rgb": "psnr", "ssim_rgb": "ssim", "lpips_hed": "lpips", "seconds": "seconds"}
PAPER_LABELS = {"psnr": "PSNR", "ssim": "SSIM", "lpips": "LPIPS", "seconds": "seconds"}


@dataclass(frozen=True)
class Difference:
    """One paired difference of a report.

    Attributes:
        metric: Of the report.
        sign: 1 if the paper claims that it is positive, -1 if negative.
        mean: Over the photos.
        low: Lower end of the 95% interval of the mean.
        high: Upper end.
        paper: The paper's difference; None where it prints none.
    """

    metric: str
    sign: int
    mean: float
    low: float
    high: float
    paper: float | None = None

    @property
    def holds(self) -> bool:
        """Whether the whole interval lies on the claimed side of zero."""
        return min(self.sign * self.low, self.sign * self.high) > 0

    @property
    def is_reversed(self) -> bool:
        """Whether the whole interval lies on the other side."""
        return max(self.sign * self.low, self.sign * self.high) < 0


def load_reports(folder: Path = FOLDER) -> dict[str, dict[str, Any]]:
    """The reports of the studies by name, and the toy's record as "toy"."""
    reports = {path.parent.name: json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*/report.json")}
    toy = folder / "toy" / "toy_fig2.json"
    return reports | ({"toy": json.loads(toy.read_text(encoding="utf-8"))} if toy.exists() else {})


def load_claims(folder: Path = FOLDER) -> dict[str, list[dict[str, Any]]]:
    """`claims` of the paper and `questions` beyond it."""
    return tomllib.loads((folder / "claims.toml").read_text(encoding="utf-8"))


def differences(part: Mapping[str, Any], reports: Mapping[str, Any]) -> list[Difference]:
    """What a report says about a part of a claim: `study`, line `a` minus line `b`, and the claimed signs."""
    report, signs = reports[part["study"]], {metric: int(f"{sign}1") for metric, sign in part["signs"].items()}
    if part["study"] == "toy":
        found = {metric: _of_toy(report["methods"][part["a"]]["difference_to_ddim"][metric]) for metric in signs}
        return [Difference(metric, sign, **found[metric]) for metric, sign in signs.items()]
    (pair,) = (pair for pair in report["pairs"] if (pair["a"], pair["b"]) == (part["a"], part["b"]))
    return [
        Difference(
            metric,
            sign,
            **{name: pair["scores"][metric][name] for name in ("mean", "low", "high")},
            paper=pair["paper"].get(PAPERS.get(metric, "")),
        )
        for metric, sign in signs.items()
    ]


def _of_toy(number: Mapping[str, float]) -> dict[str, float]:
    """Mean and normal interval over the seeds."""
    mean, error = number["mean"], number["standard_error"]
    return {"mean": mean, "low": mean - 1.96 * error, "high": mean + 1.96 * error}


def verdict(found: Sequence[Difference]) -> str:
    """Of a claim: yes, no, in part, or not testable here (without differences)."""
    if not found:
        return "not testable here"
    if all(one.holds for one in found):
        return "yes"
    return "in part" if any(one.holds for one in found) else "no"


def describe(one: Difference) -> str:
    """Mean and interval; what speaks against the claim is marked."""
    digits = DIGITS.get(one.metric, 3)
    numbers = f"{one.mean:+.{digits}f} [{one.low:+.{digits}f}, {one.high:+.{digits}f}]{UNITS.get(one.metric, '')}"
    mark = "" if one.holds else " (**the other way**)" if one.is_reversed else " (**open**)"
    return f"{LABELS[one.metric]} {numbers}{mark}"


def describe_paper(one: Difference) -> str:
    """The paper's difference."""
    name = PAPERS.get(one.metric, "")
    return "" if one.paper is None else f"{PAPER_LABELS[name]} {one.paper:+.3g}{UNITS.get(one.metric, '')}"


def row(claim: Mapping[str, Any], reports: Mapping[str, Any]) -> list[str]:
    """A line of the table: claim, the paper's numbers, ours, verdict, why."""
    theirs, ours, everything = [], [], []
    for part in claim.get("parts", ()):
        found = differences(part, reports)
        everything += found
        name = f"{part['name']}: " if "name" in part else ""
        if published := [text for one in found if (text := describe_paper(one))]:
            theirs.append(name + ", ".join(published))
        ours.append(name + ", ".join(map(describe, found)) + f" ({sample_of(part['study'], reports)})")
    paper = [claim["paper"]] if "paper" in claim else []
    cells = ["<br>".join(paper + theirs), "<br>".join(ours) or "—", f"**{verdict(everything)}**", claim["why"]]
    return [f"{claim['claim']} ({claim['source']})", *cells]


def sample_of(study: str, reports: Mapping[str, Any]) -> str:
    """How many photos, with a link to the report."""
    if study == "toy":
        return f"{reports['toy']['settings']['n_seeds']} seeds, [toy](../toy.md)"
    return f"{reports[study]['photos']} photos, [{study}]({study}/report.md)"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Of Markdown."""
    escaped = [[cell.replace("|", "\\|").strip() for cell in one] for one in (head, ["---"] * len(head), *rows)]
    return "\n".join("| " + " | ".join(one) + " |" for one in escaped)


def question_row(question: Mapping[str, Any], reports: Mapping[str, Any]) -> list[str]:
    """A line of the second table: question, ours, reading."""
    ours = []
    for part in question["parts"]:
        found = differences({**part, "signs": dict.fromkeys(part["metrics"], "+")}, reports)
        texts = [describe(one).replace(" (**the other way**)", "").replace(" (**open**)", "") for one in found]
        ours.append(f"{part['name']}: {', '.join(texts)} ({sample_of(part['study'], reports)})")
    return [question["question"], "<br>".join(ours), question["reading"]]


def count(claims: Sequence[Mapping[str, Any]], reports: Mapping[str, Any]) -> dict[str, int]:
    """How many claims got each verdict."""
    verdicts = [row(claim, reports)[3].strip("*") for claim in claims]
    return {name: verdicts.count(name) for name in ("yes", "in part", "no", "not testable here")}


def budgets(report: Mapping[str, Any]) -> str:
    """What is best at a number of model evaluations, by PSNR and by LPIPS-HED."""
    lines = {line["key"]: line for line in report["lines"]}
    rows = []
    for budget in report["budgets"]:
        cells = [str(budget["evaluations"])]
        for metric in ("psnr_rgb", "lpips_hed"):
            line = lines[budget["best"][metric]]
            number = line["scores"][metric]
            digits = DIGITS.get(metric, 3)
            cells.append(f"{line['label']}: {number['mean']:.{digits}f}{UNITS.get(metric, '')}")
        rows.append(cells)
    return table(["evaluations at most", "best PSNR", "best LPIPS-HED (less is better)"], rows)


def commands(reports: Mapping[str, Any]) -> str:
    """How every report was made."""
    return "\n".join(report["command"] for name, report in sorted(reports.items()) if name != "toy")


def page(claims: Mapping[str, Sequence[Mapping[str, Any]]], reports: Mapping[str, Any]) -> str:
    """The page."""
    counts = count(claims["claims"], reports)
    head = ["claim", "the paper's numbers", "ours", "replicates", "why"]
    return (
        (FOLDER / "page.md.in")
        .read_text(encoding="utf-8")
        .format(
            counts=", ".join(f"{number} {name}" for name, number in counts.items()),
            claims=table(head, [row(claim, reports) for claim in claims["claims"]]),
            questions=table(
                ["question", "ours", "what it says"], [question_row(one, reports) for one in claims["questions"]]
            ),
            budgets=budgets(reports["front"]),
            commands=commands(reports),
            front=reports["front"]["photos"],
        )
    )


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(load_claims(), load_reports()), encoding="utf-8")


if __name__ == "__main__":
    main()
