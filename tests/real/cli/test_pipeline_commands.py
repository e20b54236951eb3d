"""`sr` and `inpaint` with pipelines on the command line: what they write, and one clear line for every mistake."""

import json
import signal
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
from commands import pixels, run  # noqa: E402

from real.api import inpaint, super_resolve  # noqa: E402
from real.cli.run import run_command  # noqa: E402
from real.images.masks import center_box  # noqa: E402
from real.metrics.distortion import distortion, hole_distortion  # noqa: E402
from real.settings import Settings  # noqa: E402

QUICK = ["--steps", "3", "--particles", "2"]
SETTINGS = Settings(steps=3, particles=2)
FILES = ["comparison.png", "restored.png", "result.json"]


def result_of(folder: Path) -> Any:
    result = json.loads((folder / "result.json").read_text())
    spread = [] if result["settings"]["early_choice"] else ["spread.png"]  # one particle has none
    assert sorted(p.name for p in folder.iterdir()) == sorted([*FILES, *spread])
    return result


@pytest.fixture
def mask_file(tmp_path: Path) -> Path:
    path = tmp_path / "mask.png"
    Image.fromarray(np.where(center_box(64, 80, 0.2), 255, 0).astype(np.uint8)).save(path)
    return path


def test_the_upscaler_restores(tmp_path: Path, photo_file: Path, photo: np.ndarray, upscaler_folder: Path) -> None:
    output = tmp_path / "out"
    options = ["sr", photo_file, "--model", upscaler_folder, "--output", output, "--prompt", "a cat", *QUICK]
    assert run(*options) == 0
    expected = super_resolve(photo, model=upscaler_folder, settings=SETTINGS, prompt="a cat")
    assert np.array_equal(pixels(output / "restored.png"), expected.image)
    result = result_of(output)
    assert (result["family"], result["prompt"], result["noise_level"]) == ("x4-upscaler", "a cat", 20)
    assert (result["settings"]["bandwidth"], result["settings"]["early_choice"]) == (5.0, False)
    assert (result["chosen"], result["evaluations"], result["commit"]) == (expected.chosen, 6, None)
    assert result["trace"] == expected.trace
    assert "transformers" in result["versions"]
    files = {name: (output / name).read_bytes() for name in FILES}
    assert run(*options) == 0
    assert {name: (output / name).read_bytes() for name in FILES} == files  # same seed, same bytes


