"""What the rows of `study` say: means, paired differences with intervals, tables for the page, and a picture."""

from __future__ import annotations

import math
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import kds_ref
from real.bench.statistics import mean_with_interval, paired
from real.images.disagreement import draw_spread, spread_map
from real.images.files import write_atomically, write_json, write_text
from real.images.photos import sample_photo
from real.images.seeds import photo_seed
from real.priors.ffdnet import LARGEST_SIGMA, FFDNet
from real.priors.measurements import MEASUREMENTS
from real.priors.study import (
    ESTIMATE,
    PLAIN,
    PriorSettings,
    describe_settings,
    measure,
    photo_tensor,
    sample,
    to_pixels,
)

__all__ = ["page", "summarise", "tables", "write_picture", "write_report"]

# column: where it stands in a row
NUMBERS = {
    "particle, PSNR": ("mean_particle_psnr",),
    "chosen, PSNR": ("chosen", "psnr"),
    "average, PSNR": ("average", "psnr"),
    "particle, LPIPS-HED": ("particle", "lpips_hed"),
    "chosen, LPIPS-HED": ("chosen", "lpips_hed"),
    "average, LPIPS-HED": ("average", "lpips_hed"),
}
TITLES = {
    "noise": "A noisy photo",
    "pixels": "Three of ten pixels",
    "small": "A small version",
}
ESTIMATES = {"noise": "FFDNet once", "pixels": "smoothed neighbours", "small": "bicubic"}
PICTURE_BANDWIDTH = 0.05


