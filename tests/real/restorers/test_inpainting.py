"""Masks, and scores of a hole: by hand, by plain loops, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")
from real.errors import UserError
from real.images.masks import center_box, grow_to_cells, load_mask
from real.metrics.distortion import distortion, hole_distortion
from real.restorers.inpainting import inpainting_score


def test_the_box_has_its_part_of_the_area_or_of_each_side() -> None:
    by_area, by_side = center_box(200, 100, 0.25), center_box(200, 100, 0.25, by="side")
    assert np.argwhere(by_area).min(0).tolist() == [50, 25]
    assert np.argwhere(by_area).max(0).tolist() == [149, 74]  # half of each side
    assert np.argwhere(by_side).min(0).tolist() == [75, 37]
    assert by_side.sum() == 50 * 25  # a quarter of each side: round(25.0) columns
    assert center_box(512, 512, 0.3).mean() == pytest.approx(0.3, abs=0.002)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((64, 64, 0.0), "fraction must"),
        ((64, 64, 1.0), "fraction must"),
        ((8, 8, 0.001), "0 x 0"),
        ((8, 8, 0.999), "8 x 8"),
    ],
)
def test_boxes_that_hide_nothing_or_all_are_refused(arguments: tuple[int, int, float], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        center_box(*arguments)
    with pytest.raises(ValueError, match="by must be area or side, got"):
        center_box(64, 64, 0.3, by="volume")


def test_a_mask_is_light_where_to_paint(tmp_path: Path) -> None:
    grey = np.full((20, 30), 127, np.uint8)
    grey[3:5, 7:9] = 128
    Image.fromarray(grey).save(tmp_path / "mask.png")
    mask = load_mask(tmp_path / "mask.png")
    assert mask.shape == (20, 30)
    assert np.argwhere(mask).tolist() == [[3, 7], [3, 8], [4, 7], [4, 8]]
    with pytest.raises(UserError, match="mask must be an existing file, got"):
        load_mask(tmp_path / "nothing.png")


def test_a_mask_grows_to_whole_cells() -> None:
    mask = np.zeros((8, 12), dtype=bool)
    mask[3:5, 5] = True
    grown = grow_to_cells(mask, 4)
    expected = np.zeros((8, 12), dtype=bool)
    expected[:, 4:8] = True
    assert np.array_equal(grown, expected)


def test_the_score_of_a_hole_sees_the_hole_alone() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 256, (24, 30, 3), dtype=np.uint8)
    mask = center_box(24, 30, 0.3)
    image = truth.copy()
    image[mask] = np.clip(truth[mask].astype(int) + 10, 0, 255)
    score = inpainting_score(mask)(image, truth)
    squares = [(int(a) - int(b)) ** 2 for a, b in zip(image[mask].ravel(), truth[mask].ravel(), strict=True)]
    assert score["hole_psnr_rgb"] == pytest.approx(10 * np.log10(255**2 / np.mean(squares)))
    assert score["psnr_rgb"] == distortion(image, truth)["psnr_rgb"]
    assert score["psnr_rgb"] - score["hole_psnr_rgb"] == pytest.approx(10 * np.log10(1 / mask.mean()))
    assert score["hole_ssim_rgb"] < score["ssim_rgb"]
    elsewhere = np.where(mask[..., None], truth, 255 - truth)
    assert hole_distortion(elsewhere, truth, mask)["hole_psnr_y"] == float("inf")
    whole = hole_distortion(image, truth, np.ones_like(mask))
    assert whole["hole_psnr_y"] == pytest.approx(distortion(image, truth)["psnr_y"])
    for wrong in (mask[:5], ~mask & mask, mask.astype(int)):
        with pytest.raises(ValueError, match=r"mask must be bool .*, got"):
            hole_distortion(image, truth, wrong)
