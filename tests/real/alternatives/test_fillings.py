"""Filling holes: what lies around stays, what is smooth goes on, what is hidden is not looked at."""

import importlib.util
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from real.alternatives import __main__ as command
from real.alternatives.fillings import INSTALL, biharmonic, fast_marching, navier_stokes
from real.errors import UserError

Fill = Callable[[np.ndarray, np.ndarray], np.ndarray]
needs_opencv = pytest.mark.skipif(importlib.util.find_spec("cv2") is None, reason="needs the extra alternatives")
FILLS = [
    pytest.param(biharmonic, id="biharmonic"),
    pytest.param(fast_marching, id="fast marching", marks=needs_opencv),
    pytest.param(navier_stokes, id="navier stokes", marks=needs_opencv),
]
ROWS, COLUMNS = np.mgrid[:24, :20]
RAMP = np.stack([8 * ROWS, 6 * COLUMNS, 4 * ROWS + 3 * COLUMNS], axis=-1).astype(np.uint8)
HOLE = (abs(ROWS - 11) < 4) & (abs(COLUMNS - 9) < 4)


@pytest.mark.parametrize("fill", FILLS)
def test_a_ramp_goes_on_and_the_rest_stays(fill: Fill) -> None:
    filled = fill(RAMP, HOLE)
    assert filled.dtype == np.uint8
    np.testing.assert_array_equal(filled[~HOLE], RAMP[~HOLE])
    error = np.abs(filled.astype(int) - RAMP)[HOLE]
    assert error.max() <= (2 if fill is biharmonic else 40)
    assert error.mean() < np.abs(RAMP[HOLE] - RAMP[~HOLE].mean(0)).mean()


@pytest.mark.parametrize("fill", FILLS)
def test_what_is_hidden_is_not_looked_at(fill: Fill) -> None:
    other = RAMP.copy()
    other[HOLE] = 255
    np.testing.assert_array_equal(fill(other, HOLE), fill(RAMP, HOLE))


@pytest.mark.parametrize("fill", FILLS)
def test_no_hole_changes_nothing(fill: Fill) -> None:
    np.testing.assert_array_equal(fill(RAMP, np.zeros(RAMP.shape[:2], dtype=bool)), RAMP)


@pytest.mark.parametrize("fill", [biharmonic, fast_marching, navier_stokes])
def test_arrays_that_do_not_fit_are_refused(fill: Fill) -> None:
    with pytest.raises(ValueError, match="photo must be RGB uint8"):
        fill(RAMP / 255.0, HOLE)
    for mask in (HOLE.astype(np.uint8), HOLE[:5], np.ones_like(HOLE)):
        with pytest.raises(ValueError, match="mask must be bool"):
            fill(RAMP, mask)


def test_without_opencv_there_is_one_line_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="OpenCV is not installed") as error:
        navier_stokes(RAMP, HOLE)
    assert INSTALL in str(error.value)


def test_a_photo_that_is_filled_without_an_error_is_left_out_of_psnr() -> None:
    """A flat one: its PSNR is infinite, which JSON has not."""
    photos = [SimpleNamespace(name=name) for name in ("flat", "a")]
    psnr = {"flat": {"biharmonic": None, "fast": 40.0}, "a": {"biharmonic": 20.0, "fast": 21.0}}
    rows = {
        (photo, f"inpaint/{name}"): {"scores": {"psnr_rgb": value, "ssim_rgb": 0.5}, "cpu_seconds": 1.0}
        for photo, values in psnr.items()
        for name, value in values.items()
    }
    report = command._report(rows, photos, ["inpaint/biharmonic", "inpaint/fast"])
    means = {name: scores["psnr_rgb"]["mean"] for name, scores in report["inpaint"].items()}
    assert means == {"biharmonic": 20.0, "fast": 21.0}  # both over the same photo
    assert report["inpaint"]["fast"]["ssim_rgb"]["mean"] == 0.5
    (left_out,) = report["not_finite"]["inpaint"]
    assert left_out == {"photo": "flat", "metric": "psnr_rgb", "lines": ["biharmonic"]}
