"""Photos in and out: whatever a camera or a scanner writes becomes RGB uint8 (H, W, 3), or a clear error."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image, UnidentifiedImageError

from real.errors import UserError
from real.images.files import write_atomically
from real.images.pixels import to_rgb

__all__ = [
    "LARGEST_SIDE",
    "SUFFIXES",
    "center_crop",
    "load_photo",
    "read_picture",
    "sample_photo",
    "save_png",
]

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
SMALLEST_SIDE = 16
LARGEST_SIDE = 8192


def load_photo(path: str | Path, *, largest: int = LARGEST_SIDE) -> np.ndarray:
    """Read a photo: RGB uint8 (H, W, 3).

    EXIF rotation is applied, colours are converted to sRGB by the embedded profile, greyscale becomes RGB, transparency
    is laid on white, 16-bit images are scaled to 8 bit.

    Raises:
        UserError: The file is missing, empty, not an image, damaged, or smaller or larger than what can be restored; or
            it holds numbers whose range is not known (see `real.images.pixels.to_rgb`).
    """
    return read_picture(path, to_rgb, largest=largest)


def read_picture(
    path: str | Path,
    convert: Callable[[Image.Image], np.ndarray],
    *,
    argument: str = "image",
    largest: int = LARGEST_SIDE,
) -> np.ndarray:
    """Read a picture file; what `convert` makes of the PIL image.

    Args:
        path: The file.
        convert: `real.images.pixels.to_rgb` or `to_mask`.
        argument: Name of the argument that named the file, for messages.
        largest: Most pixels on a side.

    Raises:
        UserError: As `load_photo`; the message names the file.
    """
    path = Path(path)
    data = _bytes_of(path, argument)

    # Pillow only warns of huge pictures; here `largest` refuses them, below.
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data))
        size = image.size
        if max(size) <= largest:  # what is larger is not decoded
            pixels = convert(image)
    except UnidentifiedImageError as error:
        known = "JPEG, PNG, WebP, BMP or TIFF"
        message = f"must be an image in a known format, got {str(path)!r}; convert it to {known}"
        raise UserError(message, argument=argument) from error
    except MemoryError:
        raise
    except Exception as error:  # Pillow's decoders raise many kinds on damaged files
        text = str(error).replace(str(path), "").strip() or type(error).__name__
        message = f"must be an image that can be read, got {str(path)!r} ({text[:160]})"
        raise UserError(message, argument=argument) from error

    _check_size(path, *size, argument, largest)
    return pixels


def _bytes_of(path: Path, argument: str) -> bytes:
    if path.is_dir():
        raise UserError(f"must be an image file, got the folder {str(path)!r}", argument=argument)
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise UserError(f"must be an existing file, got {str(path)!r}", argument=argument) from error
    except (OSError, ValueError) as error:  # ValueError: a name with a null character
        why = getattr(error, "strerror", error)
        raise UserError(f"must be a file that can be read, got {str(path)!r} ({why})", argument=argument) from error
    if not data:
        raise UserError(f"must be an image file, got an empty file {str(path)!r}", argument=argument)
    return data


def _check_size(path: Path, width: int, height: int, argument: str, largest: int) -> None:
    if min(width, height) < SMALLEST_SIDE or max(width, height) > largest:
        raise UserError(
            f"must have sides of {SMALLEST_SIDE} to {largest} pixels, got {str(path)!r} of {width} x {height}",
            argument=argument,
        )


def sample_photo() -> np.ndarray:
    """A real photo that scikit-image carries (Chelsea, a cat, CC0): its 192 x 192 pixels around the face."""
    photo: np.ndarray = skimage.data.chelsea()
    return np.ascontiguousarray(photo[42:234, 118:310])


def center_crop(photo: np.ndarray, *, side: int | None = None, multiple: int = 4) -> np.ndarray:
    """Cut the centre: to `side` x `side` pixels, or to the largest multiples of `multiple`.

    Raises:
        UserError: The photo has fewer than `side` pixels.
    """
    height, width = photo.shape[:2]
    if side is not None and min(height, width) < side:
        raise UserError(f"must be at most the photo's {width} x {height} pixels, got {side}", argument="side")
    h, w = (side, side) if side is not None else (height - height % multiple, width - width % multiple)
    y, x = (height - h) // 2, (width - w) // 2
    return photo[y : y + h, x : x + w]


def save_png(path: Path, pixels: np.ndarray) -> None:
    """Write RGB uint8 (H, W, 3) as PNG, whole or not at all."""
    write_atomically(path, lambda temporary: Image.fromarray(pixels).save(temporary, "PNG"))
