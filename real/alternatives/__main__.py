"""What the alternatives reach on your own photos: `python -m real.alternatives --photos photos`.

Photos are degraded, and holes made, as `python -m real evaluate` and `bench table3` do it with the same seed, so the
numbers stand beside theirs. If killed, start it again with the same options: it resumes where it stopped.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from real.alternatives.named import FILLERS, UPSCALERS, filler, upscaler, versions
from real.bench.loading import check_crop, load_truth
from real.bench.photo_sets import HOLES, Photo, check_known, digest_of, find_photos
from real.bench.statistics import mean_with_interval
from real.cli.options import folder, seed, whole
from real.cli.run import run_command
from real.degradations.simple import Degradation
from real.images.files import write_json
from real.images.masks import center_box
from real.images.seeds import degradation_rng
from real.metrics.score import make_score
from real.records.finite import finite_photos, not_finite
from real.records.journal import Rows, locked
from real.restorers.compare import bicubic

__all__ = ["main"]

HOLE = "center-box"


def build_parser() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(prog="real.alternatives", description=__doc__)
    parser.add_argument("--photos", required=True, type=folder, help="folder of photos, taken as the truth")
    parser.add_argument("--output", required=True, type=folder, help="made if it is not there")
    parser.add_argument("--crop", type=whole, metavar="PX", help="centre crop, a multiple of 4 (default: the whole)")
    parser.add_argument("--limit", type=whole, metavar="N", help="only the first N photos by name")
    parser.add_argument("--seed", type=seed, default=0, help="of the degradation (default 0)")
    parser.add_argument("--tasks", nargs="+", choices=("sr", "inpaint"), default=("sr", "inpaint"))
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = build_parser().parse_args(arguments)
    return run_command(lambda: _run(options, arguments), prog="real.alternatives", options=vars(options))


def _run(options: argparse.Namespace, arguments: list[str]) -> int:
    check_crop(options.crop)
    photos = find_photos(options.photos)[: options.limit]
    score = make_score(["lpips-hed"], device="cpu")
    tools = _tools(options.tasks)
    options.output.mkdir(parents=True, exist_ok=True)

    with locked(options.output):
        rows = Rows(options.output, {"crop": options.crop, "seed": options.seed, "hole": HOLES[HOLE]})
        check_known(photos, rows, options.output, lambda photo: digest_of([photo.truth]))

        # A row per photo and tool, on the disk at once: an interrupted run resumes where it stopped.
        for photo in tqdm(photos, unit="photo"):
            missing = {run: tool for run, tool in tools.items() if (photo.name, run) not in rows}
            truth = load_truth(photo, crop=options.crop)
            for run, image, seconds in _images(truth, missing, options.seed):
                known = {"photo": photo.name, "run": run, "digest": digest_of([photo.truth])}
                rows.add({**known, "cpu_seconds": round(seconds, 3), "scores": score(image, truth)})

        report = _report(rows, photos, tools)
        command = "python -m real.alternatives " + shlex.join(arguments)
        write_json(options.output / "report.json", {"command": command, "crop": options.crop, **report})
    return 0


def _tools(tasks: Sequence[str]) -> dict[str, Callable[..., np.ndarray]]:
    """Every way to do a task, loaded, by "task/name"."""
    tools: dict[str, Callable[..., np.ndarray]] = {}
    if "sr" in tasks:
        tools |= {"sr/bicubic": bicubic} | {f"sr/{name}": upscaler(name) for name in UPSCALERS}
    if "inpaint" in tasks:
        tools |= {f"inpaint/{name}": filler(name) for name in FILLERS}
    return tools


def _images(
    truth: np.ndarray, tools: Mapping[str, Callable[..., np.ndarray]], seed: int
) -> Iterator[tuple[str, np.ndarray, float]]:
    """What each tool makes of a photo, and the processor time that it took, in seconds."""
    low = Degradation()(truth, degradation_rng(seed, truth))
    hole = center_box(*truth.shape[:2], **HOLES[HOLE])
    for run, tool in tools.items():
        started = time.process_time()
        image = tool(low) if run.startswith("sr/") else tool(truth, hole)
        yield run, image, time.process_time() - started


def _report(rows: Rows, photos: Sequence[Photo], tools: Iterable[str]) -> dict[str, Any]:
    """Means with intervals, by task and name."""
    report: dict[str, Any] = {"photos": len(photos)}
    report["versions"] = {name: versions(name) for names in (UPSCALERS, FILLERS) for name in names}
    values: dict[str, dict[str, dict[str, np.ndarray]]] = {}
    for run in tools:
        task, name = run.split("/")
        found = [rows[photo.name, run] for photo in photos]
        numbers = [{**row["scores"], "cpu_seconds": row["cpu_seconds"]} for row in found]
        columns = {key: np.asarray([row[key] for row in numbers], dtype=np.float64) for key in numbers[0]}
        values.setdefault(task, {})[name] = columns

    names = [photo.name for photo in photos]
    for task, of_task in values.items():
        kept = finite_photos(of_task)  # a flat photo is filled without an error, and its PSNR is infinite
        report[task] = {
            name: {key: mean_with_interval(column[kept[key]]) for key, column in columns.items()}
            for name, columns in of_task.items()
        }
        if left_out := not_finite(of_task, names):
            report.setdefault("not_finite", {})[task] = left_out
    return report


if __name__ == "__main__":
    sys.exit(main())