def summarise(rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Means over photos and differences from sampling without KDS, by measurement.

    Photos that are not finished are left out, and those with an infinite PSNR, such as of a flat picture.

    Returns:
        Dictionaries by measurement: `photos`, `estimate` (PSNR and LPIPS-HED), `ways` (columns by way to sample),
        `differences` (KDS minus plain, the same columns), and `calibration`: the mean squared distance of two samples
        over that between a sample and the truth, of each way; 1 is a calibrated posterior.
    """
    by_run: dict[str, dict[str, dict[str, Any]]] = {}
    for row in rows:
        by_run.setdefault(row["run"], {})[row["photo"]] = row

    result: dict[str, Any] = {}
    for kind in [kind for kind in MEASUREMENTS if f"{kind}/{PLAIN}" in by_run]:
        runs = {name.partition("/")[2]: photos for name, photos in by_run.items() if name.startswith(f"{kind}/")}
        # Differences are paired, so a photo counts where every way has finished it with finite numbers.
        finished = sorted(set.intersection(*(set(photos) for photos in runs.values())))
        names = [name for name in finished if all(_is_finite(photos[name]) for photos in runs.values())]
        if not names:
            continue

        # The estimate is a single picture, without the numbers of an ensemble.
        estimate = runs.pop(ESTIMATE)
        columns = {way: _columns([photos[name] for name in names]) for way, photos in runs.items()}

        result[kind] = {
            "photos": len(names),
            "estimate": {
                metric: mean_with_interval(np.asarray([estimate[name]["estimate"][metric] for name in names]))
                for metric in ("psnr", "lpips_hed")
            },
            "ways": {way: {c: mean_with_interval(v) for c, v in values.items()} for way, values in columns.items()},
            "differences": {
                way: {c: paired(v, columns[PLAIN][c]) for c, v in values.items()}
                for way, values in columns.items()
                if way != PLAIN
            },
            "calibration": {way: _calibration([photos[name] for name in names]) for way, photos in runs.items()},
        }
    return result


def _is_finite(row: dict[str, Any]) -> bool:
    """Whether every PSNR is a number: without any error it is infinite, which JSON cannot hold."""
    values = [scores["psnr"] for scores in row.values() if isinstance(scores, dict)]
    values.append(row.get("mean_particle_psnr", 0.0))
    return all(value is not None and math.isfinite(value) for value in values)


def _columns(rows: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    values = {}
    for column, path in NUMBERS.items():
        found = rows
        for key in path:
            found = [row[key] for row in found]
        values[column] = np.asarray(found, dtype=np.float64)
    return values


def _calibration(rows: list[dict[str, Any]]) -> float:
    two, truth = (
        float(np.mean([row[key] for row in rows])) for key in ("squared_distance_of_two", "squared_distance_to_truth")
    )
    return two / truth


def tables(report: dict[str, Any]) -> str:
    """The report as Markdown: for every measurement the means, then KDS minus plain with 95% intervals."""
    parts = []
    for kind, result in report["measurements"].items():
        head = "| way | " + " | ".join(NUMBERS) + " | distance ratio |\n|---|" + "---|" * (len(NUMBERS) + 1) + "\n"
        psnr, distance = (result["estimate"][metric]["mean"] for metric in ("psnr", "lpips_hed"))
        lines = [f"| {ESTIMATES[kind]} | – | – | {psnr:.2f} | – | – | {distance:.3f} | – |"]
        for way, columns in result["ways"].items():
            cells = [f"{value['mean']:.{_digits(column)}f}" for column, value in columns.items()]
            lines.append(f"| {_way(way)} | " + " | ".join(cells) + f" | {result['calibration'][way]:.2f} |")
        changes = "| minus plain | " + " | ".join(NUMBERS) + " |\n|---|" + "---|" * len(NUMBERS) + "\n"
        for way, columns in result["differences"].items():
            changes += f"| {_way(way)} | " + " | ".join(_difference(c, v) for c, v in columns.items()) + " |\n"
        parts.append(f"## {TITLES[kind]}\n\n{head}" + "\n".join(lines) + f"\n\n{changes}")
    return "\n".join(parts)


def page(report: dict[str, Any]) -> str:
    """The whole report as a page: how it was made, and the tables."""
    settings, versions = report["settings"], report["versions"]
    photos = ", ".join(f"{TITLES[kind].lower()}: {part['photos']}" for kind, part in report["measurements"].items())
    return (
        f"# FFDNet as a prior: the numbers\n\n```text\n{report['command']}\n```\n\n"
        f"{settings['particles']} particles, {settings['steps']} noise levels from 75/255, strength "
        f"{settings['strength']:g} at every step, the central {settings['crop']} pixels of each photo, seed "
        f"{settings['seed']}; kds_ref {versions['kds_ref']}, torch {versions['torch']}. Photos by measurement: "
        f"{photos}. "
        "Brackets are Student's 95% intervals over photos of the paired difference. *Distance ratio*: mean squared "
        "distance of two samples over that of a sample and the truth; a calibrated posterior has 1.\n\n"
        + tables(report)
    )


def _way(name: str) -> str:
    return "without KDS" if name == PLAIN else f"KDS, \\(h = {name.removeprefix('kds-')}\\)"


def _digits(column: str) -> int:
    return 2 if column.endswith("PSNR") else 3


def _difference(column: str, value: dict[str, Any]) -> str:
    digits = _digits(column)
    mean = f"{value['mean']:+.{digits}f}"
    if value["low"] is None:  # one photo
        return mean
    return f"{mean} ({value['low']:+.{digits}f} to {value['high']:+.{digits}f})"


def write_report(rows: list[dict[str, Any]], folder: Path, settings: PriorSettings, command: str) -> str:
    """Write report.json and report.md; returns the tables."""
    report = {
        "command": command,
        "settings": describe_settings(settings),
        "versions": {
            "kds_ref": kds_ref.__version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "torch": torch.__version__,
        },
        "measurements": summarise(rows),
    }

    text = page(report)
    write_json(folder / "report.json", report)
    write_text(folder / "report.md", text)
    return text


def write_picture(network: FFDNet, path: Path, settings: PriorSettings) -> None:
    """Draw the photo that scikit-image carries: measured, estimated, sampled without and with KDS, and its truth."""
    import matplotlib.pyplot as plt

    photo = np.ascontiguousarray(sample_photo()[40:136, 48:144])
    truth, number = photo_tensor(photo), photo_seed(settings.seed, photo)
    figure, axes = plt.subplots(len(MEASUREMENTS), 7, figsize=(14, 6.4), layout="constrained")
    for row, kind in zip(axes, MEASUREMENTS, strict=True):
        known = measure(kind, truth, number=number)
        plain, steered = (
            sample(network, known, settings, number=number, bandwidth=h) for h in (None, PICTURE_BANDWIDTH)
        )
        # Noise has a one-step answer of the network; the other estimates need no network.
        once = network(known.estimate[None], LARGEST_SIGMA)[0] if kind == "noise" else known.estimate

        pictures = {
            "measured": known.seen,
            ESTIMATES[kind]: once,
            "one particle": plain[0],
            f"KDS, h = {PICTURE_BANDWIDTH:g}": steered[0],
            "average": plain.mean(0),
            "spread": torch.from_numpy(spread_map(plain.permute(0, 2, 3, 1).numpy())),
            "truth": truth,
        }

        for axis, (title, picture) in zip(row, pictures.items(), strict=True):
            axis.axis("off")
            axis.imshow(draw_spread(picture.numpy())[0] if picture.ndim == 2 else to_pixels(picture))
            axis.set_title(title, fontsize=10)
    write_atomically(path, lambda p: figure.savefig(p, dpi=110))
    plt.close(figure)
