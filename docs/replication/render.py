"""The page "What replicates", from the reports of the studies beside it and the claims in claims.toml.

    python docs/replication/render.py

writes docs/replication/index.md. A verdict is not written by hand: `real.bench.verdicts` judges all comparisons of the
page together.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from real.bench.statistics import two_sided
from real.bench.verdicts import MeasuredDifference, judge, together

FOLDER = Path(__file__).parent
PAGE = FOLDER / "index.md"
NOT_TESTABLE = "not testable here"
NOT_RUN = "not run yet"
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
SIGNS = {"+": 1, "-": -1, "0": 0}


@dataclass(frozen=True)
class Difference:
    """One paired difference of a report.

    Attributes:
        metric: Of the report.
        sign: 1 if the paper claims that it is positive, -1 if negative, 0 if too small to matter.
        mean: Over the photos.
        low: Lower end of the 95% interval of the mean; None for one photo.
        high: Upper end.
        standard_error: Of the mean.
        p: Of the two-sided test that it is 0.
        photos: How many; of the toy seeds.
        paper: The paper's difference; None where it prints none.
        decides: False for a substitute.
    """

    metric: str
    sign: int
    mean: float
    low: float | None
    high: float | None
    standard_error: float | None
    p: float | None
    photos: int
    paper: float | None = None
    decides: bool = True

    @property
    def measured(self) -> MeasuredDifference:
        """As `real.bench.verdicts` takes it."""
        return MeasuredDifference(
            self.metric, self.sign or 1, self.mean, self.standard_error, self.p, self.photos
        )

    def read(self, verdict: str) -> str:
        """The verdict on the claim, given that on the difference: a claim of none is right where there is none."""
        if self.sign:
            return verdict
        return {"no difference that matters": "yes", "open": "open"}.get(verdict, "no")


def load_reports(folder: Path = FOLDER) -> dict[str, dict[str, Any]]:
    """The reports of the studies by name, and the toy's record as "toy"."""
    reports = {path.parent.name: json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*/report.json")}
    toy = folder / "toy" / "toy_fig2.json"
    return reports | ({"toy": json.loads(toy.read_text(encoding="utf-8"))} if toy.exists() else {})


def load_claims(folder: Path = FOLDER) -> dict[str, list[dict[str, Any]]]:
    """`claims` of the paper and `questions` beyond it."""
    return tomllib.loads((folder / "claims.toml").read_text(encoding="utf-8"))


def differences(part: Mapping[str, Any], reports: Mapping[str, Any]) -> list[Difference]:
    """What a report says about a part of a claim: `study`, line `a` minus line `b`, `signs` and `substitutes`.

    Nothing where the study was not run, or without these lines.
    """
    if not was_run(part, reports):
        return []
    report, found = reports[part["study"]], []
    for decides, signs in ((True, part.get("signs", {})), (False, part.get("substitutes", {}))):
        for metric, sign in signs.items():
            numbers, paper = _numbers(part, report, metric), None
            if part["study"] != "toy" and decides | (metric == "lpips_hed"):
                paper = _pair(part, report)["paper"].get(PAPERS.get(metric, ""))
            found.append(Difference(metric, SIGNS[sign], **numbers, paper=paper, decides=decides))
    return found


def was_run(part: Mapping[str, Any], reports: Mapping[str, Any]) -> bool:
    """Whether there is a report that compares the two lines of a part."""
    report = reports.get(part["study"])
    return report is not None and (part["study"] == "toy" or bool(_pairs(part, report)))


def _pairs(part: Mapping[str, Any], report: Mapping[str, Any]) -> list[dict[str, Any]]:
    h = [value if isinstance(value, str) else f"{value:g}" for value in report["grid"]["bandwidth"]]
    wanted = part["a"].format(h=h), part["b"].format(h=h)
    return [pair for pair in report["pairs"] if (pair["a"], pair["b"]) == wanted]


def _pair(part: Mapping[str, Any], report: Mapping[str, Any]) -> dict[str, Any]:
    (pair,) = _pairs(part, report)
    return pair


def _numbers(part: Mapping[str, Any], report: Mapping[str, Any], metric: str) -> dict[str, Any]:
    if part["study"] != "toy":
        names = ("mean", "low", "high", "standard_error", "p")
        return {"photos": report["photos"], **{name: _pair(part, report)["scores"][metric][name] for name in names}}
    seeds = report["settings"]["n_seeds"]
    number = report["methods"][part["a"]]["difference_to_ddim"][metric]
    mean, error = number["mean"], number["standard_error"]
    ends = {"low": mean - 1.96 * error, "high": mean + 1.96 * error}
    return {"mean": mean, **ends, "standard_error": error, "p": two_sided(mean, error, seeds), "photos": seeds}


def judgements(
    claims: Sequence[Mapping[str, Any]], reports: Mapping[str, Any]
) -> list[list[tuple[Difference, str]]]:
    """Every claim's differences that decide, each with its verdict; all of the page count for Holm's correction."""
    of_claims = [
        [one for part in claim.get("parts", ()) for one in differences(part, reports) if one.decides]
        for claim in claims
    ]
    judged = iter(judge([one.measured for found in of_claims for one in found]))
    return [[(one, one.read(next(judged))) for one in found] for found in of_claims]


def verdicts(claims: Sequence[Mapping[str, Any]], reports: Mapping[str, Any]) -> list[str]:
    """The verdict on every claim; it has none as long as a part of it that decides was not run."""
    read = [[verdict for _, verdict in found] for found in judgements(claims, reports)]
    waiting = [
        any(part.get("signs") and not was_run(part, reports) for part in claim.get("parts", ())) for claim in claims
    ]
    testable = [together(found) if found else NOT_TESTABLE for found in read]
    return [NOT_RUN if waits else verdict for waits, verdict in zip(waiting, testable, strict=True)]


def describe(one: Difference) -> str:
    """Mean and interval."""
    return f"{LABELS[one.metric]} {change({'mean': one.mean, 'low': one.low, 'high': one.high}, one.metric)}"


def describe_paper(one: Difference) -> str:
    """The paper's difference."""
    name = PAPERS.get(one.metric, "")
    return "" if one.paper is None else f"{PAPER_LABELS[name]} {one.paper:+.3g}{UNITS.get(one.metric, '')}"


def headline(claim: Mapping[str, Any], judged: Sequence[tuple[Difference, str]], reports: Mapping[str, Any]) -> str:
    """One number: the first whose verdict is the claim's; a substitute's where none decides."""
    stand_ins = [one for part in claim.get("parts", ()) for one in differences(part, reports) if not one.decides]
    verdict = together([verdict for _, verdict in judged]) if judged else None
    found = [one for one, its_own in judged if its_own == verdict] or stand_ins
    if not found:
        return ""
    one = found[0]
    text = f"{LABELS[one.metric]} {one.mean:+.{DIGITS.get(one.metric, 3)}f}{UNITS.get(one.metric, '')}"
    return text if one.decides else f"({text})"


def card(claim: Mapping[str, Any], verdict: str, reports: Mapping[str, Any]) -> str:
    """The details of a claim, folded: the paper's numbers, ours, the substitutes', and why."""
    theirs, ours, stand_ins = [claim["paper"]] if "paper" in claim else [], [], []
    for part in claim.get("parts", ()):
        found, name = differences(part, reports), f"{part['name']}: " if "name" in part else ""
        if not found:
            ours.append(f"{name}not run yet")
        if published := [text for one in found if (text := describe_paper(one))]:
            theirs.append(name + ", ".join(published))
        for rows, decides in ((ours, True), (stand_ins, False)):
            if texts := [describe(one) for one in found if one.decides == decides]:
                rows.append(f"{name}{', '.join(texts)} ({sample_of(part['study'], reports)})")
    lines = [f"<details markdown>\n<summary>{claim['claim']} ({claim['source']}): <b>{verdict}</b></summary>\n"]
    for title, texts in (
        ("The paper", theirs),
        ("Here", ours),
        ("Substitutes for what cannot be computed here, which decide nothing", stand_ins),
    ):
        if texts:
            lines.append(f"{title}:\n\n" + "\n".join(f"- {text}" for text in texts) + "\n")
    return "\n".join([*lines, claim["why"], "\n</details>"])


def sample_of(study: str, reports: Mapping[str, Any]) -> str:
    """How many photos and seeds, with a link to the report."""
    if study == "toy":
        return f"{reports['toy']['settings']['n_seeds']} seeds, [toy](../toy.md)"
    seeds = len(reports[study]["grid"]["seed"])
    crossed = f", {seeds} seeds each" if seeds > 1 else ""
    return f"{reports[study]['photos']} photos{crossed}, [{study}]({study}/report.md)"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Of Markdown."""
    escaped = [[cell.replace("|", "\\|").strip() for cell in one] for one in (head, ["---"] * len(head), *rows)]
    return "\n".join("| " + " | ".join(one) + " |" for one in escaped)


def question_card(question: Mapping[str, Any], reports: Mapping[str, Any]) -> str:
    """A question with its answer, and the numbers folded below."""
    if not any(was_run(part, reports) for part in question["parts"]):
        return f"**{question['question']}** Not run yet."
    lines = [f"**{question['question']}** {question['reading']}\n", "<details markdown>\n<summary>numbers</summary>\n"]
    for part in question["parts"]:
        if not was_run(part, reports):
            lines.append(f"- {part['name']}: not run yet")
            continue
        found = differences({**part, "signs": dict.fromkeys(part["metrics"], "+")}, reports)
        lines.append(f"- {part['name']}: {', '.join(map(describe, found))} ({sample_of(part['study'], reports)})")
    return "\n".join([*lines, "\n</details>"])


def count(found: Sequence[str]) -> dict[str, int]:
    """How many claims got each verdict."""
    names = ("yes", "no", "no difference that matters", "open", NOT_TESTABLE)
    return {name: found.count(name) for name in [*names, *([NOT_RUN] if NOT_RUN in found else [])]}


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


def advice(report: Mapping[str, Any]) -> str:
    """What to do with little, with some and with much compute: a sentence each, from the lines that are best."""
    lines = {line["key"]: line for line in report["lines"]}
    found, sentences = report["budgets"], []
    for budget in (found[0], found[len(found) // 2], found[-1]):
        psnr, distance = (lines[budget["best"][metric]] for metric in ("psnr_rgb", "lpips_hed"))
        values = f"{psnr['scores']['psnr_rgb']['mean']:.2f} dB", f"{distance['scores']['lpips_hed']['mean']:.3f}"
        start = f"With {budget['evaluations']} evaluations a photo take"
        if psnr is distance:
            both = f"no way of sampling has more PSNR ({values[0]}) or less LPIPS-HED"
            sentences.append(f"{start} *{psnr['label']}*: {both}.")
        else:
            both = f"*{psnr['label']}* for PSNR ({values[0]}) and *{distance['label']}* for LPIPS-HED ({values[1]})"
            sentences.append(f"{start} {both}.")
    return " ".join(sentences)


def without_sampling(report: Mapping[str, Any]) -> str:
    """What is better than every way of sampling at any budget, though it does not sample; "" if nothing is."""
    sentences = []
    for metric, sign, better in (("psnr_rgb", 1, "more"), ("lpips_hed", -1, "less")):
        score = {line["label"]: sign * line["scores"][metric]["mean"] for line in report["lines"]}
        sampled = max(score[line["label"]] for line in report["lines"] if line["evaluations"])
        free = max((line["label"] for line in report["lines"] if not line["evaluations"]), key=score.__getitem__)
        if score[free] > sampled:
            value = f"{sign * score[free]:.{DIGITS.get(metric, 3)}f}{UNITS.get(metric, '')}"
            name = free[:1].upper() + free[1:]
            sentences.append(f"*{name}* has {better} {LABELS[metric]} ({value}) than any of these.")
    return " ".join(sentences)


def cheaper(report: Mapping[str, Any]) -> str:
    """Whether something at a tenth of the cost of KDS at its largest budget does as well; "" where nothing says so."""
    most = max(budget["evaluations"] for budget in report["budgets"])
    labels = {line["key"]: line["label"] for line in report["lines"]}
    pairs = [pair for pair in report["pairs"] if pair["b"] == f"KDS-{most}" and pair["a"].endswith(f"-{most // 10}")]
    if not pairs:
        return ""
    rows = [
        [labels[pair["a"]], *(change(pair["scores"][metric], metric) for metric in ("psnr_rgb", "lpips_hed"))]
        for pair in pairs
    ]
    head = ["line", "PSNR", "LPIPS-HED (less is better)"]
    both = [pair for pair in pairs if _above(pair["scores"]["psnr_rgb"], 1) and _above(pair["scores"]["lpips_hed"], -1)]
    found = f"{len(both)} of {len(pairs)} are better by both scores, with intervals that leave out 0."
    return f"At {most // 10} evaluations, minus KDS at {most}; {found}\n\n{table(head, rows)}"


def _above(number: Mapping[str, Any], sign: int) -> bool:
    """Whether the interval of a difference lies on the side of this sign."""
    ends = number["low"], number["high"]
    return None not in ends and min(sign * end for end in ends) > 0


def change(number: Mapping[str, Any], metric: str) -> str:
    """A difference with its interval."""
    digits = DIGITS.get(metric, 3)
    ends = "" if number["low"] is None else f" [{number['low']:+.{digits}f}, {number['high']:+.{digits}f}]"
    return f"{number['mean']:+.{digits}f}{ends}{UNITS.get(metric, '')}"


def of_one_sample(report: Mapping[str, Any]) -> dict[str, list[tuple[int, float]]]:
    """Evaluations and PSNR of one sample, by solver."""
    return {
        solver: sorted(
            (line["evaluations"], line["scores"]["psnr_rgb"]["mean"])
            for line in report["lines"]
            if re.fullmatch(rf"{name}-\d+", line["key"])
        )
        for name, solver in (("DDIM", "DDIM"), ("2S", "DPM-Solver++ 2S"))
    }


def few_steps(report: Mapping[str, Any]) -> str:
    """PSNR of one sample by its number of evaluations, for each solver."""
    return "; ".join(
        f"{solver} has " + ", ".join(f"{psnr:.2f} dB with {evaluations}" for evaluations, psnr in found)
        for solver, found in of_one_sample(report).items()
    )


def fewer_steps(report: Mapping[str, Any]) -> str:
    """Whether one sample has more PSNR the fewer its steps."""
    falls = {
        all(more > less for (_, more), (_, less) in pairwise(found)) for found in of_one_sample(report).values()
    }
    if falls == {True}:
        return "Fewer steps have more PSNR with both solvers, since they blur."
    return "Whether few steps have more PSNR depends on the solver."


def front(report: Mapping[str, Any] | None) -> str:
    """What is best at equal cost."""
    if report is None:
        return "The study of equal cost, `front`, was not run yet."
    parts = [
        "**What is best at a cost?** Cost is counted in evaluations of the denoiser by all particles (`front`, "
        f"[{report['photos']} photos](front/report.md)); PSNR rewards blur. "
        "The winners are picked among many lines on the same photos, so hundredths of a decibel between them mean "
        "nothing.",
        f"{advice(report)} {without_sampling(report)}",
        budgets(report),
        cheaper(report),
        f"{fewer_steps(report)} One sample of {few_steps(report)}.",
        "![Distortion against perception of all settings of the study front](front/front.png){ .figure loading=lazy }",
        "*PSNR against LPIPS-HED: [in full size](front/front.png), and "
        "[the same with FID-Lite0](front/front-fid-lite0.png).*",
    ]
    return "\n\n".join(part for part in parts if part)


def commands(reports: Mapping[str, Any]) -> str:
    """How every report was made."""
    return "\n".join(dict.fromkeys(report["command"] for name, report in sorted(reports.items()) if name != "toy"))


def page(claims: Mapping[str, Sequence[Mapping[str, Any]]], reports: Mapping[str, Any]) -> str:
    """The page."""
    found = verdicts(claims["claims"], reports)
    counts = ", ".join(f"{number} {name}" for name, number in count(found).items())
    rows = [
        [f"{claim['claim']} ({claim['source']})", f"**{verdict}**", headline(claim, judged, reports)]
        for claim, verdict, judged in zip(claims["claims"], found, judgements(claims["claims"], reports), strict=True)
    ]
    compared = [
        one for claim in claims["claims"] for part in claim.get("parts", ()) for one in differences(part, reports)
    ]

    return (
        (FOLDER / "page.md.in")
        .read_text(encoding="utf-8")
        .format(
            counts=counts,
            not_run="\n- **not run yet**: the study waits for machine time." if NOT_RUN in found else "",
            comparisons=sum(one.decides for one in compared),
            claims=table(["claim", "replicates", "number"], rows),
            cards="\n\n".join(card(claim, v, reports) for claim, v in zip(claims["claims"], found, strict=True)),
            questions="\n\n".join(question_card(one, reports) for one in claims["questions"]),
            front=front(reports.get("front")),
            commands=commands(reports),
        )
    )


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(load_claims(), load_reports()), encoding="utf-8")


if __name__ == "__main__":
    main()
