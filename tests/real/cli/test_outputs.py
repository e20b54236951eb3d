"""Beside the restored photo: the map of disagreement, and the alternatives that `--compare` names."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
from commands import pixels, run  # noqa: E402

from real.alternatives.enlarging import INSTALL, lanczos  # noqa: E402
from real.alternatives.fillings import biharmonic  # noqa: E402
from real.api import super_resolution_restorer  # noqa: E402
from real.cli.outputs import spread_of  # noqa: E402
from real.degradations.simple import Degradation  # noqa: E402
from real.images.disagreement import draw_spread, spread_map  # noqa: E402
from real.images.masks import center_box  # noqa: E402
from real.images.seeds import degradation_rng  # noqa: E402
from real.metrics.distortion import distortion, hole_distortion  # noqa: E402
from real.models.latent import LatentModel  # noqa: E402
from real.restorers.base import Restoration, decode_all, restore  # noqa: E402
from real.restorers.pipeline import BlackedOutError  # noqa: E402
from real.settings import Settings  # noqa: E402

QUICK = ["--steps", "2", "--particles", "3"]
SETTINGS = Settings(steps=2, particles=3)


def result_of(folder: Path) -> Any:
    return json.loads((folder / "result.json").read_text())


def test_the_map_is_that_of_the_steered_particles(
    tmp_path: Path, photo_file: Path, photo: np.ndarray, tiny_folder: Path, tiny: LatentModel, capsys: Any
) -> None:
    assert run("sr", photo_file, "--output", tmp_path, "--model", tiny_folder, "--dtype", "float32", *QUICK) == 0
    restorer = super_resolution_restorer(photo, tiny)
    result = restore(restorer, SETTINGS)
    images = decode_all(restorer, result.particles)
    assert np.array_equal(images[result.chosen], result.image)
    expected, largest = draw_spread(spread_map(images))
    assert largest > 0
    assert np.array_equal(pixels(tmp_path / "spread.png"), expected)
    assert result_of(tmp_path)["spread"]["largest"] == pytest.approx(largest, abs=1e-4)
    assert f"light: the particles differ by {largest:.0f} of 255" in capsys.readouterr().out


def test_with_a_truth_the_plain_particles_are_beside_it(tmp_path: Path, photo_file: Path, tiny_folder: Path) -> None:
    options = ["--degrade", "--output", tmp_path, "--model", tiny_folder, *QUICK]
    assert run("sr", photo_file, *options, "--cutoff", 0, "--strength", 1, "--kernel", "l2") == 0
    steered = result_of(tmp_path)["spread"]
    assert pixels(tmp_path / "spread.png").shape == pixels(tmp_path / "restored.png").shape
    assert 0 <= steered["mean"] < 0.5 * steered["mean_without_kds"]  # at full strength all move to their mean
    assert run("sr", photo_file, *options, "--strength", 0) == 0
    plain = result_of(tmp_path)["spread"]
    assert plain["mean"] == plain["mean_without_kds"] == steered["mean_without_kds"]


@pytest.mark.parametrize("alone", [["--particles", "1"], ["--early-choice", "--cutoff", "0.9"]])
def test_without_other_particles_there_is_no_map(
    alone: list[str], tmp_path: Path, photo_file: Path, tiny_folder: Path
) -> None:
    for more in (["--degrade"], []):
        (tmp_path / "spread.png").write_bytes(b"of an earlier run")
        assert run("sr", photo_file, *more, "--output", tmp_path, "--model", tiny_folder, *QUICK, *alone) == 0
        assert result_of(tmp_path)["spread"] is None
        assert not (tmp_path / "spread.png").exists()


def test_a_particle_that_is_blacked_out_costs_the_map_alone(
    photo: np.ndarray, tiny: LatentModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    restorer = super_resolution_restorer(photo, tiny)
    result = restore(restorer, SETTINGS)

    def black(latents: torch.Tensor) -> list[np.ndarray]:
        raise BlackedOutError("its safety checker blacked a picture out", argument="model")

    monkeypatch.setattr(restorer, "decode", black)
    assert spread_of(restorer, result) == {}
    assert isinstance(result, Restoration)


def test_known_pixels_are_black(tmp_path: Path, photo_file: Path, hole_filler_folder: Path) -> None:
    options = ["--center-box", 0.3, "--output", tmp_path, "--model", hole_filler_folder, "--compare", "biharmonic"]
    assert run("inpaint", photo_file, *options, *QUICK) == 0
    hole, picture = center_box(64, 80, 0.3), pixels(tmp_path / "spread.png").astype(int).sum(-1)
    assert picture[~hole].max() == picture.min() < 10
    assert picture[hole].mean() > 100


def test_an_upscaler_is_compared(
    tmp_path: Path, photo_file: Path, photo: np.ndarray, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["sr", photo_file, "--degrade", "--output", tmp_path, "--model", tiny_folder, *QUICK]
    assert run(*options) == 0
    narrow, before = pixels(tmp_path / "comparison.png").shape[1], result_of(tmp_path)
    assert "alternatives" not in before
    assert run(*options, "--compare", "lanczos") == 0
    after = result_of(tmp_path)
    expected = lanczos(Degradation()(photo, degradation_rng(0, photo)))
    assert np.array_equal(pixels(tmp_path / "lanczos.png"), expected)
    assert after["scores"].pop("lanczos") == pytest.approx(distortion(expected, photo), abs=1e-3)
    assert after["scores"] == before["scores"]  # nothing else changes
    assert set(after["alternatives"]["lanczos"]) == {"pillow"}
    assert pixels(tmp_path / "comparison.png").shape[1] > narrow + 200
    assert "Lanczos interpolation" in capsys.readouterr().out


def test_a_filler_is_compared(
    tmp_path: Path, photo_file: Path, photo: np.ndarray, hole_filler_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["inpaint", photo_file, "--output", tmp_path, "--model", hole_filler_folder, "--compare", "biharmonic"]
    hole = center_box(64, 80, 0.2)
    expected = biharmonic(photo, hole)
    assert run(*options, "--center-box", 0.2, *QUICK) == 0
    scores = result_of(tmp_path)["scores"]["biharmonic"]
    assert scores == pytest.approx({**distortion(expected, photo), **hole_distortion(expected, photo, hole)}, abs=1e-3)
    assert np.array_equal(pixels(tmp_path / "biharmonic.png"), expected)
    assert "the smoothest continuation" in capsys.readouterr().out

    (tmp_path / "biharmonic.png").unlink()
    mask_file = tmp_path / "mask.png"
    Image.fromarray(np.where(hole, 255, 0).astype(np.uint8)).save(mask_file)
    assert run(*options, "--mask", mask_file, *QUICK) == 0
    assert np.array_equal(pixels(tmp_path / "biharmonic.png"), expected)
    assert "scores" not in result_of(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["sr", "--compare", "real-esrgan"], f"not installed, which Real-ESRGAN needs: {INSTALL}"),
        (["inpaint", "--center-box", "0.3", "--compare", "navier-stokes"], f"OpenCV is not installed: {INSTALL}"),
        (["sr", "--compare", "biharmonic"], "argument --compare: invalid choice: 'biharmonic'"),
        (["inpaint", "--center-box", "0.3", "--compare", "lanczos"], "argument --compare: invalid choice: 'lanczos'"),
    ],
)
def test_what_is_missing_is_named_before_a_model_is_loaded(
    arguments: list[str], named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in ("ncnn", "cv2") else found(name))
    command, *rest = arguments
    assert run(command, *rest, "--output", tmp_path / "out", "--model", tmp_path / "no-model") == 2
    assert named in capsys.readouterr().err.strip().splitlines()[-1]
    assert not (tmp_path / "out").exists()
