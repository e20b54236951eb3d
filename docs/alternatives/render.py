"""The page "What to use when": docs/how-to/what-to-use-when.md, from page.md.in beside this file and committed reports.

    python docs/alternatives/render.py

replaces every {{ name }} by a table or a number. So no number on the page is typed; the test
tests/package/test_alternatives_page.py holds its sentences.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]
PAGE = FOLDER.parent / "how-to" / "what-to-use-when.md"
METRICS = ("psnr_rgb", "lpips_hed")
SR = (  # name, where its numbers are, evaluations of a network
    ("bicubic", "bicubic interpolation", "0"),
    ("lanczos", "Lanczos interpolation", "0"),
    ("mmse", "regression network: a single best guess", "1, small"),
    ("real-esrgan", "Real-ESRGAN x4plus", "1, large"),
    ("ddim_mean", "one sample", "50"),
    ("ddim_choice", "choice of ten samples, no steering", "500"),
    ("kds_choice", "KDS, the paper's settings", "500"),
    ("to the end", "KDS to the end", "500"),
    ("ddim_average", "average of ten samples, no steering", "500"),
)
HOLES = (
    ("biharmonic", "biharmonic equation", "0"),
    ("fast-marching", "fast marching", "0"),
    ("navier-stokes", "Navier-Stokes", "0"),
    ("plain-center-box-ddim", "one sample", "50"),
    ("choice-center-box-ddim", "choice of ten samples, no steering", "500"),
    ("kds-center-box-ddim", "KDS", "500"),
)


def load() -> dict[str, Any]:
    """Return the reports: two of `python -m real.alternatives`, two of the bundled models."""
    places = {
        "sr alternatives": FOLDER / "sr" / "report.json",
        "hole alternatives": FOLDER / "inpainting" / "report.json",
        "sr": ROOT / "real" / "weights" / "sr" / "evaluation.json",
        "holes": FOLDER.parent / "replication" / "table3" / "report.json",
    }
    return {name: json.loads(path.read_text(encoding="utf-8")) for name, path in places.items()}


def sr_scores(reports: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Mean scores of every way to enlarge, by name."""
    paper, to_the_end = (
        next(v for v in reports["sr"]["variants"] if v["cutoff"] == cutoff and v["bandwidth"] == 0.3)
        for cutoff in (0.3, 0.0)
    )
    ways = {**paper["methods"], "to the end": to_the_end["methods"]["kds_choice"]}
    ways |= {"mmse": reports["sr"]["quality"]["scores"]["mmse"]}
    ways |= {name: scores for name, scores in reports["sr alternatives"]["sr"].items() if name != "bicubic"}
    return {name: {m: float(ways[name][m]["mean"]) for m in METRICS} for name, _, _ in SR}


def hole_scores(reports: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Mean scores of every way to fill a hole, by name."""
    ways = {line["key"]: line["scores"] for line in reports["holes"]["lines"]}
    ways |= reports["hole alternatives"]["inpaint"]
    return {name: {m: float(ways[name][m]["mean"]) for m in METRICS} for name, _, _ in HOLES}


def table(ways: tuple[tuple[str, str, str], ...], scores: dict[str, dict[str, float]]) -> str:
    """A row a way; the best number of each column is bold."""
    best = {"psnr_rgb": max(s["psnr_rgb"] for s in scores.values())}
    best["lpips_hed"] = min(s["lpips_hed"] for s in scores.values())
    rows = ["| method | evaluations of a network | PSNR, dB | LPIPS-HED |", "|---|---|---|---|"]
    for name, what, evaluations in ways:
        cells = []
        for metric, digits in (("psnr_rgb", 2), ("lpips_hed", 3)):
            text = f"{scores[name][metric]:.{digits}f}"
            cells.append(f"**{text}**" if scores[name][metric] == best[metric] else text)
        rows.append(f"| {what} | {evaluations} | {' | '.join(cells)} |")
    return "\n".join(rows)


def page(reports: dict[str, Any]) -> str:
    """Fill the template in."""
    values = {
        "sr": table(SR, sr_scores(reports)),
        "holes": table(HOLES, hole_scores(reports)),
        "sr photos": str(reports["sr alternatives"]["photos"]),
        "sr crop": str(reports["sr alternatives"]["crop"]),
        "hole photos": str(reports["hole alternatives"]["photos"]),
        "sr command": reports["sr alternatives"]["command"],
        "hole command": reports["hole alternatives"]["command"],
        "model sr command": reports["sr"]["command"],
        "model hole command": reports["holes"]["command"],
        "real-esrgan seconds": f"{reports['sr alternatives']['sr']['real-esrgan']['cpu_seconds']['mean']:.2g}",
    }
    template = (FOLDER / "page.md.in").read_text(encoding="utf-8")
    return re.sub(r"{{ ([\w -]+) }}", lambda match: values[match.group(1)], template)


if __name__ == "__main__":
    PAGE.write_text(page(load()), encoding="utf-8")
