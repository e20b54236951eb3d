"""A run that is watched: the steps, the outcome as the library gives it, stopping, errors."""

import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from real import open_model  # noqa: E402
from real.api import inpainting_restorer, super_resolution_restorer  # noqa: E402
from real.app.jobs import Job  # noqa: E402
from real.app.runs import Outcome, Step, check_model, run  # noqa: E402
from real.degradations.simple import Degradation  # noqa: E402
from real.errors import UserError  # noqa: E402
from real.images.disagreement import draw_spread, spread_map  # noqa: E402
from real.images.masks import center_box  # noqa: E402
from real.metrics.distortion import distortion, hole_distortion  # noqa: E402
from real.models.latent import LatentModel  # noqa: E402
from real.restorers.base import decode_all, restore  # noqa: E402
from real.restorers.compare import bicubic  # noqa: E402
from real.settings import Settings  # noqa: E402

SETTINGS = Settings(particles=3, steps=4, cutoff=0.5, kernel="l2")


@pytest.fixture(scope="module")
def filler(hole_filler_folder: Any) -> Any:
    return open_model(str(hole_filler_folder), task="inpaint", device="cpu", dtype="float32")


def all_of(job: Job, model: Any) -> tuple[list[Step], Outcome]:
    *steps, outcome = run(job, model, threading.Event())
    assert isinstance(outcome, Outcome)
    return steps, outcome  # type: ignore[return-value]


def test_the_outcome_is_what_the_library_gives(photo: np.ndarray, tiny: LatentModel) -> None:
    low = Degradation()(photo, np.random.default_rng(0))
    steps, outcome = all_of(Job("sr", low, SETTINGS, truth=photo), tiny)
    assert [step.done for step in steps] == list(range(1, 2 * 4 + 3 + 1))
    assert {step.total for step in steps} == {2 * 4 + 3}

    restorer = super_resolution_restorer(low, tiny)
    expected = restore(restorer, SETTINGS)
    images = decode_all(restorer, expected.particles)
    assert outcome.chosen == expected.chosen
    np.testing.assert_array_equal(outcome.images, images)
    np.testing.assert_array_equal(outcome.plain, expected.plain)
    np.testing.assert_array_equal(outcome.before, bicubic(low))
    assert np.abs(outcome.average - np.mean(images, axis=0)).max() <= 0.5
    assert outcome.spread is not None
    np.testing.assert_array_equal(outcome.spread[0], draw_spread(spread_map(images))[0])
    assert outcome.trace == expected.trace
    chosen = outcome.scores["KDS: the chosen particle"]
    assert chosen == distortion(images[expected.chosen], photo)
    assert outcome.scores["one particle without KDS"] == distortion(expected.plain, photo)


def test_the_map_of_steering_adds_up_the_steps(photo: np.ndarray, tiny: LatentModel) -> None:
    low = photo[:30, :42]  # no multiples of what the network divides by
    _, outcome = all_of(Job("sr", low, SETTINGS), tiny)
    lengths: list[torch.Tensor] = []
    restorer = super_resolution_restorer(low, tiny)
    restorer.sample(SETTINGS, progress=lambda s: lengths.append((s.x0_steered - s.x0_pred).square().sum(1).sqrt()))
    moved = sum(length.mean(0) for length in lengths)
    assert [bool(length.any()) for length in lengths] == [True, True, False, False]  # the cut-off
    expected, largest = draw_spread(moved.numpy(), scale=4)
    assert outcome.moved[1] == pytest.approx(largest, rel=1e-5)
    assert outcome.moved[0].shape == (120, 168, 3)
    assert np.abs(outcome.moved[0].astype(int) - expected[:120, :168]).max() <= 1
    assert outcome.scores == {}


def test_strength_0_moves_nothing_and_one_particle_has_no_spread(photo: np.ndarray, tiny: LatentModel) -> None:
    settings = replace(SETTINGS, particles=1, strength=0.0)
    _, outcome = all_of(Job("sr", photo[:24, :24], settings), tiny)
    assert outcome.spread is None
    assert outcome.moved[1] == 0.0
    assert outcome.moved[0].max() < 5
    np.testing.assert_array_equal(outcome.images[0], outcome.plain)


def test_a_hole(photo: np.ndarray, filler: Any) -> None:
    hole = center_box(64, 80, 0.2)
    _, outcome = all_of(Job("inpaint", photo, SETTINGS, hole, photo), filler)
    expected = restore(inpainting_restorer(photo, hole, filler), SETTINGS)
    np.testing.assert_array_equal(outcome.images[outcome.chosen], expected.image)
    assert (outcome.before[hole] == 128).all()
    np.testing.assert_array_equal(outcome.before[~hole], photo[~hole])
    scores = outcome.scores["KDS: the chosen particle"]
    assert scores == {**distortion(expected.image, photo), **hole_distortion(expected.image, photo, hole)}
    assert "bicubic" not in outcome.scores


@pytest.mark.parametrize("after", [1, 9])  # while sampling, while decoding
def test_a_run_stops_after_the_step_that_is_under_way(after: int, photo: np.ndarray, tiny: LatentModel) -> None:
    stop, steps = threading.Event(), []
    for message in run(Job("sr", photo, SETTINGS), tiny, stop):
        steps.append(message)
        if len(steps) == after:
            stop.set()
    assert after <= len(steps) <= after + 1
    assert not any(isinstance(message, Outcome) for message in steps)


def test_a_run_that_nobody_watches_ends(photo: np.ndarray, tiny: LatentModel) -> None:
    stop, before = threading.Event(), threading.active_count()
    messages = run(Job("sr", photo, SETTINGS), tiny, stop)
    next(messages)
    messages.close()
    assert stop.is_set()
    assert threading.active_count() == before


def test_an_error_of_the_thread_is_raised_here(photo: np.ndarray, tiny: LatentModel) -> None:
    with pytest.raises(UserError, match=r"model must be for the task 'inpaint', got .*, which is for 'sr'"):
        list(run(Job("inpaint", photo, SETTINGS, center_box(64, 80, 0.2)), tiny, threading.Event()))


def test_models_that_need_more_than_a_photo_are_refused(tiny: LatentModel) -> None:
    check_model(tiny)
    with pytest.raises(UserError, match="model must need nothing but the photo, got 'diffbir'; use the command sr"):
        check_model(type("Backbone", (), {"name": "diffbir"})())  # type: ignore[arg-type]
