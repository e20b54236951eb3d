"""A restoration that is watched step by step and can be stopped: a thread works, a generator tells how far it is."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from kds_ref import SamplerState
from real.api import inpainting_restorer, super_resolution_restorer
from real.app.jobs import Job
from real.degradations.simple import SCALE
from real.errors import UserError
from real.images.disagreement import average_picture, draw_spread, spread_map
from real.metrics.distortion import distortion
from real.metrics.score import Score
from real.models.base import Model
from real.models.latent import LatentModel
from real.models.pipeline import PipelineModel
from real.restorers.base import Restorer
from real.restorers.compare import bicubic
from real.restorers.inpainting import inpainting_score

__all__ = ["Outcome", "Step", "check_model", "run"]


@dataclass(frozen=True)
class Step:
    """How far a run is.

    Attributes:
        done: Model evaluations of the ensemble and of the plain particle, and decoded particles.
        total: The same number at the end of the run.
    """

    done: int
    total: int


@dataclass(frozen=True)
class Outcome:
    """What a run gives; pictures are RGB uint8.

    Attributes:
        images: Picture of every steered particle.
        chosen: Index of the chosen one, which is the result.
        plain: One particle without KDS, from the noise of particle 0.
        average: Pixel average of the steered particles.
        before: What the user had, in the size of the result: enlarged by bicubic interpolation, or with the hole grey.
        spread: Map of where the particles disagree, and what the lightest colour means in grey levels; None for one
            particle.
        moved: How far steering moved each place, all steps together, and what the lightest colour means, in units of
            the latent.
        scores: Against the truth, by method; empty where it is not known.
        trace: One row per steered step.
    """

    images: list[np.ndarray]
    chosen: int
    plain: np.ndarray
    average: np.ndarray
    before: np.ndarray
    spread: tuple[np.ndarray, float] | None
    moved: tuple[np.ndarray, float]
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    trace: list[dict[str, float]] = field(default_factory=list)


class _StoppedError(Exception):
    """The run was stopped."""


def check_model(model: Model) -> None:
    """UserError unless the page can run a model: DiffBIR and SeeSR want to know more than a photo."""
    if not isinstance(model, LatentModel | PipelineModel):
        raise UserError(f"must need nothing but the photo, got {model.name!r}; use the command sr", argument="model")


def run(job: Job, model: Model, stop: threading.Event) -> Iterator[Step | Outcome]:
    """Restore; a step each time that one is done, then the outcome; nothing more once `stop` is set.

    Closing the generator stops the run, too. It returns when the step that is under way has ended.

    Args:
        job: What to restore, and how.
        model: Model for the job's task.
        stop: Event; set it, from any thread, to stop the run.

    Raises:
        UserError: An option does not fit the photo or the model.
    """
    messages: queue.SimpleQueue[Step | Outcome | BaseException | None] = queue.SimpleQueue()

    def work() -> None:
        try:
            messages.put(_Work(job, model, messages.put, stop).outcome())
        except _StoppedError:
            messages.put(None)
        except BaseException as error:  # raised again where somebody sees it
            messages.put(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while (message := messages.get()) is not None:
            if isinstance(message, BaseException):
                raise message
            yield message
            if isinstance(message, Outcome):
                return
    finally:
        # Also when the caller stops listening: the next run must find the model idle.
        stop.set()
        thread.join()


class _Work:
    """What the thread does."""

    def __init__(self, job: Job, model: Model, tell: Callable[[Step], None], stop: threading.Event) -> None:
        self.job, self.model, self.tell, self.stop = job, model, tell, stop
        self.done, self.total = 0, 2 * job.settings.steps + job.settings.particles
        self.moved: torch.Tensor | None = None

    def outcome(self) -> Outcome:
        restorer, settings = self._restorer(), self.job.settings
        particles = restorer.sample(settings, progress=self._step)
        # From the noise of particle 0, so that steering is the only difference.
        plain = restorer.draw(settings, steered=False, which="first", progress=self._step).images[0]
        images = [self._decode(restorer, latents) for latents in particles.latents]
        average = average_picture(images)

        assert self.moved is not None  # a run has steps
        moved, largest = draw_spread(self.moved.cpu().numpy(), scale=_cell(self.model))
        height, width = average.shape[:2]
        outcome = Outcome(
            images=images,
            chosen=particles.chosen,
            plain=plain,
            average=average,
            before=bicubic(self.job.photo) if self.job.mask is None else restorer.shown,
            spread=draw_spread(spread_map(images)) if len(images) > 1 else None,
            moved=(moved[:height, :width], largest),  # the rest is padding
            trace=particles.trace,
        )
        outcome.scores.update(self._scores(outcome))
        return outcome

    def _restorer(self) -> Restorer:
        job = self.job
        if job.mask is not None:
            return inpainting_restorer(job.photo, job.mask, self.model)
        return super_resolution_restorer(job.photo, self.model)

    def _step(self, state: SamplerState) -> None:
        # (..., C, h, w) -> (h, w): how long the step towards the others is, on average over the particles
        length = torch.linalg.vector_norm((state.x0_steered - state.x0_pred).float(), dim=-3)
        step = length.reshape(-1, *length.shape[-2:]).mean(0)
        self.moved = step if self.moved is None else self.moved + step
        self._tell()

    def _decode(self, restorer: Restorer, latents: Any) -> np.ndarray:
        image = restorer.decode(latents[None])[0]
        self._tell()
        return image

    def _tell(self) -> None:
        if self.stop.is_set():
            raise _StoppedError
        self.done += 1
        self.tell(Step(self.done, self.total))

    def _scores(self, outcome: Outcome) -> dict[str, dict[str, float]]:
        truth = self.job.truth
        if truth is None:
            return {}
        score: Score = distortion if self.job.mask is None else inpainting_score(self.job.mask)
        pictures = {"bicubic": outcome.before} if self.job.mask is None else {}
        pictures |= {
            "one particle without KDS": outcome.plain,
            "KDS: the chosen particle": outcome.images[outcome.chosen],
            "KDS: the average": outcome.average,
        }
        return {name: score(picture, truth) for name, picture in pictures.items()}


def _cell(model: Model) -> int:
    """Pixels of the result for a latent pixel, along each side."""
    return int(model.pipe.vae_scale_factor) if isinstance(model, PipelineModel) else SCALE
