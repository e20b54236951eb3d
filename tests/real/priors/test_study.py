"""Measurements, rows and report, with a small network in place of FFDNet."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from real.images.photos import sample_photo
from real.priors import __main__ as command
from real.priors.ffdnet import LARGEST_SIGMA, FFDNet
from real.priors.measurements import KNOWN, MEASUREMENTS
from real.priors.report import page, summarise, tables
from real.priors.study import PriorSettings, measure, photo_tensor, rows_of, sample, to_pixels

SETTINGS = PriorSettings(particles=3, steps=3, crop=32)
PHOTO = np.ascontiguousarray(sample_photo()[:32, :32])
TRUTH = photo_tensor(PHOTO)


class Smoother(FFDNet):
    """Shrinks towards the mean colour: a denoiser of a kind."""

    def forward(self, x: torch.Tensor, sigma: float | torch.Tensor) -> torch.Tensor:
        sigma = float(sigma)
        mean = x.mean((2, 3), keepdim=True)
        return mean + 0.04 / (0.04 + sigma**2) * (x - mean)


NETWORK = Smoother(channels=1, layers=2)


def distance(image: np.ndarray, truth: np.ndarray) -> float:
    return float(np.abs(image.astype(float) - truth).mean() / 255.0)


def test_pixels_come_back() -> None:
    np.testing.assert_array_equal(to_pixels(TRUTH), PHOTO)
    assert to_pixels(torch.tensor([-1.0, 0.5, 2.0])[:, None, None]).ravel().tolist() == [0, 128, 255]


def test_noise_is_75_of_255_and_no_constraint() -> None:
    known = measure("noise", TRUTH, number=0)
    assert known.agree is None
    assert known.noise == 0.0
    assert float((known.estimate - TRUTH).std()) == pytest.approx(LARGEST_SIGMA, rel=0.05)


@pytest.mark.parametrize("kind", ["pixels", "small"])
def test_agreeing_is_a_projection_that_keeps_the_truth(kind: str) -> None:
    known = measure(kind, TRUTH, number=0)
    assert known.agree is not None
    x = torch.rand(2, *TRUTH.shape, generator=torch.Generator().manual_seed(0))
    once = known.agree(x)
    torch.testing.assert_close(known.agree(once), once)
    torch.testing.assert_close(known.agree(TRUTH[None])[0], TRUTH)
    assert (once - x).abs().max() > 0.1


def test_what_is_known_stays() -> None:
    pixels, small = (measure(kind, TRUTH, number=0) for kind in ("pixels", "small"))
    assert pixels.agree is not None
    assert small.agree is not None
    kept = (pixels.agree(torch.zeros(1, *TRUTH.shape))[0] != 0).any(0).float().mean()
    assert float(kept) == pytest.approx(KNOWN, abs=0.05)
    means = small.agree(torch.zeros(1, *TRUTH.shape))[0].reshape(3, 8, 4, 8, 4).mean((2, 4))
    torch.testing.assert_close(means, TRUTH.reshape(3, 8, 4, 8, 4).mean((2, 4)))


@pytest.mark.parametrize("kind", MEASUREMENTS)
def test_a_photo_and_a_seed_determine_all(kind: str) -> None:
    known = measure(kind, TRUTH, number=4)
    again = measure(kind, TRUTH, number=4)
    assert torch.equal(known.estimate, again.estimate)
    samples = sample(NETWORK, known, SETTINGS, number=4, bandwidth=0.1)
    assert torch.equal(samples, sample(NETWORK, again, SETTINGS, number=4, bandwidth=0.1))
    if kind != "small":
        assert not torch.equal(known.estimate, measure(kind, TRUTH, number=5).estimate)


def test_rows_say_what_was_sampled_and_only_what_is_missing() -> None:
    options: dict[str, Any] = {
        "name": "a.png",
        "number": 0,
        "settings": SETTINGS,
        "bandwidths": {"noise": (0.1,)},
        "distance": distance,
    }
    rows = {row["run"]: row for row in rows_of(NETWORK, PHOTO, done=(), **options)}
    assert list(rows) == ["noise/estimate", "noise/plain", "noise/kds-0.1"]
    rest = rows_of(NETWORK, PHOTO, done={"noise/estimate", "noise/plain"}, **options)
    assert [row["run"] for row in rest] == ["noise/kds-0.1"]
    known = measure("noise", TRUTH, number=0)
    samples = sample(NETWORK, known, SETTINGS, number=0, bandwidth=None)
    row = rows["noise/plain"]
    error = ((samples - TRUTH) ** 2).mean()
    assert row["squared_distance_to_truth"] == pytest.approx(float(error), rel=1e-5)
    pairs = [(i, j) for i in range(3) for j in range(3) if i != j]
    apart = np.mean([float(((samples[i] - samples[j]) ** 2).mean()) for i, j in pairs])
    assert row["squared_distance_of_two"] == pytest.approx(apart, rel=1e-4)
    assert row["average"]["lpips_hed"] == distance(to_pixels(samples.mean(0)), PHOTO)
    once = NETWORK(known.estimate[None], LARGEST_SIGMA)[0]
    assert rows["noise/estimate"]["estimate"]["lpips_hed"] == distance(to_pixels(once), PHOTO)


def fake_row(photo: str, run: str, psnr: float) -> dict[str, Any]:
    scores = {"psnr": psnr, "lpips_hed": psnr / 100.0}
    if run.endswith("estimate"):
        return {"photo": photo, "run": run, "estimate": scores}
    ensemble = {"particle": scores, "chosen": scores, "average": scores, "mean_particle_psnr": psnr - 1.0}
    return {"photo": photo, "run": run, **ensemble, "squared_distance_of_two": 1.0, "squared_distance_to_truth": 4.0}


def test_differences_are_paired_by_photo_and_half_done_photos_left_out() -> None:
    rows = [
        fake_row(photo, f"noise/{run}", psnr + gain)
        for photo, psnr in (("a", 20.0), ("b", 30.0))
        for run, gain in (("estimate", 3.0), ("plain", 0.0), ("kds-0.05", 0.5))
    ]
    report = {"measurements": summarise([*rows, fake_row("c", "noise/estimate", 99.0)])}
    result = report["measurements"]["noise"]
    assert list(report["measurements"]) == ["noise"]
    assert result["photos"] == 2
    assert result["estimate"]["psnr"]["mean"] == 28.0
    assert result["ways"]["plain"]["particle, PSNR"]["mean"] == 24.0
    change = result["differences"]["kds-0.05"]["chosen, PSNR"]
    assert (change["mean"], change["low"], change["high"], change["positive"]) == (0.5, 0.5, 0.5, 2)
    assert result["calibration"]["plain"] == 0.25
    text = tables(report)
    assert "| FFDNet once | – | – | 28.00 | – | – | 0.280 | – |" in text
    assert "| KDS, \\(h = 0.05\\) | +0.50 (+0.50 to +0.50) |" in text


def test_a_photo_without_an_error_is_left_out() -> None:
    """Of a flat photo the smoothed neighbours are exact, and JSON has no infinite PSNR."""
    runs = ("estimate", "plain", "kds-0.05")
    rows = [fake_row(photo, f"pixels/{run}", 20.0) for photo in ("a", "flat") for run in runs]
    rows[3]["estimate"]["psnr"] = None
    result = summarise(rows)["pixels"]
    assert (result["photos"], result["estimate"]["psnr"]["mean"]) == (1, 20.0)
    assert summarise(rows[3:]) == {}


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--bandwidths", "0.05", "0.05"], "--bandwidths must be different positive numbers"),
        (["--bandwidths", "0"], "--bandwidths must be different positive numbers"),
        (["--particles", "1"], "--particles must be a whole number of at least 2"),
    ],
)
def test_the_command_names_the_option(
    options: list[str], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main([*options, "--output", str(tmp_path / "out")]) == 2
    assert named in capsys.readouterr().err


def test_a_photo_is_not_blamed_on_the_crop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(command, "load_ffdnet", lambda: NETWORK)
    monkeypatch.setattr(command, "LpipsHed", lambda: distance)
    (tmp_path / "photos").mkdir()
    options = ["--photos", str(tmp_path / "photos"), "--output", str(tmp_path / "out"), "--crop", "400"]
    (tmp_path / "photos" / "a.png").touch()
    assert command.main(options) == 2
    assert "error: --photos must be an image file, got an empty file" in capsys.readouterr().err
    Image.fromarray(PHOTO).save(tmp_path / "photos" / "a.png")
    assert command.main(options) == 2
    assert "error: --crop must be at most the photo's" in capsys.readouterr().err


def test_noise_belongs_to_the_photo_and_not_to_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "load_ffdnet", lambda: NETWORK)
    monkeypatch.setattr(command, "LpipsHed", lambda: distance)
    rows = []
    for names in (("b",), ("a", "b")):
        folder, out = tmp_path / names[0], tmp_path / f"out-{names[0]}"
        folder.mkdir()
        for name in names:
            Image.fromarray(np.roll(PHOTO, ord(name), axis=0)).save(folder / f"{name}.png")
        arguments = ["--photos", str(folder), "--output", str(out), "--measurements", "noise", "pixels"]
        arguments += ["--crop", "16", "--particles", "2", "--steps", "2", "--bandwidths", "0.1"]
        assert command.main(arguments) == 0
        found = map(json.loads, (out / "rows.jsonl").read_text().splitlines())
        rows.append({row["run"]: row for row in found if row["photo"] == "b.png"})
    assert rows[0] == rows[1]


def test_the_command_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(command, "load_ffdnet", lambda: NETWORK)
    monkeypatch.setattr(command, "LpipsHed", lambda: lambda a, b: calls.append("") or distance(a, b))
    (tmp_path / "photos").mkdir()
    for name in ("a", "b"):
        Image.fromarray(PHOTO).save(tmp_path / "photos" / f"{name}.png")
    arguments = ["--photos", str(tmp_path / "photos"), "--output", str(tmp_path / "out"), "--measurements", "noise"]
    arguments += ["--crop", "16", "--particles", "2", "--steps", "2", "--bandwidths", "0.1"]
    assert command.main([*arguments, "--limit", "1"]) == 0
    first = len(calls)
    assert first > 0
    assert command.main(arguments) == 0
    assert len(calls) == 2 * first
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["measurements"]["noise"]["photos"] == 2
    assert report["command"].startswith("python -m real.priors --photos")
    assert (tmp_path / "out" / "report.md").read_text() == page(report)
    assert command.main([*arguments, "--steps", "3"]) == 2  # rows of other settings are kept


@pytest.mark.parametrize("wrong", [["--particles", "1"], ["--crop", "18"], ["--crop", "8"], ["--steps", "0"]])
def test_wrong_options_are_one_line(wrong: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--output", str(tmp_path / "out"), *wrong]) == 2
    assert capsys.readouterr().err.startswith(f"real.priors: error: {wrong[0]} must be")


def test_the_picture_needs_no_photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "load_ffdnet", lambda: NETWORK)
    assert command.main(["--output", str(tmp_path / "out"), "--particles", "2", "--steps", "2"]) == 0
    assert np.asarray(Image.open(tmp_path / "out" / "picture.png")).shape[1] > 1000
