"""Runs studies on photos: what their lines lack in the store is drawn, each ensemble once per photo; then the reports.

All ensembles of a photo start from the same noise (it depends on the seed, the photo and the particle), with and
without steering. If killed, start it again with the same options: it resumes with what is missing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from real.bench import fixed_noise
from real.bench.adapter import hole_filler, super_resolver
from real.bench.draws import DRAWS
from real.bench.ensembles import bench_score
from real.bench.loading import LoadedPhoto, load
from real.bench.measure import Images, measure
from real.bench.photo_sets import Photo
from real.bench.plan import Endings, EnsemblePlan, Line, wanted_by
from real.bench.request import StudyRequest, check_model, identity_of, lines_of
from real.bench.sets import SETS, SetFeatures
from real.bench.store import EnsembleStore
from real.bench.writing import write_report
from real.errors import UserError
from real.images.photos import save_png
from real.metrics.score import load_metrics
from real.models.base import Model
from real.records.journal import locked
from real.restorers.base import Restorer
from real.restorers.pipeline import BlackedOutError

__all__ = ["StudyRunner", "Work", "run_study"]

Work = list[tuple[Photo, EnsemblePlan, Endings]]


def run_study(request: StudyRequest, model: Model, folder: Path) -> dict[str, Any]:
    """Run what is missing of one study, then write the report; `folder` holds the store, too.

    Args:
        request: The study, its options and the photos.
        model: The model.
        folder: Folder for the results, which also keeps those of an interrupted run; it must exist.

    Returns:
        The content of `report.json`.

    Raises:
        UserError: No photo can be used, the folder holds something else, or the model cannot do what is asked for.
        ValueError: An option is out of range.

    Warns:
        UserWarning: If guidance has nothing to guide by.
    """
    with StudyRunner.opened([request], model, folder) as runner:
        (request,) = runner.requests
        work = runner.work([request])
        with tqdm(total=runner.cost(work), desc=request.name, unit="evaluation", smoothing=0.05) as bar:
            runner.fill(work, bar)
        return runner.report(request, request.judged, folder)


@dataclass
class StudyRunner:
    """Studies of one model that share a store.

    Attributes:
        requests: What is asked for, with the model's bandwidth.
        model: The model.
        store: What is known already.
        left_out: Photos that cannot be used, and why.
    """

    requests: list[StudyRequest]
    model: Model
    store: EnsembleStore
    left_out: dict[str, str] = field(default_factory=dict)

    @classmethod
    @contextlib.contextmanager
    def opened(cls, requests: Sequence[StudyRequest], model: Model, folder: Path) -> Iterator[StudyRunner]:
        """Context manager: check what is asked for, and lock and read the store in a folder.

        The requests differ in study, grid, limit and command alone.
        """
        filled = [request.for_model(model) for request in requests]
        for request in filled:
            check_model(request, model)

        with locked(folder):
            store = EnsembleStore(folder, identity_of(filled[0], model))
            widest = max(filled, key=lambda request: len(request.judged))
            store.check(widest.judged, widest.digest)
            yield cls(filled, model, store)

    def __post_init__(self) -> None:
        """Load the networks that judge, and lay out the lines."""
        device, metrics = str(self.model.device), self.requests[0].metrics
        self._metrics = load_metrics([m for m in metrics if m not in SETS], device=device)
        self._score = bench_score(self._metrics)
        self._features = SetFeatures([m for m in metrics if m in SETS], device=device)
        self._lines = {request.name: lines_of(request, self.model) for request in self.requests}
        self._seeded = {
            request.name: [line.with_seed(seed) for line in self._lines[request.name] for seed in request.grid.seed]
            for request in self.requests
        }
        self._digests: dict[Photo, str] = {}
        self._loaded: tuple[tuple[str, int], LoadedPhoto] | None = None
        self._warm = False

    def work(self, requests: Sequence[StudyRequest], *, first: int | None = None) -> Work:
        """What studies lack, photo by photo.

        An ensemble that they lack is drawn for all studies of the runner that will want it of this photo, so that it
        is drawn once, whichever study comes first.

        Args:
            requests: Some of `self.requests`.
            first: Number of photos; None: all that they judge.
        """
        photos = dict.fromkeys(photo for request in requests for photo in request.judged[:first])
        work: Work = []
        for photo in photos:
            lacking = self._lacking(photo, [r for r in requests if photo in r.judged[:first]])
            keys = {line.ensemble.key for line in lacking}
            shared = self._lacking(photo, [r for r in self.requests if photo in r.judged]) if keys else []
            work += [(photo, plan, ends) for key, (plan, ends) in wanted_by(shared).items() if key in keys]
        return work

    def cost(self, work: Work) -> int:
        """Approximate number of model evaluations."""
        return sum(DRAWS[plan.kind].evaluations(plan.settings) for _, plan, _ in work)

    def fill(self, work: Work, bar: Any) -> None:
        """Draw it, row by row; photos that cannot be used are left out, with the rest of their work."""
        for photo, plan, endings in work:
            before = bar.n
            if photo.name not in self.left_out:
                bar.set_postfix_str(photo.name)
                self._add_or_leave_out(photo, plan, endings, bar)
            # What is not known step by step, and what was left out, moves the bar at once.
            bar.update(DRAWS[plan.kind].evaluations(plan.settings) - (bar.n - before))

    def report(self, request: StudyRequest, photos: Sequence[Photo], folder: Path) -> dict[str, Any]:
        """Write the report of a study from the store into a folder; see `real.bench.writing`.

        Raises:
            UserError: None of the photos can be used.
        """
        lines = self._lines[request.name]
        return write_report(request, lines, self.model, self.store, photos, folder, left_out=self.left_out)

    def _lacking(self, photo: Photo, requests: Sequence[StudyRequest]) -> list[Line]:
        """Lines, with their seeds, that a photo still lacks, or whose picture is wanted but missing."""
        lines = [line for r in requests for line in self._seeded[r.name] if not self.store.has(photo.name, line)]
        return lines + [line for line in self._pictured(requests) if not self._picture(photo, line).exists()]

    def _pictured(self, requests: Sequence[StudyRequest]) -> list[Line]:
        """The lines whose pictures are kept, of the first seed."""
        kept = [request for request in requests if request.study.pictures]
        return [line.with_seed(request.grid.seed[0]) for request in kept for line in self._lines[request.name]]

    def _add_or_leave_out(self, photo: Photo, plan: EnsemblePlan, endings: Endings, bar: Any) -> None:
        try:
            loaded = self._load(photo, plan.settings.seed)
        except UserError as error:
            self.left_out[photo.name] = error.message
            return

        # A photo that can be read is good: of what is wrong from here on only blacked-out pictures are its fault.
        try:
            self._add(photo, loaded, plan, endings, bar)
        except BlackedOutError as error:
            self.left_out[photo.name] = error.message

    def _load(self, photo: Photo, seed: int) -> LoadedPhoto:
        """The last photo is kept, as its ensembles are drawn one after the other."""
        if self._loaded is None or self._loaded[0] != (photo.name, seed):
            self._loaded = (photo.name, seed), load(photo, crop=self.requests[0].crop, seed=seed)
        return self._loaded[1]

    def _add(self, photo: Photo, loaded: LoadedPhoto, plan: EnsemblePlan, endings: Endings, bar: Any) -> None:
        request = self.requests[0]
        restorer = self._restorer(photo, loaded, plan.degradation)
        if plan.timed and not self._warm:  # the first call of a network takes longer
            warm = replace(plan.settings, particles=1, steps=1)
            restorer.decode(restorer.sample(warm, steered=False).latents)
            self._warm = True

        noise_seed = fixed_noise.picked(request, self.model, self.store.folder) if plan.kind == "fixed-noise" else None
        content, images = measure(
            plan,
            endings,
            loaded.truth,
            restorer,
            self._score,
            metrics=self._metrics,
            noise_seed=noise_seed,
            progress=lambda state: bar.update(len(state.x_t)),
        )

        # Pictures first: a kill in between leaves pictures without a row, which are drawn again, never the reverse.
        self._save_pictures(photo, plan, loaded.truth, restorer.shown, images)
        if photo not in self._digests:
            self._digests[photo] = request.digest(photo)
        self.store.add(
            photo.name, self._digests[photo], plan.key, content, self._features.row(images, loaded.truth)
        )

    def _restorer(self, photo: Photo, loaded: LoadedPhoto, degradation: str) -> Restorer:
        request = self.requests[0]
        prompt, negative_prompt = request.prompt, request.negative_prompt
        if request.study.task == "inpaint":
            return hole_filler(loaded.truth, degradation, self.model, prompt=prompt, negative_prompt=negative_prompt)
        return super_resolver(
            loaded.low(degradation),
            self.model,
            prompt=prompt,
            negative_prompt=negative_prompt,
            noise_level=request.noise_level,
            hints=None if request.hints is None else request.hints.read(photo.stems),
        )

    def _picture(self, photo: Photo, line: Line) -> Path:
        return self.store.folder / "images" / photo.name / f"{line.key}.png"

    def _save_pictures(
        self, photo: Photo, plan: EnsemblePlan, truth: np.ndarray, shown: np.ndarray, images: Images
    ) -> None:
        for line in self._pictured(self.requests):
            known = line.particles, line.ending
            if line.ensemble.key == plan.key and known in images:
                path = self._picture(photo, line)
                path.parent.mkdir(parents=True, exist_ok=True)
                save_png(path.with_name("truth.png"), truth)
                save_png(path.with_name("low.png"), shown)
                save_png(path, images[known])
