"""What a file says of its numbers is heeded: range, colour profile, transparency; or it is refused with a reason."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, TiffImagePlugin

torch = pytest.importorskip("torch")
from real.api import as_picture, inpaint  # noqa: E402
from real.errors import UserError  # noqa: E402
from real.images import masks  # noqa: E402
from real.images.masks import check_mask, load_mask  # noqa: E402
from real.images.photos import load_photo  # noqa: E402
from real.images.pixels import signed_tensor, unit_tensor  # noqa: E402

Save = Callable[..., Path]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    def write(image: Image.Image, name: str = "picture.png", **options: Any) -> Path:
        image.save(tmp_path / name, **options)
        return tmp_path / name

    return write


def exchanged() -> bytes:
    """An sRGB profile with the places of red and green exchanged, under a name of its own."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    entries = {bytes(data[132 + 12 * i : 136 + 12 * i]): 132 + 12 * i for i in range(data[131])}
    red, green = entries[b"rXYZ"], entries[b"gXYZ"]
    data[red + 4 : red + 12], data[green + 4 : green + 12] = data[green + 4 : green + 12], data[red + 4 : red + 12]
    return bytes(data).replace("sRGB built-in".encode("utf-16-be"), "exchanged RG!".encode("utf-16-be"))


@pytest.mark.parametrize("kind", ["RGB", "RGBA"])
def test_an_embedded_profile_is_converted_to_srgb(save: Save, kind: str) -> None:
    image = Image.new(kind, (32, 32), (125, 92, 63))
    loaded = load_photo(save(image, icc_profile=exchanged()))
    assert np.abs(loaded.reshape(-1, 3).mean(0) - (92, 125, 63)).max() < 1.5


def linear_grey() -> bytes:
    """A profile of grey whose numbers are proportional to light."""
    d50 = b"".join(round(value * 65536).to_bytes(4, "big") for value in (0.9642, 1.0, 0.8249))
    text = b"linear grey\0"
    tags = {
        b"desc": b"desc\0\0\0\0" + len(text).to_bytes(4, "big") + text + bytes(78),
        b"wtpt": b"XYZ \0\0\0\0" + d50,
        b"kTRC": b"curv\0\0\0\0\0\0\0\0",  # no points: the identity
    }
    table, content = len(tags).to_bytes(4, "big"), b""
    for name, value in tags.items():
        place = 128 + 4 + 12 * len(tags) + len(content)
        table += name + place.to_bytes(4, "big") + len(value).to_bytes(4, "big")
        content += value + bytes(-len(value) % 4)
    head = bytes(8) + b"\x02\x40\0\0mntrGRAYXYZ " + bytes(12) + b"acsp" + bytes(28) + d50 + bytes(48)
    whole = head + table + content
    return len(whole).to_bytes(4, "big") + whole[4:]


@pytest.mark.parametrize("bits", [8, 16])
def test_a_grey_profile_is_converted_too(save: Save, bits: int) -> None:
    values = np.full((32, 32), 128, np.uint8) if bits == 8 else np.full((32, 32), 128 * 257, np.uint16)
    loaded = load_photo(save(Image.fromarray(values), icc_profile=linear_grey()))
    light = 128 / 255
    assert np.abs(loaded - 255 * (1.055 * light ** (1 / 2.4) - 0.055)).max() <= 1.5  # IEC 61966-2-1


def test_srgb_itself_changes_nothing(save: Save, photo: np.ndarray) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert np.array_equal(load_photo(save(Image.fromarray(photo), icc_profile=profile)), photo)


@pytest.mark.parametrize("profile", [b"no profile", exchanged()])
def test_a_profile_that_cannot_be_used_is_named(save: Save, profile: bytes) -> None:
    path = save(Image.new("L", (32, 32), 90), icc_profile=profile)  # the second is for RGB
    with pytest.warns(UserWarning, match="embedded colour profile is not used"):
        assert (load_photo(path) == 90).all()


