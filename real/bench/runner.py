"""Runs studies on photos: what their lines lack in the store is drawn, each ensemble once a photo; then the reports.

All ensembles of a photo start from the same noise (it depends on the seed, the photo and the particle), with and
without steering. Killed at any moment and started again with the same options, the runner goes on with what is missing.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from real.bench import fixed_noise
from real.bench.adapter import hole_filler, super_resolver
from real.bench.draws import DRAWS
from real.bench.ensembles import make_bench_score
from real.bench.measure import Images, measure
from real.bench.photos import LoadedPhoto, Photo, load
from real.bench.plan import Endings, EnsemblePlan, Line, describe_grid, wanted_by
from real.bench.plots import save_plot
from real.bench.report import render, summarise
from real.bench.request import StudyRequest, check_model, identity_of, lines_of, text_of
from real.bench.sets import SETS, SetFeatures
from real.bench.store import EnsembleStore
from real.errors import UserError
from real.images.files import write_atomically
from real.images.photos import save_png
from real.models.base import Model
from real.records.journal import locked
from real.records.provenance import describe
from real.restorers.base import Restorer
from real.restorers.pipeline import BlackedOutError

__all__ = ["StudyRunner", "run_study"]


def run_study(request: StudyRequest, model: Model, folder: Path) -> dict[str, Any]:
    """Run what is missing of one study, then write the report; `folder` holds the store, too.

    Args:
        request: The study, its options and the photos.
        model: The model.
        folder: Where the results go, and where those of an interrupted run are; it must exist.

    Returns:
        The content of `report.json`.

    Raises:
        UserError: No photo can be read, the folder holds something else, or the model cannot do what is asked for.
        ValueError: An option is out of range.

    Warns:
        UserWarning: If guidance has nothing to guide by.
    """
    with StudyRunner.opened([request], model, folder) as runner:
        (request,) = runner.requests
        photos = request.photos[: request.limit]
        work = runner.work({request.name: photos})
        with tqdm(total=runner.cost(work), desc=request.name, unit="evaluation", smoothing=0.05) as bar:
            runner.fill(work, bar)
        return runner.report(request, photos, folder)


Work = list[tuple[Photo, EnsemblePlan, Endings]]


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

        The requests differ in study, grid and command alone.
        """
        filled = [request.for_model(model) for request in requests]
        for request in filled:
            check_model(request, model)
        identity = identity_of(filled[0], model)
        with locked(folder):
            store = EnsembleStore(folder, identity)
            store.check(filled[0].photos[: filled[0].limit])
            yield cls(filled, model, store)

    def __post_init__(self) -> None:
        """Load the networks that judge."""
        device, metrics = str(self.model.device), self.requests[0].metrics
        self._score = make_bench_score([m for m in metrics if m not in SETS], device=device)
        self._features = SetFeatures([m for m in metrics if m in SETS], device=device)
        self._loaded: tuple[tuple[str, int], LoadedPhoto] | None = None
        self._warm = False

    def lines(self, request: StudyRequest) -> list[Line]:
        """The lines that can be drawn."""
        return lines_of(request, self.model)

    def work(self, photos: Mapping[str, Sequence[Photo]]) -> Work:
        """What studies lack, photo by photo, each ensemble once for all of them.

        Args:
            photos: Of each study, by its name.
        """
        wanting: dict[Photo, list[StudyRequest]] = {}
        for request in self.requests:
            for photo in photos.get(request.name, ()):
                wanting.setdefault(photo, []).append(request)
        work: Work = []
        for photo, requests in wanting.items():
            pairs = [(line, seed) for r in requests for line in self.lines(r) for seed in r.grid.seed]
            missing = self.store.missing(photo, wanted_by(pairs))
            pictured = self._pictured(requests)
            unseen = [(line, seed) for line, seed in pictured if not self._picture(photo, line).exists()]
            for key, (plan, endings) in wanted_by(unseen).items():  # known to the store, but not as a picture
                missing.setdefault(key, (plan, endings))
            work += [(photo, plan, endings) for plan, endings in missing.values()]
        return work

    def cost(self, work: Work) -> int:
        """About how many model evaluations it is."""
        return sum(DRAWS[plan.kind].evaluations(plan.settings) for _, plan, _ in work)

    def fill(self, work: Work, bar: Any) -> None:
        """Draw it, row by row; photos that cannot be used are left out, with the rest of their work."""
        for photo, plan, endings in work:
            before = bar.n
            if photo.name not in self.left_out:
                bar.set_postfix_str(photo.name)
                try:
                    self._add(photo, plan, endings, bar)
                except UserError as error:
                    if not isinstance(error, BlackedOutError) and self._loaded is not None:
                        raise  # the photo is good: something else is wrong
                    self.left_out[photo.name] = error.message
            # What is not known step by step, and what was left out, moves the bar at once.
            bar.update(DRAWS[plan.kind].evaluations(plan.settings) - (bar.n - before))

    def _add(self, photo: Photo, plan: EnsemblePlan, endings: Endings, bar: Any) -> None:
        request, key = self.requests[0], (photo.name, plan.settings.seed)
        if self._loaded is None or self._loaded[0] != key:
            self._loaded = None
            self._loaded = key, load(photo, crop=request.crop, seed=plan.settings.seed)
        loaded = self._loaded[1]
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
            noise_seed=noise_seed,
            progress=lambda state: bar.update(len(state.x_t)),
        )
        self._save_pictures(photo, plan, loaded.truth, restorer.shown, images)
        self.store.add(photo, plan.key, content, self._features.row(images, loaded.truth))

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

    def _pictured(self, requests: Sequence[StudyRequest]) -> list[tuple[Line, int]]:
        """The lines whose pictures are kept, of the first seed."""
        return [(line, r.grid.seed[0]) for r in requests if r.study.pictures for line in self.lines(r)]

    def _picture(self, photo: Photo, line: Line) -> Path:
        return self.store.folder / "images" / photo.name / f"{line.key}.png"

    def _save_pictures(
        self, photo: Photo, plan: EnsemblePlan, truth: np.ndarray, shown: np.ndarray, images: Images
    ) -> None:
        for line, seed in self._pictured(self.requests):
            path, known = self._picture(photo, line), (line.particles, line.ending)
            if line.with_seed(seed).key == plan.key and known in images:
                path.parent.mkdir(parents=True, exist_ok=True)
                save_png(path.with_name("truth.png"), truth)
                save_png(path.with_name("low.png"), shown)
                save_png(path, images[known])

    def report(self, request: StudyRequest, photos: Sequence[Photo], folder: Path) -> dict[str, Any]:
        """Write `report.json`, `report.md` and the plot of a study from the store into a folder.

        Raises:
            UserError: None of the photos can be used.
        """
        done = [photo.name for photo in photos if photo.name not in self.left_out]
        if not done:
            name, why = next(iter(self.left_out.items()))
            raise UserError(f"none of {len(photos)} photos can be used, such as {name}: {why}")
        study, lines = request.study, self.lines(request)
        report = {**describe(request.settings, self.model, request.command), "study": request.name}
        identity = identity_of(request, self.model)
        report["versions"] |= identity["versions"]
        named = identity["degradations"]
        report |= {
            "title": study.title,
            "about": study.about,
            "grid": describe_grid(request.grid),
            "crop": request.crop,
            "left_out": {name: why for name, why in self.left_out.items() if name in {p.name for p in photos}},
            "degradation": {name: named[name] for name in request.grid.degradation if name in named},
            **text_of(request, self.model),
            **summarise(study, lines, request.grid.seed, self.store, done),
        }
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / "report.json", lambda p: p.write_text(json.dumps(report, indent=1) + "\n"))
        write_atomically(folder / "report.md", lambda p: p.write_text(render(report)))
        save_plot(folder / f"{request.name}.png", study.plot, report, lines, self.store.folder)
        return report
