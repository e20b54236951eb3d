"""Pictures of any kind as RGB uint8: turned upright, in sRGB, without transparency, in 8 bit; or as a mask."""

from __future__ import annotations

import io
import warnings

import numpy as np
import torch
from PIL import Image, ImageCms, ImageOps

from real.errors import UserError

__all__ = ["from_tensor", "signed_tensor", "to_mask", "to_rgb", "unit_tensor"]

SIXTEEN = ("I;16", "I;16B", "I;16L", "I;16N")
BITS, PHOTOMETRIC = 258, 262  # tags of TIFF
SPACES = {"RGB": "RGB ", "L": "GRAY", "CMYK": "CMYK"}  # PIL's mode -> the name in a profile


def to_rgb(image: Image.Image, *, backdrop: str = "white") -> np.ndarray:
    """A PIL image of any mode as RGB uint8 (H, W, 3).

    It is rotated by its EXIF; colours are converted to sRGB where a profile is embedded (relative colorimetric, with
    black point compensation); 16 bits are scaled to 8.

    Args:
        image: The picture.
        backdrop: What transparent pixels are laid on.

    Raises:
        UserError: It holds integers of 32 bits, whose range no format fixes, or floats that are not within 0 to 1.
    """
    profile = image.info.get("icc_profile")
    grey = _eight_bits(image)
    base, alpha = _without_alpha(ImageOps.exif_transpose(image if grey is None else grey))
    rgb = (_in_srgb(base, profile) if profile else base).convert("RGB")
    if alpha is None:
        return np.array(rgb)
    rgb.putalpha(alpha)
    return np.array(Image.alpha_composite(Image.new("RGBA", rgb.size, backdrop), rgb).convert("RGB"))


def to_mask(image: Image.Image) -> np.ndarray:
    """A PIL image as a mask, bool (H, W): True where it is light (grey 128 and more) and not transparent.

    Raises:
        UserError: As `to_rgb`.
    """
    plain = image.copy()
    plain.info.pop("icc_profile", None)  # a mask's numbers are no colours
    return np.asarray(to_rgb(plain, backdrop="black").mean(axis=-1) >= 128.0)


def from_tensor(name: str, value: torch.Tensor) -> np.ndarray:
    """A picture as diffusers' pipelines take it, (3, H, W) or (1, 3, H, W), as RGB uint8 (H, W, 3).

    Args:
        name: Name of the argument, for messages.
        value: Floats from 0 to 1, or uint8.

    Raises:
        UserError: It has another shape or other numbers.
    """
    picture = value.detach().cpu()
    picture = picture[0] if picture.ndim == 4 and picture.shape[0] == 1 else picture
    if picture.ndim != 3 or picture.shape[0] != 3 or min(picture.shape) < 1:
        raise UserError(f"must be a tensor (3, H, W) or (1, 3, H, W), got {tuple(value.shape)}", argument=name)
    if picture.dtype != torch.uint8:
        if not picture.is_floating_point() or not bool(((picture >= 0) & (picture <= 1)).all()):
            accepted = "a tensor of floats from 0 to 1 or of uint8"
            raise UserError(f"must be {accepted}, got {_range(picture)}", argument=name)
        picture = (picture.to(torch.float32) * 255.0).round().to(torch.uint8)
    return np.ascontiguousarray(picture.permute(1, 2, 0).numpy())


def unit_tensor(photo: np.ndarray) -> torch.Tensor:
    """RGB uint8 (h, w, 3) -> float32 (1, 3, h, w) in [0, 1], as pipelines take pictures."""
    return _planes(photo) / 255.0


def signed_tensor(photo: np.ndarray) -> torch.Tensor:
    """RGB uint8 (h, w, 3) or (B, h, w, 3) -> float32 (B, 3, h, w) in [-1, 1], as networks take pictures."""
    return _planes(photo) / 127.5 - 1


def _planes(photo: np.ndarray) -> torch.Tensor:
    x = torch.from_numpy(np.array(photo))
    # Of one photo the new axis comes last, so that convolutions do not take it for one with channels last in memory,
    # which would change the last bits of all results.
    return (x.permute(0, 3, 1, 2) if x.ndim == 4 else x.permute(2, 0, 1)[None]).float()


def _range(values: torch.Tensor) -> str:
    return f"{values.dtype} from {values.min().item():g} to {values.max().item():g}"


def _eight_bits(image: Image.Image) -> Image.Image | None:
    """Grey of more than 8 bits scaled to 8 by the range of its format; None for all other modes, which Pillow has."""
    if image.mode == "F":
        values = np.asarray(image, dtype=np.float64)
        if not (np.isfinite(values).all() and values.min() >= 0.0 and values.max() <= 1.0):
            raise UserError(
                f"floats must be from 0 to 1, got {values.min():g} to {values.max():g}; scale them, or save 8 or 16 bit"
            )
    elif image.mode in SIXTEEN or (image.mode == "I" and image.format in ("PNG", "PPM")):  # 16 bits, too
        tags = getattr(image, "tag_v2", {})
        top = 2 ** tags.get(BITS, (16,))[0] - 1
        values = np.clip(np.asarray(image, dtype=np.float64) / top, 0.0, 1.0)
        values = 1.0 - values if tags.get(PHOTOMETRIC) == 0 else values  # TIFF's "white is zero"
    elif image.mode == "I":
        raise UserError("integers must be of 8 or 16 bit, got 32 bit or signed ones, which have no fixed range")
    else:
        return None

    # The new picture knows nothing of how the camera was held.
    grey = Image.fromarray(np.rint(values * 255.0).astype(np.uint8))
    exif = image.getexif()
    if orientation := exif.get(0x0112):
        grey.getexif()[0x0112] = orientation
    return grey


def _without_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Colours, and how opaque they are where the picture says so."""
    transparent = image.has_transparency_data
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA" if transparent else "RGB")
    elif transparent:
        image = image.convert("LA" if image.mode in ("1", "L", "LA", "La") else "RGBA")
    if image.mode not in ("LA", "RGBA"):
        return image, None
    return image.convert("L" if image.mode == "LA" else "RGB"), image.getchannel("A")


def _in_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Colours under an embedded profile in sRGB; a profile that cannot be used is named in a warning."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "sRGB" in ImageCms.getProfileDescription(source):
            return image  # as it is, to the bit

        # A profile of another colour space says nothing of these numbers.
        if source.profile.xcolor_space != SPACES.get(image.mode):
            raise ValueError(f"it is for {source.profile.xcolor_space.strip()}, the picture is {image.mode}")
        converted = ImageCms.profileToProfile(
            image,
            source,
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError, ValueError) as error:
        warnings.warn(f"the embedded colour profile is not used ({error}); colours are read as sRGB", stacklevel=3)
        return image

    assert converted is not None
    return converted
