"""BRISQUE: that it orders pictures as an eye would, and clear errors."""

import io
import sys

import numpy as np
import pytest
from PIL import Image, ImageFilter

from real.errors import UserError
from real.metrics.brisque import Brisque


@pytest.fixture(scope="module")
def brisque() -> Brisque:
    pytest.importorskip("brisque", reason="the extra judge is not installed")
    return Brisque()


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    from skimage.data import astronaut

    return np.ascontiguousarray(astronaut()[:256, 100:356])


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=quality)
    return np.array(Image.open(stream))


def test_a_photo_is_better_than_its_damaged_copies_and_more_damage_is_worse(
    brisque: Brisque, photo: np.ndarray
) -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0.0, 1.0, photo.shape)
    damages = {
        "blur": [np.array(Image.fromarray(photo).filter(ImageFilter.GaussianBlur(r))) for r in (1, 2)],
        "noise": [np.clip(photo + sigma * noise, 0, 255).astype(np.uint8) for sigma in (10, 25)],
        "jpeg": [jpeg(photo, quality) for quality in (30, 8)],
    }
    for name, (less, more) in damages.items():
        assert brisque(photo) < brisque(less) < brisque(more), name


def test_the_truth_is_not_looked_at(brisque: Brisque, photo: np.ndarray) -> None:
    assert brisque(photo, photo[::-1]) == pytest.approx(brisque(photo), rel=1e-9)  # OpenCV rounds as memory lies


def test_a_flat_image_has_no_number(brisque: Brisque) -> None:
    assert np.isnan(brisque(np.full((64, 64, 3), 128, np.uint8)))


@pytest.mark.parametrize("shape", [(16, 64, 3), (64, 64), (64, 64, 4)])
def test_what_is_no_image_is_refused(brisque: Brisque, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"image must be uint8 \(H, W, 3\) with sides of at least 32, got uint8"):
        brisque(np.zeros(shape, np.uint8))
    with pytest.raises(ValueError, match="got float64"):
        brisque(np.zeros((64, 64, 3)))


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "brisque", None)
    with pytest.raises(UserError, match=r"metrics: brisque: brisque is not installed; pip install .*real,judge"):
        Brisque()