def test_the_upscaler_is_compared_with_the_truth(
    tmp_path: Path, photo_file: Path, photo: np.ndarray, upscaler_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [
        "--degrade",
        "--model",
        upscaler_folder,
        "--output",
        tmp_path / "out",
        "--early-choice",
        "--max-batch",
        1,
    ]
    assert run("sr", photo_file, *options, *QUICK) == 0
    result = result_of(tmp_path / "out")
    restored = pixels(tmp_path / "out" / "restored.png")
    assert result["scores"]["kds_choice"]["psnr_rgb"] == pytest.approx(
        distortion(restored, photo)["psnr_rgb"], abs=1e-3
    )
    assert {"bicubic", "ddim_one", "ddim_choice"} <= set(result["scores"])
    assert "kds_mean" not in result["scores"]  # the other particles were dropped
    assert result["settings"]["early_choice"]
    assert result["evaluations"]["kds"] < result["evaluations"]["ddim"] == 6
    assert "kds_choice" in capsys.readouterr().out


@pytest.mark.parametrize("by", ["area", "side"])
def test_a_hidden_box_is_painted_and_compared(
    by: str,
    tmp_path: Path,
    photo_file: Path,
    photo: np.ndarray,
    inpainter_folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "out"
    options = ["inpaint", photo_file, "--center-box", 0.3, "--model", inpainter_folder, "--output", output, *QUICK]
    assert run(*options, *(["--box-by", "side"] if by == "side" else [])) == 0
    hole = center_box(64, 80, 0.3, by=by)
    restored, result = pixels(output / "restored.png"), result_of(output)
    assert np.array_equal(restored[~hole], photo[~hole])
    assert np.array_equal(restored, inpaint(photo, hole, model=inpainter_folder, settings=SETTINGS).image)
    expected = {**distortion(restored, photo), **hole_distortion(restored, photo, hole)}
    assert result["scores"]["kds_choice"] == pytest.approx(expected, abs=1e-3)
    assert "bicubic" not in result["scores"]
    assert {"ddim_one", "ddim_mean", "kds_mean", "kds_worst", "kds_average"} <= set(result["scores"])
    assert (result["center_box"], result["box_by"], result["paste"]) == (0.3, by, True)
    assert result["masked"] == pytest.approx(hole.mean(), abs=1e-6)
    assert (result["family"], result["prompt"]) == ("sd-inpaint", "")
    table = capsys.readouterr().out
    assert "PSNR hole" in table
    assert f"{expected['hole_psnr_rgb']:.2f}" in table


def test_a_mask_is_painted(
    tmp_path: Path, photo_file: Path, mask_file: Path, photo: np.ndarray, inpainter_folder: Path
) -> None:
    output = tmp_path / "out"
    options = ["--mask", mask_file, "--model", inpainter_folder, "--output", output, "--no-paste"]
    assert run("inpaint", photo_file, *options, "--guidance", 2, "--negative-prompt", "dog", *QUICK) == 0
    result = result_of(output)
    assert "scores" not in result
    assert (result["paste"], result["negative_prompt"], result["masked"]) == (
        False,
        "dog",
        pytest.approx(0.2, abs=0.01),
    )
    restored = pixels(output / "restored.png")
    assert not np.array_equal(restored[~center_box(64, 80, 0.2)], photo[~center_box(64, 80, 0.2)])


def test_out_of_memory_is_one_line(
    tmp_path: Path,
    photo_file: Path,
    inpainter_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("real.restorers.inpainting.PipelineInpainting.sample", full)
    options = ["--center-box", 0.3, "--model", inpainter_folder, "--output", tmp_path / "out"]
    assert run("inpaint", photo_file, *options, *QUICK) == 2
    assert "--max-batch" in capsys.readouterr().err.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["inpaint", "{photo}", "--center-box", "0.3", "--prompt", "a dog"], "--prompt must be left out except"),
        (["inpaint", "{photo}", "--model", "{inpainter}"], "--mask"),
        (["inpaint", "{photo}", "--center-box", "0.3", "--mask", "{mask}"], "not allowed with"),
        (["inpaint", "{photo}", "--center-box", "2", "--model", "{inpainter}"], "above 0 and below 1, got 2"),
        (["inpaint", "{photo}", "--mask", "{mask}", "--box-by", "side", "--model", "{inpainter}"], "--box-by"),
        (["inpaint", "{photo}", "--mask", "nothing.png", "--model", "{inpainter}"], "--mask must be an existing"),
        (["inpaint", "{photo}", "--mask", "{photo_of_another_size}", "--model", "{inpainter}"], "--mask must have"),
        (["inpaint", "{photo}", "--center-box", "0.3", "--model", "{upscaler}"], "for 'sr'"),
        (["sr", "{photo}", "--model", "{inpainter}"], "for 'inpaint'"),
        (["sr", "{photo}", "--model", "{upscaler}", "--noise-level", "999"], "--noise-level must be a whole number"),
        (["sr", "{photo}", "--model", "{upscaler}", "--negative-prompt", "dog"], "'dog'; give a --guidance above 1"),
        (["sr", "{photo}", "--model", "{upscaler}", "--cutoff", "1", "--early-choice"], "--early-choice must"),
        (["sr", "{photo}", "--prompt", "a cat"], "--prompt must be left out except with"),
        (["sr", "{photo}", "--vae-tiling"], "--vae-tiling"),
        (["sr", "{photo}", "--model", "{upscaler}", "--device", "cpu", "--cpu-offload"], "--cpu-offload"),
        (["sr", "{photo}", "--model", "{upscaler}", "--revision", "main"], "--revision"),
        (["sr", "{photo}", "--max-batch", "0"], "--max-batch"),
        (["evaluate", "--photos", "{folder}", "--model", "{upscaler}"], "family x4-upscaler"),
    ],
)
def test_mistakes_are_one_line_and_status_2(
    arguments: list[str],
    named: str,
    tmp_path: Path,
    photo_file: Path,
    mask_file: Path,
    photo: np.ndarray,
    upscaler_folder: Path,
    inpainter_folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Image.fromarray(photo[:40]).save(tmp_path / "other.png")
    places = {"photo": photo_file, "mask": mask_file, "photo_of_another_size": tmp_path / "other.png"}
    places |= {"upscaler": upscaler_folder, "inpainter": inpainter_folder, "folder": tmp_path}
    filled = [a.format(**places) for a in arguments]
    assert run(*filled, "--output", tmp_path / "out", *QUICK) == 2
    error = capsys.readouterr().err
    assert named in error.strip().splitlines()[-1]
    assert "Traceback" not in error


def test_a_warning_is_one_line() -> None:
    lines = []

    def command() -> int:
        lines.append(warnings.formatwarning(UserWarning("look out"), UserWarning, "file.py", 7))
        return 0

    before = warnings.formatwarning
    assert run_command(command, prog="kds-restore") == 0
    assert lines == ["kds-restore: warning: look out\n"]
    assert warnings.formatwarning is before


def test_an_error_after_an_interruption_is_an_interruption(capsys: pytest.CaptureFixture[str]) -> None:
    """Loading of weights, for one, turns a KeyboardInterrupt at a bad moment into an OSError."""

    def command(*, interrupted: bool) -> int:
        try:
            if interrupted:
                signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            pass
        raise OSError("cannot load the weights")

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    try:
        assert run_command(lambda: command(interrupted=True), prog="kds-restore") == 130
        assert capsys.readouterr().err == "kds-restore: interrupted\n"
        with pytest.raises(OSError, match="cannot load"):
            run_command(lambda: command(interrupted=False), prog="kds-restore")
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
