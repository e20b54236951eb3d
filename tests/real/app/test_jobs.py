"""From the page to a job: the photo's size, what is drawn on it, and one clear line for what is missing."""

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
from real.app.jobs import drawn_mask, fit, make_job  # noqa: E402
from real.degradations.simple import Degradation  # noqa: E402
from real.errors import UserError  # noqa: E402
from real.images.seeds import degradation_rng  # noqa: E402
from real.settings import Settings  # noqa: E402

SETTINGS = Settings(particles=2, steps=2, seed=3)


def stroke(width: int, height: int, box: tuple[int, int, int, int]) -> Image.Image:
    """A layer of the editor: transparent but for a box (left, top, right, bottom)."""
    layer = Image.new("RGBA", (width, height), (0, 0, 0, 0))
    layer.paste((255, 0, 170, 255), box)
    return layer


def editor(photo: np.ndarray, *layers: Image.Image) -> dict[str, object]:
    return {"background": Image.fromarray(photo).convert("RGBA"), "layers": list(layers), "composite": None}


def test_a_small_photo_is_taken_as_it_is(photo: np.ndarray) -> None:
    job = make_job(editor(photo), "sr", SETTINGS, truth=False, side=128)
    np.testing.assert_array_equal(job.photo, photo)
    assert (job.task, job.mask, job.truth) == ("sr", None, None)


def test_a_large_photo_is_reduced_and_keeps_its_shape(photo: np.ndarray) -> None:
    assert fit(Image.fromarray(photo), 40).shape == (32, 40, 3)
    assert fit(Image.fromarray(photo), 400).shape == photo.shape  # never enlarged
    assert make_job(editor(photo), "sr", SETTINGS, truth=False, side=40).photo.shape == (32, 40, 3)


def test_a_truth_is_degraded_as_sr_does_it(photo: np.ndarray) -> None:
    job = make_job(editor(photo[:, :77]), "sr", SETTINGS, truth=True, side=64)
    whole = photo[:, :76]  # a multiple of 4
    assert job.truth is not None
    assert job.truth.shape == whole.shape
    np.testing.assert_array_equal(job.photo, Degradation()(job.truth, degradation_rng(3, job.truth)))


def test_what_is_drawn_is_the_hole(photo: np.ndarray) -> None:
    drawn = stroke(80, 64, (10, 20, 30, 40))
    job = make_job(editor(photo, drawn), "inpaint", SETTINGS, truth=True, side=64)
    assert job.mask is not None
    assert job.mask[20:40, 10:30].all()
    assert job.mask.sum() == 20 * 20
    np.testing.assert_array_equal(job.truth, photo)
    assert make_job(editor(photo, drawn), "inpaint", SETTINGS, truth=False, side=64).truth is None


def test_the_drawing_is_reduced_with_the_photo(photo: np.ndarray) -> None:
    large = np.kron(photo, np.ones((4, 4, 1), dtype=np.uint8))
    job = make_job(editor(large, stroke(320, 256, (40, 80, 120, 160))), "inpaint", SETTINGS, truth=False, side=20)
    assert job.photo.shape == (64, 80, 3)
    assert job.mask is not None
    assert job.mask[20:40, 10:30].all()
    assert job.mask.sum() == 20 * 20


def test_all_layers_count_and_faint_colour_does_not() -> None:
    faint = Image.new("RGBA", (8, 8), (255, 0, 0, 90))
    layers = [stroke(8, 8, (0, 0, 2, 2)), stroke(8, 8, (6, 6, 8, 8)), faint]
    mask = drawn_mask(layers, width=8, height=8)
    assert mask.sum() == 8
    assert mask[0, 0]
    assert mask[7, 7]
    assert not drawn_mask([], width=8, height=8).any()


def test_what_is_missing_is_said(photo: np.ndarray) -> None:
    for nothing in (None, {"background": None, "layers": []}):
        with pytest.raises(UserError, match="there is no photo; drop one"):
            make_job(nothing, "sr", SETTINGS, truth=False, side=64)
    with pytest.raises(UserError, match="nothing is drawn; paint over"):
        make_job(editor(photo, Image.new("RGBA", (80, 64))), "inpaint", SETTINGS, truth=False, side=64)
    with pytest.raises(UserError, match="must have 64 pixels on a side, got 80 x 60"):
        make_job(editor(photo[:60]), "sr", SETTINGS, truth=True, side=64)
    with pytest.raises(UserError, match="must have 16 pixels on a side, got 80 x 15"):
        make_job(editor(photo[:15]), "sr", SETTINGS, truth=False, side=128)
    with pytest.raises(UserError, match="every pixel is to be painted"):
        make_job(editor(photo, stroke(80, 64, (0, 0, 80, 64))), "inpaint", SETTINGS, truth=False, side=64)
