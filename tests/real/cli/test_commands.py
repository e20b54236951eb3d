"""The command line: what it writes, that it repeats itself, and one clear line for every mistake."""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")
from commands import pixels, run

from real import open_model
from real.bench.reconstruction import reconstruct
from real.degradations.real_esrgan import PRESETS
from real.degradations.simple import Degradation
from real.images.colour import fix_colours
from real.images.photos import center_crop
from real.images.seeds import degradation_rng
from real.metrics.distortion import distortion
from real.models.regression import load_regression, regress
from real.restorers.compare import bicubic

QUICK = ["--steps", "2", "--particles", "2"]


def test_restore(tmp_path: Path, photo_file: Path, tiny_folder: Path) -> None:
    assert run("sr", photo_file, "--output", tmp_path / "out", "--model", tiny_folder, *QUICK) == 0
    assert pixels(tmp_path / "out" / "restored.png").shape == (256, 320, 3)
    assert min(pixels(tmp_path / "out" / "comparison.png").shape[:2]) > 200
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["settings"]["bandwidth"] == 0.4  # the model's own
    assert result["chosen"] in (0, 1)
    files = ["comparison.png", "restored.png", "result.json", "spread.png"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == files


@pytest.mark.parametrize("name", ["simple", "stable-sr"])
def test_the_degradation_is_chosen_and_recorded(
    name: str, tmp_path: Path, photo_file: Path, photo: np.ndarray, tiny_folder: Path
) -> None:
    degradation = PRESETS[name] if name in PRESETS else Degradation()
    low = degradation(photo, degradation_rng(0, photo))
    options = ["--degrade", "--degradation", name, "--output", tmp_path, "--model", tiny_folder]
    assert run("sr", photo_file, *options, *QUICK) == 0
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["degradation"] == json.loads(json.dumps(asdict(degradation)))
    expected = distortion(bicubic(low), photo)
    assert result["scores"]["bicubic"]["psnr_rgb"] == pytest.approx(expected["psnr_rgb"], abs=1e-4)


def test_half_precision_is_near_single_precision(tmp_path: Path, photo_file: Path, tiny_folder: Path) -> None:
    restored = []
    for dtype in ("float32", "bfloat16"):
        output = tmp_path / dtype
        assert run("sr", photo_file, "--output", output, "--model", tiny_folder, "--dtype", dtype, *QUICK) == 0
        assert json.loads((output / "result.json").read_text())["dtype"] == dtype
        restored.append(pixels(output / "restored.png").astype(float))
    assert 0 < np.abs(restored[0] - restored[1]).mean() < 3  # of 255


def test_kernel_and_bandwidth_rule_are_recorded(tmp_path: Path, photo_file: Path, tiny_folder: Path) -> None:
    options = ["--output", tmp_path, "--model", tiny_folder, "--kernel", "laplacian", "--bandwidth", "scott"]
    assert run("sr", photo_file, *options, *QUICK) == 0
    settings = json.loads((tmp_path / "result.json").read_text())["settings"]
    assert (settings["kernel"], settings["bandwidth"]) == ("laplacian", "scott")


def test_the_result_takes_the_colours_of_the_input(
    tmp_path: Path, photo_file: Path, photo: np.ndarray, tiny_folder: Path
) -> None:
    options = ["--model", tiny_folder, *QUICK]
    for fix in ("none", "wavelet"):
        assert run("sr", photo_file, "--output", tmp_path / fix, "--colour-fix", fix, *options) == 0
        assert json.loads((tmp_path / fix / "result.json").read_text())["colour_fix"] == fix
    plain, fixed = (pixels(tmp_path / fix / "restored.png") for fix in ("none", "wavelet"))
    assert np.array_equal(fixed, fix_colours(plain, photo, "wavelet"))
    assert not np.array_equal(fixed, plain)


def test_evaluate_judges_results_with_their_colours_fixed(tmp_path: Path, photo_file: Path, tiny_folder: Path) -> None:
    means = {}
    for fix in ("none", "adain"):
        options = ["--photos", photo_file.parent, "--crop", 64, "--colour-fix", fix, "--model", tiny_folder, *QUICK]
        assert run("evaluate", *options, "--output", tmp_path / fix / "out") == 0
        report = json.loads((tmp_path / fix / "out" / "evaluation.json").read_text())
        assert report["colour_fix"] == fix
        means[fix] = {name: m["psnr_rgb"]["mean"] for name, m in report["variants"][0]["methods"].items()}
    assert means["none"]["bicubic"] == means["adain"]["bicubic"]
    # The tiny model knows nothing of colours, the input does.
    assert all(means["adain"][name] > means["none"][name] + 1 for name in ("ddim_one", "kds_choice"))


def test_same_seed_same_bytes(tmp_path: Path, photo_file: Path, tiny_folder: Path) -> None:
    output = tmp_path / "out"
    files = []
    for _ in range(2):
        assert run("sr", photo_file, "--degrade", "--output", output, "--model", tiny_folder, *QUICK) == 0
        files.append({p.name: p.read_bytes() for p in output.iterdir()})
    assert files[0] == files[1]
    assert run("sr", photo_file, "--degrade", "--output", output, "--model", tiny_folder, "--seed", 1, *QUICK) == 0
    assert (output / "restored.png").read_bytes() != files[0]["restored.png"]


def test_degrade_scores_every_method(
    tmp_path: Path, photo_file: Path, photo: np.ndarray, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from real.metrics.distortion import distortion
    from real.restorers.compare import METHODS

    assert run("sr", photo_file, "--degrade", "--output", tmp_path, "--model", tiny_folder, *QUICK) == 0
    scores = json.loads((tmp_path / "result.json").read_text())["scores"]
    assert set(scores) == set(METHODS)
    restored = pixels(tmp_path / "restored.png")
    assert scores["kds_choice"]["psnr_rgb"] == pytest.approx(distortion(restored, photo)["psnr_rgb"], abs=1e-3)
    assert scores["ddim_worst"]["psnr_rgb"] <= scores["ddim_mean"]["psnr_rgb"]
    low = Degradation()(photo, degradation_rng(0, photo))
    guess = distortion(regress(load_regression(), low), photo)
    assert scores["mmse"]["psnr_rgb"] == pytest.approx(guess["psnr_rgb"], abs=1e-4)
    assert "kds_choice" in capsys.readouterr().out


def bad_arguments() -> list[tuple[list[str], str]]:
    return [
        (["sr", "nothing.png"], "nothing.png"),
        (["sr", "{empty}"], "empty"),
        (["sr", "{text}"], "IMAGE must be an image in a known format, got"),
        (["sr", "{photo}", "--model", "no/such-model-anywhere-123"], "--model"),
        (["sr", "{photo}", "--particles", "0"], "--particles"),
        (["sr", "{photo}", "--particles", "many"], "--particles"),
        (["sr", "{photo}", "--bandwidth", "0"], "--bandwidth: must be a positive number"),
        (["sr", "{photo}", "--bandwidth", "guess"], "--bandwidth must be a number or one of"),
        (["sr", "{photo}", "--kernel", "heavy"], "--kernel must be"),
        (["sr", "{photo}", "--strength", "nan"], "--strength must be"),
        (["sr", "{photo}", "--steps", "2000"], "--steps must be a whole number from 1 to 1000, got 2000"),
        (["sr", "{photo}", "--device", "abacus"], "--device"),
        (["sr", "{photo}", "--sampler", "euler"], "--sampler"),
        (["sr", "{photo}", "--metrics", "lpips-hed"], "--metrics must be left out except with --degrade"),
        (["sr", "{photo}", "--degrade", "--metrics", "ssim"], "--metrics must be one of lpips-hed"),
        (["sr", "{photo}", "--output", "{text}"], "--output"),
        (["evaluate", "--photos", "{nowhere}"], "--photos"),
        (["paint"], "paint"),
        ([], "COMMAND"),
    ]


@pytest.mark.parametrize(("arguments", "named"), bad_arguments())
def test_mistakes_are_one_line_and_status_2(
    arguments: list[str],
    named: str,
    tmp_path: Path,
    photo_file: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("hello")
    places = {"photo": photo_file, "empty": tmp_path / "empty.png", "text": tmp_path / "text.png"}
    filled = [a.format(**places, nowhere=tmp_path / "nowhere") for a in arguments]
    if "--output" not in filled and filled and filled[0] != "paint":
        filled += ["--output", str(tmp_path / "out")]
    assert run(*filled) == 2
    error = capsys.readouterr().err
    assert named in error.strip().splitlines()[-1]
    assert "Traceback" not in error


def test_help_answers_without_loading_torch() -> None:
    code = "import sys, real.__main__ as m\ntry: m.main(['sr', '--help'])\nexcept SystemExit: pass\n"
    code += "assert 'torch' not in sys.modules and 'diffusers' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--degrade" in done.stdout


def test_the_autoencoder_alone_is_scored_on_the_whole_photo(
    tmp_path: Path, photo: np.ndarray, tiny_folder: Path
) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    for i in range(2):
        Image.fromarray(np.roll(photo, 9 * i, axis=1)).save(photos / f"{i}.png")
    options = ["evaluate", "--photos", photos, "--autoencoder-only", "--model", tiny_folder, "--output", out]
    assert run(*options, "--limit", 1) == 0
    assert run(*options) == 0
    rows = [json.loads(line) for line in (out / "rows.jsonl").read_text().splitlines()]
    assert [row["photo"] for row in rows] == ["0.png", "1.png"]
    model = open_model(str(tiny_folder), device="cpu", dtype="float32")
    truth = np.ascontiguousarray(center_crop(photo))
    expected = distortion(reconstruct(model, truth), truth)["psnr_rgb"]
    assert rows[0]["scores"]["psnr_rgb"] == pytest.approx(expected, abs=1e-6)
    report = json.loads((out / "reconstruction.json").read_text())
    assert (report["photos"], report["crop"]) == (2, None)
    psnr = [row["scores"]["psnr_rgb"] for row in rows]
    assert psnr[0] != psnr[1]
    assert report["scores"]["psnr_rgb"]["mean"] == pytest.approx(np.mean(psnr), abs=1e-3)
    assert run(*options, "--crop", 64) == 2  # other settings: refused, nothing mixed
    assert run(*options[:-1], tmp_path / "cropped", "--crop", 64, "--limit", 1) == 0
    truth = np.ascontiguousarray(center_crop(photo, side=64))
    cropped = json.loads((tmp_path / "cropped" / "rows.jsonl").read_text())["scores"]["psnr_rgb"]
    assert cropped == pytest.approx(distortion(reconstruct(model, truth), truth)["psnr_rgb"], abs=1e-6)


def test_evaluate_goes_on_where_it_was(tmp_path: Path, photo: np.ndarray, tiny_folder: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for i in range(3):
        Image.fromarray(np.roll(photo, 9 * i, axis=1)).save(photos / f"{i}.png")
    options = ["evaluate", "--photos", photos, "--crop", 64, "--cutoffs", 0.3, 0, "--model", tiny_folder, *QUICK]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert run(*options, "--output", whole) == 0
    assert run(*options, "--output", parts, "--limit", 1) == 0
    text = (parts / "evaluation.json").read_text()
    assert "NaN" not in text  # which JSON has not: the error of one photo is null
    assert json.loads(text)["variants"][0]["methods"]["ddim_one"]["psnr_rgb"]["standard_error"] is None
    rows = (parts / "rows.jsonl").read_text()
    (parts / "rows.jsonl").write_text(rows + rows[: len(rows) // 5])  # as a kill in the middle of a line leaves it
    assert run(*options, "--output", parts) == 0
    assert sorted((parts / "rows.jsonl").read_text().splitlines()) == sorted(
        (whole / "rows.jsonl").read_text().splitlines()
    )
    summary = json.loads((whole / "evaluation.json").read_text())["variants"]
    assert [v["cutoff"] for v in summary] == [0.3, 0.0]
    assert all(v["photos"] == 3 for v in summary)
    first = [json.loads(r)["scores"]["bicubic"]["psnr_rgb"] for r in (whole / "rows.jsonl").read_text().splitlines()]
    assert summary[0]["methods"]["bicubic"]["psnr_rgb"]["mean"] == pytest.approx(np.mean(first[::2]), abs=1e-3)
    damaged = whole / "rows.jsonl"
    lines = damaged.read_text().splitlines()
    damaged.write_text("\n".join([lines[0], "not a row", *lines[2:]]) + "\n")
    assert run(*options, "--output", whole) == 2  # named, and not one row lost
    assert damaged.read_text().splitlines()[2:] == lines[2:]
    damaged.write_text("\n".join(lines) + "\n")
    assert run(*options, "--output", whole, "--seed", 1) == 2  # other settings: refused, nothing mixed
