"""Evaluations of a folder: photos that are replaced, exact, damaged or too small; options that are checked first."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
from real import open_model  # noqa: E402
from real.bench import evaluate as module  # noqa: E402
from real.bench.evaluate import evaluate_folder  # noqa: E402
from real.bench.loading import load_truth  # noqa: E402
from real.bench.photo_sets import Photo, find_photos  # noqa: E402
from real.bench.plan import fill_grid  # noqa: E402
from real.bench.reconstruction import evaluate_autoencoder  # noqa: E402
from real.bench.request import StudyRequest  # noqa: E402
from real.bench.runner import run_study  # noqa: E402
from real.bench.studies import STUDIES  # noqa: E402
from real.degradations.simple import Degradation  # noqa: E402
from real.errors import UserError  # noqa: E402
from real.images.photos import load_photo  # noqa: E402
from real.images.seeds import degradation_rng  # noqa: E402
from real.models.latent import LatentModel  # noqa: E402
from real.restorers.latent import LatentSuperResolution  # noqa: E402
from real.settings import Settings  # noqa: E402

SETTINGS = Settings(particles=2, steps=1)
PLAIN = Degradation(blur=(0.0, 0.0), noise=(0.0, 0.0), jpeg=(95, 95))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for i, name in enumerate("ab"):
        pixels = np.random.default_rng(i).integers(0, 256, (64, 72, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")
    return folder


def evaluate(photos: Path, folder: Path, model: LatentModel, **changes: Any) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    options = {"crop": None, "limit": None, "cutoffs": [0.3], "bandwidths": None, "command": ""} | changes
    text = evaluate_folder(photos, folder, model, SETTINGS, PLAIN, **options)
    report = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)
    return {**report, "text": text}


def test_another_photo_of_the_same_name_is_refused(photos: Path, tiny: LatentModel, tmp_path: Path) -> None:
    first, alone = tmp_path / "out", tmp_path / "alone"
    alone.mkdir()
    evaluate(photos, first, tiny)
    evaluate_autoencoder(photos, alone, tiny, crop=None, limit=None, command="")
    shutil.copy(photos / "b.png", photos / "a.png")
    with pytest.raises(UserError, match=r"rows of another a\.png"):
        evaluate(photos, first, tiny)
    with pytest.raises(UserError, match=r"rows of another a\.png"):
        evaluate_autoencoder(photos, alone, tiny, crop=None, limit=None, command="")


def test_another_model_under_the_same_name_is_refused(photos: Path, tiny_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_folder, folder)
    evaluate(photos, tmp_path / "out", open_model(folder, device="cpu", dtype="float32"), limit=1)
    trained = open_model(folder, device="cpu", dtype="float32")
    trained.unet.conv_out.bias.data += 0.1
    trained.unet.save_pretrained(folder / "unet")
    with pytest.raises(UserError, match="weights was"):
        evaluate(photos, tmp_path / "out", open_model(folder, device="cpu", dtype="float32"), limit=1)


def test_another_regression_network_is_refused_where_it_counts(
    photos: Path, tiny: LatentModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"crop": None, "limit": 1, "cutoffs": [0.3], "bandwidths": None, "command": ""}
    for name, degradation in (("known", Degradation()), ("other", PLAIN)):
        (tmp_path / name).mkdir()
        evaluate_folder(photos, tmp_path / name, tiny, SETTINGS, degradation, **options)
    monkeypatch.setattr(module, "regression_digest", lambda: "new")
    with pytest.raises(UserError, match=r"regression was .* and is 'new'"):
        evaluate_folder(photos, tmp_path / "known", tiny, SETTINGS, Degradation(), **options)
    evaluate_folder(photos, tmp_path / "other", tiny, SETTINGS, PLAIN, **options)  # it is not used there


def test_a_photo_without_error_is_named_and_the_rest_reported(photos: Path, tiny: LatentModel, tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), (90, 90, 90)).save(photos / "flat.png")  # exact after bicubic interpolation
    report = evaluate(photos, tmp_path / "out", tiny)
    assert report["photos"] == 3
    (summary,) = report["variants"]
    named = {(entry["photo"], entry["metric"]) for entry in summary["not_finite"]}
    assert named == {("flat.png", "psnr_rgb"), ("flat.png", "psnr_y")}
    assert "flat.png (bicubic" in report["text"]
    rows = [json.loads(line) for line in (tmp_path / "out" / "rows.jsonl").read_text(encoding="utf-8").splitlines()]
    assert rows[2]["scores"]["bicubic"]["psnr_rgb"] is None
    for method, scores in summary["methods"].items():
        expected = np.mean([row["scores"][method]["psnr_rgb"] for row in rows[:2]])
        assert scores["psnr_rgb"]["mean"] == pytest.approx(expected, abs=1e-4)
    assert all(pair["psnr_rgb"]["mean"] is not None for pair in summary["pairs"])


def test_a_study_with_a_photo_without_error_ends_with_a_report(
    photos: Path, tiny: LatentModel, tmp_path: Path
) -> None:
    Image.new("RGB", (64, 64), (90, 90, 90)).save(photos / "a-flat.png")  # first in the list
    study = STUDIES["table1"]
    grid = fill_grid(study, {"steps": [1], "particles": [2], "degradation": ["simple"]})
    request = StudyRequest("table1", study, grid, Settings(), find_photos(photos))
    out = tmp_path / "out"
    out.mkdir()
    report = run_study(request, tiny, out)
    content = json.loads((out / "report.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert content["photos"] == 3
    assert {entry["photo"] for entry in report["not_finite"]} <= {"a-flat.png"}
    assert all(line["scores"]["psnr_rgb"]["mean"] is not None for line in report["lines"])

    (photos / "a-flat.png").unlink()  # the other photos move up, their rows stay what they are
    again = run_study(StudyRequest("table1", study, grid, Settings(), find_photos(photos)), tiny, out)
    assert again["photos"] == 2
    assert not again["not_finite"]


def test_a_study_of_photos_without_error_alone_ends_with_a_report(tiny: LatentModel, tmp_path: Path) -> None:
    folder, out = tmp_path / "photos", tmp_path / "out"
    folder.mkdir()
    out.mkdir()
    Image.new("RGB", (64, 64), (90, 90, 90)).save(folder / "flat.png")
    low = np.full((16, 16, 3), 90, np.uint8)
    for part, pixels in (("gt", np.full((64, 64, 3), 90, np.uint8)), ("lq", low)):
        (folder / part).mkdir()
        Image.fromarray(pixels).save(folder / part / "flat.png")
    from real.bench.photo_sets import find_pairs

    study = STUDIES["table1"]
    grid = fill_grid(study, {"steps": [1], "particles": [2], "degradation": ["pairs"]})
    report = run_study(StudyRequest("table1", study, grid, Settings(), find_pairs(folder)), tiny, out)
    assert report["not_finite"] == [
        {"photo": "flat.png", "metric": metric, "lines": ["bicubic"]} for metric in ("psnr_rgb", "psnr_y")
    ]
    assert {line["scores"]["psnr_rgb"]["mean"] for line in report["lines"]} == {None}
    text = (out / "report.md").read_text(encoding="utf-8")
    assert "- flat.png: PSNR RGB, dB of bicubic interpolation" in text
    assert (out / "table1.png").is_file()


def test_photos_that_cannot_be_used_are_named_and_the_rest_is_done(
    photos: Path, tiny: LatentModel, tmp_path: Path
) -> None:
    (photos / "._a.png").write_bytes(b"\0\5\x16\7 what a Mac leaves beside a.png")
    (photos / "cut.png").write_bytes((photos / "a.png").read_bytes()[:2000])
    Image.new("RGB", (40, 90)).save(photos / "small.png")
    report = evaluate(photos, tmp_path / "out", tiny, crop=64)
    assert set(report["left_out"]) == {"._a.png", "cut.png", "small.png"}
    assert "40 x 90 pixels are fewer than 64" in report["left_out"]["small.png"]
    assert report["photos"] == 2
    assert "left out: cut.png" in report["text"]
    alone = tmp_path / "alone"
    alone.mkdir()
    text = evaluate_autoencoder(photos, alone, tiny, crop=64, limit=None, command="")
    assert text.startswith("2 photos")
    assert "left out: small.png" in text
    with pytest.raises(UserError, match=r"none of 5 photos can be used, such as ._a\.png"):
        evaluate(photos, tmp_path / "none", tiny, crop=128)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"crop": 63}, "crop must be a multiple of 4 and at least 32, got 63"),
        ({"crop": 28}, "at least 32, got 28"),
        ({"cutoffs": [0.3, 0.3]}, "cutoffs must be different values"),
        ({"bandwidths": [1.0, 1.0]}, "bandwidths must be different values"),
    ],
)
def test_options_are_checked_before_any_photo(
    changes: dict[str, Any], named: str, photos: Path, tiny: LatentModel, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=named):
        evaluate(photos, tmp_path / "out", tiny, **changes)
    assert not list((tmp_path / "out").iterdir())


def test_a_photo_too_small_for_a_metric_is_named_without_a_crop_too(
    photos: Path, tiny: LatentModel, tmp_path: Path
) -> None:
    Image.new("RGB", (40, 28)).save(photos / "small.png")
    report = evaluate(photos, tmp_path / "out", tiny)
    assert report["photos"] == 2
    assert "40 x 28 pixels are fewer than 32" in report["left_out"]["small.png"]


def test_a_cutoff_given_as_a_noise_to_signal_ratio_is_the_variant(
    photos: Path, tiny: LatentModel, tmp_path: Path
) -> None:
    """And not a silent replacement of the cut-offs that the report names."""
    out = tmp_path / "out"
    out.mkdir()
    settings = replace(SETTINGS, cutoff_nsr=3.0)
    options: dict[str, Any] = {"crop": None, "limit": 1, "cutoffs": None, "bandwidths": None, "command": ""}
    evaluate_folder(photos, out, tiny, settings, PLAIN, **options)
    (variant,) = json.loads((out / "evaluation.json").read_text())["variants"]
    assert variant["cutoff"] == settings.for_schedule(tiny.schedule.alphas_cumprod).cutoff
    assert tiny.schedule.noise_to_signal(round(1000 * variant["cutoff"])) == pytest.approx(3.0, rel=0.01)


@pytest.mark.parametrize("sampler", ["ddim", "dpmpp-2s"])
def test_plain_samples_are_judged_by_ddim_whichever_sampler_is_steered(
    photos: Path, tiny: LatentModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sampler: str
) -> None:
    """The report calls them so, and gives those of 2S beside them."""
    seen: dict[str, Any] = {}

    class Judge:
        def __init__(self, *arguments: Any) -> None:
            pass

        def row(self, look: str, truth: Any, low: Any, drawn: Any) -> dict[str, Any]:
            seen[look] = drawn
            raise KeyboardInterrupt

    monkeypatch.setattr(module, "QualityRun", Judge)
    monkeypatch.setattr(module, "SetFeatures", lambda *arguments, **options: None)
    out = tmp_path / "out"
    out.mkdir()
    options: dict[str, Any] = {"crop": None, "limit": 1, "cutoffs": [0.3], "bandwidths": None, "command": ""}
    settings = replace(SETTINGS, sampler=sampler, steps=2)
    with pytest.raises(KeyboardInterrupt):
        evaluate_folder(photos, out, tiny, settings, PLAIN, quality=True, **options)
    assert (seen["plain"] is not None) == (sampler == "ddim")
    known = json.loads((out / "settings.json").read_text(encoding="utf-8"))["settings"]
    assert known["spacing"] == tiny.timestep_spacing  # rows know the grid of DDIM whatever is steered


class NoFeatures:
    """In place of a network whose package the tests do without."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        pass

    def row(self, images: Any, truth: Any) -> dict[str, Any]:
        return {}


