"""Photos in and out: whatever a camera or a scanner writes becomes RGB uint8 (H, W, 3), or a clear error."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image, ImageOps

from real.errors import UserError
from real.images.files import write_atomically

__all__ = [
    "LARGEST_SIDE",
    "SMALLEST_SIDE",
    "SUFFIXES",
    "center_crop",
    "load_photo",
    "sample_photo",
    "save_png",
    "to_rgb",
]

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
SMALLEST_SIDE = 16
LARGEST_SIDE = 8192


def load_photo(path: str | Path, *, largest: int = LARGEST_SIDE) -> np.ndarray:
    """Read a photo: RGB uint8 (H, W, 3).

    EXIF rotation is applied, greyscale becomes RGB, transparency is laid on white, 16-bit images are scaled to 8 bit.

    Raises:
        UserError: The file is missing, empty, not an image, damaged, or smaller or larger than what can be restored.
    """
    path = Path(path)
    if path.is_dir():
        raise UserError(f"{str(path)!r} is a folder; give one image file", argument="image")
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise UserError(f"there is no file {str(path)!r}", argument="image") from error
    except OSError as error:
        raise UserError(f"cannot read {str(path)!r} ({error.strerror})", argument="image") from error
    if not data:
        raise UserError(f"{str(path)!r} is empty", argument="image")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data))
            _check_size(path, *image.size, largest)
            pixels = to_rgb(image)
    except UserError:
        raise
    except Exception as error:  # Pillow's decoders raise many kinds on damaged files
        text = str(error).replace(str(path), "").strip() or type(error).__name__
        raise UserError(f"{str(path)!r} is not an image that can be read ({text[:120]})", argument="image") from error
    return pixels


def _check_size(path: Path, width: int, height: int, largest: int) -> None:
    if min(width, height) < SMALLEST_SIDE or max(width, height) > largest:
        raise UserError(
            f"{str(path)!r} has {width} x {height} pixels; both sides must be {SMALLEST_SIDE} to {largest}",
            argument="image",
        )


def to_rgb(image: Image.Image) -> np.ndarray:
    """A PIL image of any mode as RGB uint8 (H, W, 3): rotated by its EXIF, transparency laid on white, scaled to 8 bit.

    Raises:
        ValueError: It holds NaN or infinity.
    """
    image = ImageOps.exif_transpose(image)
    if image.mode in ("I", "I;16", "I;16B", "I;16L", "F"):  # Pillow clips these instead of scaling them
        values = np.asarray(image, dtype=np.float64)
        if not np.isfinite(values).all():
            raise ValueError("it holds NaN or infinity")
        top = 65535.0 if image.mode != "F" else max(1.0, float(values.max()))
        grey = np.rint(np.clip(values / top, 0.0, 1.0) * 255.0).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=-1)
    if image.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.array(image.convert("RGB"))


def sample_photo() -> np.ndarray:
    """A real photo that scikit-image carries (Chelsea, a cat, CC0): its 192 x 192 pixels around the face."""
    photo: np.ndarray = skimage.data.chelsea()
    return np.ascontiguousarray(photo[42:234, 118:310])


def center_crop(photo: np.ndarray, *, side: int | None = None, multiple: int = 4) -> np.ndarray:
    """Cut the centre: to `side` x `side` pixels, or to the largest multiples of `multiple`."""
    height, width = photo.shape[:2]
    if side is not None and min(height, width) < side:
        raise UserError(f"the photo has {width} x {height} pixels, fewer than {side} on a side", argument="crop")
    h, w = (side, side) if side is not None else (height - height % multiple, width - width % multiple)
    y, x = (height - h) // 2, (width - w) // 2
    return photo[y : y + h, x : x + w]


def save_png(path: Path, pixels: np.ndarray) -> None:
    """Write RGB uint8 (H, W, 3) as PNG, whole or not at all."""
    write_atomically(path, lambda temporary: Image.fromarray(pixels).save(temporary, "PNG"))
