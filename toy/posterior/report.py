"""Results of the study as one dict for JSON, and as the table that the command prints."""

from __future__ import annotations

from typing import Any

import numpy as np

from toy.posterior.degradations import degradations
from toy.posterior.scores import psnr, psnr_gain, ratio_of_means, summarise

DIGITS = 5
TABLE = (  # what the command prints, of 4x averaging
    "exact mean",
    "exact samples",
    "plain",
    "KDS h=0.3 to 0.3",
    "KDS h=0.3 to 0",
    "KDS h=1 to 0",
    "KDS h=3 to 0, patch 8",
    "HDS below 0.3",
    "DGS q=0.9",
    "renoised mean at 0.3",
)


def collect(settings: dict[str, Any], found: dict[str, dict[str, Any]], *, scale: float) -> dict[str, Any]:
    """Return all results, numbers rounded to five digits.

    Args:
        settings: what they depend on.
        found: part -> task -> what it found.
        scale: scale of the prior, for PSNR.
    """
    results: dict[str, Any] = {"settings": settings, "intervals": "95%, normal, over pictures (plane: ensembles)"}
    for part, tasks in found.items():
        if part in degradations():
            reference = tasks["plain"]
            results[part] = {name: summarise_line(line, reference, scale) for name, line in tasks.items()}
        else:
            results[part] = _without_particles(tasks)
    rounded: dict[str, Any] = _round(results)
    return rounded


def summarise_line(line: dict[str, Any], baseline: dict[str, Any], scale: float) -> dict[str, Any]:
    """Return means and intervals of a line on photos, with paired differences to a random plain particle.

    Args:
        line: what `patches.answer_line` found, one value for each picture.
        baseline: result of plain sampling.
        scale: scale of the prior.

    Returns:
        evaluations; answers -> score -> mean, low, high, PSNR by the truth and by the whole posterior, gains over a
        random plain particle; ensemble -> score -> mean, low, high: energy_distance and outside as in
        `ensemble_scores`, and spread, the squared distance of two particles over that of a particle and the truth.
    """
    reference = {score: np.array(values) for score, values in baseline["answers"]["random"].items()}
    found: dict[str, Any] = {"evaluations": line.get("evaluations", 0), "answers": {}}

    for name, scores in line["answers"].items():
        values = {score: np.array(one) for score, one in scores.items()}
        rows: dict[str, Any] = {score: summarise(one) for score, one in values.items()}
        rows["log_density_gain"] = summarise(values["log_density"] - reference["log_density"])
        for of, score in (("truth", "error"), ("posterior", "expected_error")):
            rows[f"psnr_{of}"] = psnr(rows[score]["mean"], scale)
            rows[f"psnr_gain_{of}"] = psnr_gain(values[score], reference[score])
        found["answers"][name] = rows

    ensemble = {score: np.array(values) for score, values in line["ensemble"].items()}
    if ensemble:
        found["ensemble"] = {score: summarise(ensemble[score]) for score in ("energy_distance", "outside")}
        # A ratio of means: the mean of ratios is not 1 for exact samples.
        found["ensemble"]["spread"] = ratio_of_means(ensemble["within"], ensemble["to_posterior"])
    return found


def format_table(results: dict[str, Any]) -> str:
    """Return the lines of 4x averaging in plain ASCII: PSNR by the truth, and log density, of each answer."""
    answers = ("random", "chosen", "chosen_by_patch", "average")
    rows = ["4x averaging: PSNR in dB / log p(x given y) in nats of a patch"]
    rows.append("".ljust(24) + "".join(name.replace("_", " ").ljust(18) for name in answers))
    for name in TABLE:
        line = results["average"][name]["answers"]
        if name == "exact mean":
            line = {"average": line["mean"]}
        cells = (_cell(line[answer]) if answer in line else "" for answer in answers)
        rows.append((name.ljust(24) + "".join(cell.ljust(18) for cell in cells)).rstrip())
    return "\n".join(rows)


def _without_particles(tree: Any) -> Any:
    """Leave out the particles that only a figure shows."""
    if isinstance(tree, dict):
        return {key: _without_particles(value) for key, value in tree.items() if key != "shown"}
    return tree


def _cell(row: dict[str, Any]) -> str:
    return f"{row['psnr_truth']:.2f} / {row['log_density']['mean']:.1f}"


def _round(tree: Any) -> Any:
    """Round every number of nested dicts and lists."""
    if isinstance(tree, dict):
        return {key: _round(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_round(value) for value in tree]
    return float(f"{tree:.{DIGITS}g}") if isinstance(tree, float) else tree