def test_a_judgement_of_quality_goes_on_and_has_its_pictures(
    photos: Path, tiny: LatentModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SetFeatures", NoFeatures)
    monkeypatch.setattr(module, "SHEET", 1)
    whole = evaluate(photos, tmp_path / "whole", tiny, quality=True, crop=32)
    names = sorted(path.name for path in photos.glob("*.png"))
    assert whole["quality"]["photos"] == len(names) > 1
    assert set(whole["quality"]["calibration"]) == {"ddim", "dpmpp-2s"}

    # The sheet has the first photo alone here: pixels as squares, one sample, the truth.
    sheet = load_photo(tmp_path / "whole" / "sheet.png")
    assert sheet.shape == (32 + 2 * 6, 3 * 32 + 2 * 6, 3)
    truth = load_truth(Photo(names[0], photos / names[0]), crop=32)
    assert np.array_equal(sheet[6:-6, -6 - 32 : -6], truth)
    low = PLAIN(truth, degradation_rng(0, truth))
    assert np.array_equal(sheet[6:-6:4, 6 : 6 + 32 : 4], low)
    restorer = LatentSuperResolution(low, tiny)
    (one,) = restorer.draw(replace(SETTINGS, particles=1), steered=False, which="all").images
    assert np.abs(sheet[6:-6, 6 + 32 : -6 - 32].astype(int) - one).max() <= 1  # of a batch of two, here of one
    assert (tmp_path / "whole" / "ranks.png").stat().st_size > 1000

    # Stopped after the first photo's first look, and started again.
    kept, row = module.QualityRun.row, 0

    def interrupted(self: Any, *arguments: Any) -> Any:
        nonlocal row
        row += 1
        if row == 2:
            raise KeyboardInterrupt
        return kept(self, *arguments)

    monkeypatch.setattr(module.QualityRun, "row", interrupted)
    with pytest.raises(KeyboardInterrupt):
        evaluate(photos, tmp_path / "parts", tiny, quality=True, crop=32)
    monkeypatch.setattr(module.QualityRun, "row", kept)
    assert evaluate(photos, tmp_path / "parts", tiny, quality=True, crop=32) == whole
    assert (tmp_path / "parts" / "sheet.png").read_bytes() == (tmp_path / "whole" / "sheet.png").read_bytes()


def test_two_files_of_one_name_are_no_pair(photos: Path, tmp_path: Path) -> None:
    from real.backbones.hints import HintPlaces
    from real.bench.photo_sets import find_pairs

    for part, names in (("gt", ("x.png", "x.jpg", "y.png")), ("lq", ("x.png", "y.png", "y_LR.png"))):
        (tmp_path / part).mkdir()
        for name in names:
            Image.fromarray(load_photo(photos / "a.png")).save(tmp_path / part / name)
    with pytest.raises(UserError, match=r"x\.jpg and x\.png .*gt"):
        find_pairs(tmp_path)
    (tmp_path / "gt" / "x.jpg").unlink()
    with pytest.raises(UserError, match=r"y\.png and y_LR\.png .*lq"):
        find_pairs(tmp_path)
    shutil.copy(photos / "a.png", tmp_path / "x.png")
    shutil.copy(photos / "a.png", tmp_path / "x.bmp")
    with pytest.raises(UserError, match=r"cleaned must have one file per photo, got x\.bmp and x\.png"):
        HintPlaces(cleaned=str(tmp_path)).read(["x"])


def test_other_hints_under_the_same_name_are_other_rows(photos: Path, tmp_path: Path) -> None:
    from real.backbones.hints import HintPlaces

    shutil.copy(photos / "a.png", tmp_path / "a.png")
    hints = HintPlaces(cleaned=str(tmp_path / "a.png"), tags="a cat")
    study, found = STUDIES["table1"], find_photos(photos)
    request = StudyRequest("table1", study, study.grid, Settings(), found, hints=hints)
    before = request.digest(found[0])
    shutil.copy(photos / "b.png", tmp_path / "a.png")
    assert request.digest(found[0]) != before
