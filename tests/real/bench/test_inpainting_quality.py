"""An inpainting model judged without steering: holes, steps at a border, calibration inside the hole, the command."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
from real import open_model  # noqa: E402
from real.__main__ import main  # noqa: E402
from real.alternatives.fillings import biharmonic  # noqa: E402
from real.bench import evaluate_inpainting as module  # noqa: E402
from real.bench.evaluate_inpainting import evaluate_inpainting  # noqa: E402
from real.bench.inpainting_quality import (  # noqa: E402
    INPAINTING_RUNS,
    KINDS,
    InpaintingJudge,
    edge_steps,
    inpainting_table,
    judged_hole,
)
from real.bench.quality_pictures import _histogram, save_picture, save_ranks, save_sheet  # noqa: E402
from real.errors import UserError  # noqa: E402
from real.images.photos import load_photo  # noqa: E402
from real.metrics.distortion import distortion  # noqa: E402
from real.models.codec import encode_photo  # noqa: E402
from real.restorers.base import Drawn  # noqa: E402
from real.restorers.inpainting import LatentInpainting  # noqa: E402
from real.sampling import Particles  # noqa: E402
from real.settings import Settings  # noqa: E402

SETTINGS = Settings(particles=2, steps=1)
TRUTH = np.random.default_rng(5).integers(0, 256, (64, 80, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def filler(hole_filler_folder: Path) -> Any:
    return open_model(hole_filler_folder, task="inpaint", device="cpu", dtype="float32")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for i, name in enumerate("ab"):
        Image.fromarray(np.roll(TRUTH, i, axis=0)).save(folder / f"{name}.png")
    return folder


def test_a_hole_belongs_to_seed_photo_and_kind() -> None:
    other = np.where(TRUTH == 7, np.uint8(8), TRUTH)
    for kind in KINDS:
        hole = judged_hole(kind, 0, TRUTH)
        assert np.array_equal(judged_hole(kind, 0, TRUTH.copy()), hole)
        assert not np.array_equal(judged_hole(kind, 1, TRUTH), hole)
        assert not np.array_equal(judged_hole(kind, 0, other), hole)
    assert not np.array_equal(judged_hole("strokes", 0, TRUTH), judged_hole("scratches", 0, TRUTH))


@pytest.mark.parametrize(("kind", "area"), [("box-4", 0.04), ("box-8", 0.08), ("box-30", 0.3)])
def test_a_box_has_its_share_of_the_area_anywhere_in_the_photo(kind: str, area: float) -> None:
    places = set()
    for seed in range(40):
        hole = judged_hole(kind, seed, TRUTH)
        rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
        assert hole.sum() == len(rows) * len(columns)
        assert (len(rows), len(columns)) == (round(math.sqrt(area) * 64), round(math.sqrt(area) * 80))
        places.add((rows[0], columns[0]))
    assert len(places) > 30


def test_steps_at_a_border_by_hand() -> None:
    mask = np.zeros((4, 5), bool)
    mask[1:3, 1:4] = True
    image = np.zeros((4, 5, 3), np.uint8)
    image[mask] = 10
    image[1, 2] = (13, 10, 10)  # two steps of 1 (mean over channels) to the sides, one down, and 11 to the top
    found = edge_steps(image, mask)
    assert found["border"] == pytest.approx((9 * 10 + 11) / 10)
    assert found["inside"] == pytest.approx(3 / 7)
    mask[:] = False
    mask[1, 2] = True
    assert math.isnan(edge_steps(image, mask)["inside"])


def test_a_photo_has_no_border_and_a_grey_hole_has_one() -> None:
    y, x = np.mgrid[:64, :80]
    smooth = np.stack([2 * x, 3 * y, x + y], -1).astype(np.uint8)
    mask = judged_hole("box-30", 0, smooth)
    assert edge_steps(smooth, mask)["border"] == pytest.approx(edge_steps(smooth, mask)["inside"], rel=0.05)
    grey = np.where(mask[..., None], np.uint8(128), smooth)
    assert edge_steps(grey, mask)["border"] > 10 * edge_steps(smooth, mask)["border"]


def drawn(truth: np.ndarray, mask: np.ndarray, encoded: np.ndarray, *, spread: float) -> Drawn:
    """Samples around the truth that differ by `spread` times what they should, and have garbage outside the hole."""
    rng = np.random.default_rng(2)
    mean = truth + 12.0 * rng.standard_normal(truth.shape)
    images = [mean + spread * 12.0 * rng.standard_normal(truth.shape) for _ in range(10)]
    images = [np.where(mask[..., None], x, 25.0 * i).clip(0, 255).astype(np.uint8) for i, x in enumerate(images)]
    middle = encoded + rng.standard_normal(encoded.shape)
    latents = middle + spread * rng.standard_normal((10, *encoded.shape))
    cells = mask.reshape(16, 4, 20, 4).any((1, 3))
    latents = np.where(cells, latents, 99.0 * np.arange(10)[:, None, None, None])
    latents = np.pad(latents, ((0, 0), (0, 0), (0, 0), (0, 4)), constant_values=50.0)  # padding has no say either
    return Drawn(Particles(torch.from_numpy(latents).float(), 0, 10), images, alone=False)


@pytest.mark.parametrize(("spread", "ratio"), [(1.0, 1.0), (0.5, 0.4)])
def test_calibration_is_that_inside_the_hole(filler: Any, monkeypatch: Any, spread: float, ratio: float) -> None:
    """2 s^2 between samples, 1 + s^2 to the truth."""
    truth = (TRUTH // 4 + 96).astype(np.uint8)  # far from 0 and 255
    mask = judged_hole("box-30", 0, truth)
    made = drawn(truth, mask, encode_photo(filler, truth).numpy(), spread=spread)
    monkeypatch.setattr(LatentInpainting, "draw", lambda self, *args, **options: made)
    row, _ = InpaintingJudge(filler, SETTINGS, distortion).row("box-30", "ddim", truth)
    for space in ("latents", "pixels"):
        assert row[space]["between"] / row[space]["to_truth"] == pytest.approx(ratio, rel=0.12)
    assert row["hidden"] == mask.mean()
    assert set(row["ranks"]) == {"1", "4", "16"}
    extreme = np.mean([rank in (0, 10) for rank in row["ranks"]["1"]])
    assert extreme < 0.4 if spread == 1.0 else extreme > 0.25


def test_scores_are_those_of_the_strip_and_of_biharmonic_interpolation(filler: Any) -> None:
    row, strip = InpaintingJudge(filler, SETTINGS, distortion).row("strokes", "ddim", TRUTH)
    mask = judged_hole("strokes", 0, TRUTH)
    shown, sample, truth = np.split(strip, 3, axis=1)
    assert np.array_equal(truth, TRUTH)
    assert np.array_equal(shown, np.where(mask[..., None], np.uint8(128), TRUTH))
    assert np.array_equal(sample[~mask], TRUTH[~mask])

    def psnr(image: np.ndarray) -> float:
        return float(10 * np.log10(255**2 / np.square(image[mask].astype(float) - TRUTH[mask]).mean()))

    assert row["scores"]["one"]["hole_psnr_rgb"] == pytest.approx(psnr(sample))
    assert row["scores"]["biharmonic"]["hole_psnr_rgb"] == pytest.approx(psnr(biharmonic(TRUTH, mask)))
    assert row["scores"]["average"]["hole_psnr_rgb"] > row["scores"]["random"]["hole_psnr_rgb"]  # by convexity
    assert row["edges"]["truth"] == edge_steps(TRUTH, mask)
    other, _ = InpaintingJudge(filler, SETTINGS, distortion).row("strokes", "dpmpp-2s", TRUTH)
    assert set(row) - set(other) == {"scores", "edges"}  # of DDIM alone: they take most of the time


def evaluate(photos: Path, folder: Path, model: Any) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    text = evaluate_inpainting(photos, folder, model, SETTINGS, crop=None, limit=None, command="c")
    report = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)
    return {**report, "text": text}


def test_a_killed_evaluation_ends_like_a_whole_one(
    photos: Path, filler: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos / "broken.png").write_bytes(b"no photo")
    whole = evaluate(photos, tmp_path / "whole", filler)
    calls, row = [], InpaintingJudge.row

    def dies(self: Any, kind: str, sampler: str, truth: np.ndarray) -> Any:
        calls.append((kind, sampler))
        if len(calls) == 11:
            raise KeyboardInterrupt
        return row(self, kind, sampler, truth)

    monkeypatch.setattr(module.InpaintingJudge, "row", dies)
    with pytest.raises(KeyboardInterrupt):
        evaluate(photos, tmp_path / "parts", filler)
    again = evaluate(photos, tmp_path / "parts", filler)
    assert again == whole
    assert len(calls) == 2 * len(INPAINTING_RUNS) + 1  # nothing but the interrupted one is done twice
    assert list(whole["left_out"]) == ["broken.png"]
    assert (whole["photos"], whole["hole"]) == (2, "black")
    assert list(whole["quality"]["holes"]) == list(KINDS)
    for kind, found in whole["quality"]["holes"].items():
        assert list(found["calibration"]) == ["ddim", "dpmpp-2s"]
        gain = found["gains"]["average over biharmonic"]["mean"]
        means = [found["scores"][name]["hole_psnr_rgb"]["mean"] for name in ("average", "biharmonic")]
        assert gain == pytest.approx(means[0] - means[1], abs=1e-3)
        sheet = load_photo(tmp_path / "parts" / f"sheet-{kind}.png")
        assert np.array_equal(sheet, load_photo(tmp_path / "whole" / f"sheet-{kind}.png"))
        assert np.array_equal(sheet[6 : 6 + 64, 6 + 160 : 6 + 240], TRUTH)  # of the first strip the truth
    assert (tmp_path / "whole" / "ranks.png").is_file()
    assert whole["text"].startswith(inpainting_table(whole["quality"]))


def test_the_sheet_has_the_first_photos_that_can_be_used(
    photos: Path, filler: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SHEET", 2)
    (photos / "0-broken.png").write_bytes(b"no photo")
    evaluate(photos, tmp_path / "out", filler)
    assert len(list((tmp_path / "out" / "samples" / "box-8").iterdir())) == 2


def test_another_hole_of_the_same_model_is_another_evaluation(photos: Path, filler: Any, tmp_path: Path) -> None:
    from dataclasses import replace

    (photos / "b.png").unlink()
    evaluate(photos, tmp_path / "out", filler)
    with pytest.raises(UserError, match="hole was 'black' and is 'smooth'"):
        evaluate(photos, tmp_path / "out", replace(filler, hole="smooth"))
    with pytest.raises(UserError, match="particles must be at least 2"):
        evaluate_inpainting(
            photos, tmp_path / "out", filler, Settings(particles=1), crop=None, limit=None, command=""
        )


def test_the_command_judges_an_inpainting_model(
    photos: Path, hole_filler_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--photos", photos, "--limit", 1, "--crop", 32, "--particles", 2, "--steps", 1, "--device", "cpu"]
    command = ["evaluate", "--task", "inpaint", "--model", hole_filler_folder, *options, "--output", tmp_path / "out"]
    assert main([str(word) for word in command]) == 0
    report = json.loads((tmp_path / "out" / "evaluation.json").read_text(encoding="utf-8"))
    assert report["command"].startswith("python -m real evaluate --task inpaint ")
    assert inpainting_table(report["quality"]) in capsys.readouterr().out
    for refused in (["--cutoffs", "0"], ["--bandwidths", "1"], ["--degradation", "simple"], ["--colour-fix", "adain"]):
        assert main([str(word) for word in [*command, *refused]]) == 2
        assert f"{refused[0]} must be left out with --task inpaint" in capsys.readouterr().err


def test_a_sheet_has_every_picture_at_its_place(tmp_path: Path) -> None:
    strips = [tmp_path / "strips" / f"{i}.png" for i in range(6)]
    for i, strip in enumerate(strips[:5]):  # one that was never made is left out
        save_picture(strip, np.full((8 + i, 20, 3), 10 * i, np.uint8))
    save_sheet(tmp_path / "sheet.png", strips)
    sheet = load_photo(tmp_path / "sheet.png")
    assert sheet.shape == (6 + 2 * (12 + 6), 6 + 4 * 26, 3)
    assert (sheet[6 : 6 + 11, 6 + 3 * 26 : 6 + 3 * 26 + 20] == 30).all()
    assert (sheet[24 : 24 + 12, 6:26] == 40).all()
    assert (sheet[24:, 26:] == 255).all()


def test_a_strip_may_be_wider_than_a_photo(tmp_path: Path) -> None:
    save_picture(tmp_path / "wide.png", np.zeros((16, 3 * 2800, 3), np.uint8))
    save_sheet(tmp_path / "sheet.png", [tmp_path / "wide.png"])
    with Image.open(tmp_path / "sheet.png") as image:
        assert image.size == (3 * 2800 + 2 * 6, 16 + 2 * 6)
    save_sheet(tmp_path / "none.png", [tmp_path / "missing.png"])
    assert not (tmp_path / "none.png").exists()


def test_histograms_have_the_shares_of_every_sampler_side_by_side() -> None:
    from matplotlib.figure import Figure

    ax = Figure().subplots()
    _histogram(ax, {"ddim": [3, 1], "dpmpp-2s": [0, 4]})
    bars = [list(container) for container in ax.containers]
    assert [[bar.get_height() for bar in of] for of in bars] == [[0.75, 0.25], [0.0, 1.0]]
    for first, second in zip(*bars, strict=True):
        assert first.get_x() + first.get_width() == pytest.approx(second.get_x())


def test_the_ranks_of_every_kind_and_sampler_are_drawn(
    photos: Path, filler: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos / "b.png").unlink()
    drawn: list[Any] = []
    monkeypatch.setattr(module, "save_ranks", lambda path, ranks: drawn.append(ranks))
    quality = evaluate(photos, tmp_path / "out", filler)["quality"]
    (ranks,) = drawn
    assert list(ranks) == list(KINDS)
    for kind, by_sampler in ranks.items():
        found = quality["holes"][kind]["calibration"]
        assert by_sampler == {sampler: found[sampler]["ranks"] for sampler in ("ddim", "dpmpp-2s")}


def test_histograms_with_sizes_that_some_lack(tmp_path: Path) -> None:
    save_ranks(tmp_path / "ranks.png", {"a": {"ddim": {"1": [3, 1], "4": [2, 2]}, "dpmpp-2s": {"1": [0, 4]}}, "b": {}})
    with Image.open(tmp_path / "ranks.png") as image:
        assert image.width > image.height > 200