@pytest.mark.parametrize(
    ("values", "named"),
    [
        (np.arange(1024, dtype=np.int32).reshape(32, 32) % 256, "32 bit or signed"),
        (np.arange(1024, dtype=np.float32).reshape(32, 32) / 4, "from 0 to 1"),
        (-np.ones((32, 32), np.float32), "from 0 to 1"),
        (np.full((32, 32), np.nan, np.float32), "from 0 to 1"),
    ],
)
def test_numbers_of_unknown_range_are_refused(save: Save, values: np.ndarray, named: str) -> None:
    with pytest.raises(UserError, match=rf"picture\.tif.*{named}"):
        load_photo(save(Image.fromarray(values), "picture.tif"))


def test_floats_are_from_0_to_1_whatever_their_largest(save: Save) -> None:
    values = np.linspace(0.0, 0.5, 1024, dtype=np.float32).reshape(32, 32)
    loaded = load_photo(save(Image.fromarray(values), "picture.tif"))[..., 0]
    assert np.abs(loaded - 255.0 * values).max() <= 0.51


def test_sixteen_bits_of_every_format(save: Save) -> None:
    values = np.linspace(0, 65535, 1024).astype(np.uint16).reshape(32, 32)
    image = Image.fromarray(values)
    for name in ("picture.png", "picture.tif", "picture.ppm"):
        loaded = load_photo(save(image, name))[..., 0]
        assert np.abs(loaded - values / 257.0).max() <= 0.51, name


def tiff(values: np.ndarray, bits: int, photometric: int, content: bytes) -> bytes:
    """A TIFF of one strip of grey, little-endian."""
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    height, width = values.shape
    for tag, value in ((256, width), (257, height), (258, bits), (259, 1), (262, photometric), (277, 1), (278, height)):
        tags[tag] = value
    tags[279] = len(content)
    tags[273] = 0  # Pillow adds where the directory ends
    return b"II*\0\x08\0\0\0" + tags.tobytes(8) + content


def test_twelve_bits_and_white_as_zero(tmp_path: Path) -> None:
    values = np.linspace(0, 4095, 1024).astype(np.uint16).reshape(32, 32)
    first, second = values.reshape(-1, 2).T
    packed = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], axis=1).astype(np.uint8)
    (tmp_path / "twelve.tif").write_bytes(tiff(values, 12, 1, packed.tobytes()))
    assert np.abs(load_photo(tmp_path / "twelve.tif")[..., 0] - values / 4095 * 255).max() <= 0.51

    sixteen = (values.astype(np.float64) / 4095 * 65535).astype("<u2")
    (tmp_path / "white.tif").write_bytes(tiff(values, 16, 0, sixteen.tobytes()))
    assert np.abs(load_photo(tmp_path / "white.tif")[..., 0] - (255 - sixteen / 257.0)).max() <= 0.51


def test_training_photos_are_read_the_same_way(save: Save) -> None:
    from real.train.crops import load_photos

    path = save(Image.new("RGB", (64, 64), (125, 92, 63)), icc_profile=exchanged())
    save(Image.fromarray(np.full((64, 64), 0x8000, np.uint16)), "sixteen.png")
    save(Image.fromarray(np.full((64, 64), 200, np.int32)), "integers.tif")
    photos, counts = load_photos([path.parent], progress=False)
    assert counts == {"used": 2, "unreadable": 1, "too_small": 0}
    assert np.abs(photos[0].reshape(-1, 3).mean(0) - (92, 125, 63)).max() < 1.5
    assert np.abs(photos[1].astype(float) - 128).max() <= 1


def stroke(kind: str, grey: int) -> Image.Image:
    """A stroke of this grey on transparent."""
    image = Image.new("RGBA", (40, 32), (0, 0, 0, 0))
    image.paste((grey, grey, grey, 255), (8, 8, 16, 16))
    return image if kind == "RGBA" else image.convert(kind)


@pytest.mark.parametrize("kind", ["RGBA", "LA", "P"])
def test_what_is_transparent_in_a_mask_is_known(save: Save, kind: str) -> None:
    mask = load_mask(save(stroke(kind, 255)))
    expected = np.zeros((32, 40), bool)
    expected[8:16, 8:16] = True
    assert np.array_equal(mask, expected)


def test_a_dark_stroke_on_transparent_paints_nothing_and_says_so(save: Save, photo: np.ndarray) -> None:
    mask = load_mask(save(stroke("RGBA", 0)))
    assert not mask.any()
    with pytest.raises(ValueError, match=r"pixels to paint \(light\) and known ones \(dark or transparent\).*no pixel"):
        check_mask(mask, photo[:32, :40])


