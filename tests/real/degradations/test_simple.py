"""The degradation: sizes, determinism, ranges."""

import numpy as np
import pytest
from PIL import Image

from real.degradations.simple import Degradation


def degrade(photo: np.ndarray, seed: int = 1, **ranges: tuple[float, float]) -> np.ndarray:
    return Degradation(**ranges)(photo, np.random.default_rng(seed))


def test_a_quarter_of_the_size_and_the_same_for_the_same_seed(photo: np.ndarray) -> None:
    low = degrade(photo)
    assert low.shape == (16, 20, 3)
    assert low.dtype == np.uint8
    assert np.array_equal(low, degrade(photo))
    assert not np.array_equal(low, degrade(photo, seed=2))


def test_colours_survive(photo: np.ndarray) -> None:
    assert np.abs(degrade(photo).mean((0, 1)) - photo.mean((0, 1))).max() < 6


def test_each_range_does_what_it_says(photo: np.ndarray) -> None:
    clean = {"blur": (0.0, 0.0), "noise": (0.0, 0.0), "jpeg": (95, 95)}
    reference = degrade(photo, **clean).astype(float)
    noisy = degrade(photo, **clean | {"noise": (20.0, 20.0)}).astype(float)
    assert 10 < (noisy - reference).std() < 25
    blurred = degrade(photo, **clean | {"blur": (6.0, 6.0)}).astype(float)
    assert np.abs(np.diff(blurred[..., 1], axis=0)).mean() < 0.5 * np.abs(np.diff(reference[..., 1], axis=0)).mean()
    compressed = degrade(photo, **clean | {"jpeg": (5, 5)}).astype(float)
    assert np.abs(compressed - reference).mean() > 3


def test_the_input_is_not_written_to(photo: np.ndarray) -> None:
    photo.setflags(write=False)
    degrade(photo)


@pytest.mark.parametrize(
    ("ranges", "name"), [({"blur": (2, 1)}, "blur"), ({"noise": (-1, 2)}, "noise"), ({"jpeg": (0, 50)}, "jpeg")]
)
def test_bad_ranges(ranges: dict[str, tuple[float, float]], name: str) -> None:
    with pytest.raises(ValueError, match=name):
        Degradation(**ranges)


@pytest.mark.parametrize("shape", [(62, 80, 3), (64, 80), (64, 80, 4), (0, 80, 3)])
def test_bad_images(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="truth"):
        degrade(np.zeros(shape, np.uint8))


def test_a_skip_of_one_leaves_a_photo_that_is_only_smaller() -> None:
    truth = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    found = Degradation(blur=(5.0, 5.0), noise=(50.0, 50.0), jpeg=(1, 1), skip=1.0)(truth, np.random.default_rng(1))
    kinds = (Image.Resampling.BOX, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)
    clean = [np.asarray(Image.fromarray(truth).resize((8, 8), kind)).astype(float) for kind in kinds]
    assert min(np.abs(found - picture).max() for picture in clean) <= 1.0  # rounded once here, twice by Pillow


def test_each_part_is_skipped_by_itself() -> None:
    flat = np.full((32, 32, 3), 128, np.uint8)
    ranges = Degradation(noise=(30.0, 30.0), jpeg=(95, 95), skip=0.4)
    noisy = [ranges(flat, np.random.default_rng(i)).std() > 1.0 for i in range(300)]
    assert np.mean(noisy) == pytest.approx(0.6, abs=0.1)
    first, second = (ranges(flat, np.random.default_rng(5)) for ranges in (Degradation(), Degradation(skip=0.0)))
    assert np.array_equal(first, second)
    with pytest.raises(ValueError, match="skip must be a probability"):
        Degradation(skip=1.5)
