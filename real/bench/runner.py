"""Runs a study on photos: every ensemble once per photo, row by row, then the report.

All ensembles of a photo start from the same noise (it depends on the seed and the particle alone), with and without
steering. Killed at any moment and started again with the same options, the runner goes on with the first missing row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from real.api import inpainting_restorer, super_resolution_restorer
from real.bench.ensembles import make_bench_score
from real.bench.markdown import render
from real.bench.measure import measure
from real.bench.photos import HOLES, Photo, check_known, digest_of, load, used
from real.bench.plan import MODELS_BANDWIDTH, Grid, Line, PlannedDraw, describe_grid, draws
from real.bench.plots import save_plot
from real.bench.report import summarise
from real.bench.sets import SETS, SetFeatures
from real.bench.task import StudyTask, check_model, identity_of, text_of
from real.errors import UserError
from real.images.files import write_json, write_text
from real.images.masks import center_box
from real.images.photos import save_png
from real.metrics.score import Score
from real.models.base import Model
from real.records.journal import Rows, locked
from real.records.provenance import describe
from real.restorers.base import Restorer
from real.restorers.pipeline import BlackedOutError
from real.settings import Settings

__all__ = ["run_study"]


def run_study(task: StudyTask, model: Model, folder: Path) -> dict[str, Any]:
    """Run what is missing, then write the report.

    Written into `folder`, which must exist: `rows.jsonl` (one row a photo and ensemble), `settings.json`,
    `report.json`, `report.md`, the plot `NAME.png`, and `images/` where the study keeps pictures.

    Args:
        task: The study, its options and the photos.
        model: The model.
        folder: Where the results go, and where those of an interrupted run are.

    Returns:
        The content of `report.json`.

    Raises:
        UserError: No photo can be read, the folder holds something else, or the model cannot do what is asked for.
        ValueError: An option is out of range.

    Warns:
        UserWarning: If guidance has nothing to guide by.
    """
    grid = _with_bandwidth(task.grid, model)
    settings = _first(task.settings, grid)
    check_model(task, grid, model)
    lines = task.study.lines(settings, grid)
    plan = draws(lines, timed=task.study.timed)
    identity = identity_of(task, settings, grid, model)
    with locked(folder):
        rows = Rows(folder, identity)
        photos = list(task.photos[: task.limit])
        job = _Job(task, lines, plan, model, rows, folder)
        check_known(photos, rows, folder, job.digest)
        left_out = job.run(photos)
        done = used(photos, left_out)
        report = {**describe(settings, model, task.command), "study": task.name, "title": task.study.title}
        report["versions"] |= identity["versions"]
        report |= {"about": task.study.about, "grid": describe_grid(grid), "crop": task.crop, "left_out": left_out}
        report |= {"degradation": identity["degradation"], **text_of(task, model)}
        report |= summarise(task.study, lines, plan, rows, done)
        write_json(folder / "report.json", report)
        write_text(folder / "report.md", render(report))
        save_plot(folder / f"{task.name}.png", task.study.plot, report, lines, folder)
    return report


class _Job:
    """The missing rows of a study, one after the other."""

    def __init__(
        self,
        task: StudyTask,
        lines: Sequence[Line],
        plan: Mapping[str, PlannedDraw],
        model: Model,
        rows: Rows,
        folder: Path,
    ) -> None:
        self.task, self.lines, self.plan, self.model, self.rows, self.folder = task, lines, plan, model, rows, folder
        self.draws = {draw.run.key: draw for draw in plan.values()}
        self._score: Score | None = None
        self._features: SetFeatures | None = None

    def run(self, photos: Sequence[Photo]) -> dict[str, str]:
        """Add every missing row; return the photos that cannot be used, and why."""
        total = sum(self._evaluations(photo, missing=False) for photo in photos)
        missing = sum(self._evaluations(photo, missing=True) for photo in photos)
        left_out: dict[str, str] = {}
        with tqdm(total=total, initial=total - missing, desc=self.task.name, unit="evaluation", smoothing=0.05) as bar:
            for number, photo in enumerate(photos, start=1):
                bar.set_postfix_str(f"photo {number} of {len(photos)}")
                if not any((photo.name, key) not in self.rows for key in self.draws):
                    continue
                try:
                    truth, make_low = load(photo, crop=self.task.crop, seed=self.task.settings.seed)
                except UserError as error:
                    left_out[photo.name] = error.message
                    bar.total -= self._evaluations(photo, missing=True)
                    continue
                for draw in [draw for key, draw in self.draws.items() if (photo.name, key) not in self.rows]:
                    restorer = self._restorer(photo, truth, make_low, draw.run.degradation)
                    try:
                        self._add_row(photo, draw, truth, restorer, bar)
                    except BlackedOutError as error:
                        left_out[photo.name] = error.message
                        bar.total -= self._evaluations(photo, missing=True) - draw.run.evaluations
                        break
        return left_out

    def digest(self, photo: Photo) -> str:
        """Of all files that a photo's rows depend on."""
        hints = self.task.hints.files(photo.stems) if self.task.hints is not None else []
        return digest_of([path for path in (photo.truth, photo.low, *hints) if path is not None])

    def _evaluations(self, photo: Photo, *, missing: bool) -> int:
        keys = (key for key in self.draws if not missing or (photo.name, key) not in self.rows)
        return sum(self.draws[key].run.evaluations for key in keys)

    def _restorer(
        self, photo: Photo, truth: np.ndarray, make_low: Callable[[str], np.ndarray], name: str
    ) -> Restorer:
        task = self.task
        prompt, negative_prompt = task.prompt, task.negative_prompt
        if task.study.task == "inpaint":
            hole = center_box(*truth.shape[:2], **HOLES[name])
            return inpainting_restorer(truth, hole, self.model, prompt=prompt, negative_prompt=negative_prompt)
        return super_resolution_restorer(
            make_low(name),
            self.model,
            prompt=prompt,
            negative_prompt=negative_prompt,
            noise_level=task.noise_level,
            hints=None if task.hints is None else task.hints.read(photo.stems),
        )

    def _add_row(self, photo: Photo, draw: PlannedDraw, truth: np.ndarray, restorer: Restorer, bar: Any) -> None:
        settings = draw.run.settings
        if self._score is None:
            device, metrics = str(self.model.device), self.task.metrics
            self._score = make_bench_score([m for m in metrics if m not in SETS], device=device)
            self._features = SetFeatures([m for m in metrics if m in SETS], device=device)
            if self.task.study.timed:  # the first call of a network takes longer
                restorer.draw(replace(settings, particles=1, steps=1), steered=False)
        each = draw.run.evaluations // settings.steps
        content, images = measure(
            draw, truth, restorer, self._score, timed=self.task.study.timed, progress=lambda s: bar.update(each)
        )
        if self._features is not None:
            content["features"] = self._features.row(images, truth)
        if self.task.study.pictures:
            self._save_images(photo, draw, truth, restorer.shown, images)
        self.rows.add({"photo": photo.name, "digest": self.digest(photo), "run": draw.run.key, **content})

    def _save_images(
        self,
        photo: Photo,
        draw: PlannedDraw,
        truth: np.ndarray,
        shown: np.ndarray,
        images: Mapping[tuple[int, str], np.ndarray],
    ) -> None:
        folder = self.folder / "images" / photo.name
        folder.mkdir(parents=True, exist_ok=True)
        save_png(folder / "truth.png", truth)
        save_png(folder / "low.png", shown)
        for line in self.lines:
            if self.plan[line.run.key].run.key == draw.run.key:
                save_png(folder / f"{line.key}.png", images[line.run.settings.particles, line.outcome])


def _with_bandwidth(grid: Grid, model: Model) -> Grid:
    values = tuple(model.bandwidth if h == MODELS_BANDWIDTH else h for h in grid.bandwidth)
    if len(set(values)) < len(values):
        raise UserError(f"the model's own is {model.bandwidth:g}, which is given as a number too", argument="bandwidth")
    return replace(grid, bandwidth=values)


def _first(settings: Settings, grid: Grid) -> Settings:
    """The settings with the first value of everything in the grid; all other values are checked, too."""
    names = ("particles", "steps", "sampler", "bandwidth", "cutoff", "patch_size", "guidance", "kernel")
    for name in names:
        for value in getattr(grid, name):
            replace(settings, **{name: value})  # raises by name what is out of range
    return replace(settings, **{name: getattr(grid, name)[0] for name in names})