def test_a_mask_is_no_photo_under_a_profile(save: Save) -> None:
    path = save(Image.new("RGB", (32, 32), (200, 60, 130)), icc_profile=exchanged())  # mean 130
    assert load_mask(path).all()


def test_a_mask_of_another_size_is_told_width_first(photo: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"80 x 64 pixels \(width x height\), got 64 x 80; turned.*EXIF"):
        check_mask(np.zeros((80, 64), bool), photo)
    with pytest.raises(ValueError, match=r"80 x 64 pixels \(width x height\), got 70 x 64$"):
        check_mask(np.zeros((64, 70), bool), photo)


@pytest.mark.parametrize("name", ["photo.heic", "notes.png"])
def test_a_format_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 64)
    for load in (load_photo, load_mask):
        with pytest.raises(UserError, match=rf"known format, got .*{name}'; .*JPEG, PNG, WebP, BMP or TIFF") as caught:
            load(tmp_path / name)
        assert "BytesIO" not in str(caught.value)


def test_a_name_with_a_null_character_is_an_error_of_the_user() -> None:
    with pytest.raises(UserError, match="must be a file that can be read, got"):
        load_photo("a\0b.png")


def test_masks_as_diffusers_takes_them() -> None:
    expected = np.zeros((32, 40), bool)
    expected[8:16, 8:16] = True
    floats = torch.from_numpy(expected).float()
    given = (Image.fromarray(255 * expected.astype(np.uint8)), stroke("RGBA", 255), floats, floats[None, None])
    for mask in (*given, torch.from_numpy(expected), expected):
        assert np.array_equal(masks.as_mask(mask), expected)
    for wrong, kind in ((floats[:, :0, None], ValueError), (2 * floats, ValueError), ([[True]], TypeError)):
        with pytest.raises(kind, match="mask must be"):
            masks.as_mask(wrong)


def test_inpaint_takes_masks_and_photos_as_diffusers_does(hole_filler_folder: Path, photo: np.ndarray) -> None:
    from real import Settings, open_model

    model = open_model(hole_filler_folder, task="inpaint", device="cpu", dtype="float32")
    settings = Settings(steps=1, particles=1)
    mask = np.zeros(photo.shape[:2], bool)
    mask[16:32, 16:32] = True
    expected = inpaint(photo, mask, model=model, settings=settings).image
    pil = inpaint(Image.fromarray(photo), Image.fromarray(mask), model=model, settings=settings)
    assert np.array_equal(pil.image, expected)
    tensors = torch.from_numpy(photo).permute(2, 0, 1)[None] / 255.0, torch.from_numpy(mask)[None, None].float()
    assert np.array_equal(inpaint(*tensors, model=model, settings=settings).image, expected)
    with pytest.raises(TypeError, match="mask must be a file, a PIL image"):
        inpaint(photo, 3, model=model, settings=settings)


def test_pictures_as_tensors(photo: np.ndarray) -> None:
    tensor = torch.from_numpy(photo).permute(2, 0, 1)
    for value in (tensor, tensor[None], tensor / 255.0, (tensor / 255.0)[None].double()):
        assert np.array_equal(as_picture("low", value), photo)
    for wrong in (tensor[:2], tensor.float(), tensor / -255.0, tensor.int()):
        with pytest.raises(ValueError, match="low must be a tensor"):
            as_picture("low", wrong)


def test_photos_as_tensors(photo: np.ndarray) -> None:
    low, high = unit_tensor(photo), signed_tensor(photo)
    assert low.shape == high.shape == (1, 3, *photo.shape[:2])
    assert low.dtype == high.dtype == torch.float32
    for x in (low, high):  # with channels last in memory a convolution differs in the last bits
        assert torch.nn.functional.conv2d(x, torch.ones(4, 3, 3, 3)).is_contiguous()
    assert torch.equal(signed_tensor(np.stack([photo, photo]))[1], high[0])
    assert np.array_equal(low[0, 1].numpy(), photo[..., 1] / np.float32(255))
    assert np.array_equal(high[0, 2].numpy(), photo[..., 2] / np.float32(127.5) - 1)
