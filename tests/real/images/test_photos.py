"""Photos in: every kind that a camera writes, and errors that name the file."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from real.errors import UserError
from real.images.photos import center_crop, load_photo, sample_photo, save_png


def save(tmp_path: Path, image: Image.Image, name: str = "photo.png", **options: object) -> Path:
    path = tmp_path / name
    image.save(path, **options)
    return path


def test_rgb_comes_back_as_it_was(tmp_path: Path, photo: np.ndarray) -> None:
    assert np.array_equal(load_photo(save(tmp_path, Image.fromarray(photo))), photo)


def test_greyscale_becomes_three_equal_channels(tmp_path: Path, photo: np.ndarray) -> None:
    loaded = load_photo(save(tmp_path, Image.fromarray(photo[..., 0])))
    assert np.array_equal(loaded, np.repeat(photo[..., :1], 3, axis=-1))


def test_transparency_is_laid_on_white(tmp_path: Path, photo: np.ndarray) -> None:
    alpha = np.zeros(photo.shape[:2], np.uint8)
    alpha[:, 40:] = 255
    loaded = load_photo(save(tmp_path, Image.fromarray(np.dstack([photo, alpha]))))
    assert (loaded[:, :40] == 255).all()
    assert np.array_equal(loaded[:, 40:], photo[:, 40:])


def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path) -> None:
    values = np.linspace(0, 65535, 32 * 32).astype(np.uint16).reshape(32, 32)
    loaded = load_photo(save(tmp_path, Image.fromarray(values)))
    assert np.abs(loaded[..., 0].astype(float) - values / 257).max() <= 0.51


def test_exif_rotation_is_applied(tmp_path: Path, photo: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise to show
    loaded = load_photo(save(tmp_path, Image.fromarray(photo), exif=exif))
    assert np.array_equal(loaded, np.rot90(photo, -1))


def test_cmyk_is_converted(tmp_path: Path, photo: np.ndarray) -> None:
    assert load_photo(save(tmp_path, Image.fromarray(photo).convert("CMYK"), "photo.jpg")).shape == photo.shape


@pytest.mark.parametrize("content", [b"", b"no image at all", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_unreadable_files_are_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"image must be an image.*, got .*broken\.png"):
        load_photo(path)


def test_a_damaged_photo_is_refused(tmp_path: Path, photo: np.ndarray) -> None:
    path = save(tmp_path, Image.fromarray(photo))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UserError, match="image must be an image that can be read, got"):
        load_photo(path)


@pytest.mark.parametrize("size", [(15, 40), (40, 15), (9000, 20)])
def test_absurd_sizes_are_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    with pytest.raises(UserError, match=r"must have sides of 16 to \d+ pixels, got"):
        load_photo(save(tmp_path, Image.new("RGB", size)))


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="image must be an existing file, got"):
        load_photo(tmp_path / "nothing.png")
    with pytest.raises(UserError, match="image must be an image file, got the folder"):
        load_photo(tmp_path)


def test_the_sample_photo_is_a_photo() -> None:
    photo = sample_photo()
    assert photo.shape == (192, 192, 3)
    assert photo.dtype == np.uint8
    assert photo.std() > 20


def test_center_crop(photo: np.ndarray) -> None:
    assert np.array_equal(center_crop(photo, side=32), photo[16:48, 24:56])
    assert center_crop(photo[:63, :79]).shape == (60, 76, 3)
    with pytest.raises(ValueError, match=r"side must be at most the photo's 80 x 64 pixels, got 65"):
        center_crop(photo, side=65)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, photo: np.ndarray) -> None:
    path = tmp_path / "restored.png"
    save_png(path, photo)
    before = path.read_bytes()
    with pytest.raises(TypeError):
        save_png(path, photo.astype(np.complex128))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["restored.png"]
