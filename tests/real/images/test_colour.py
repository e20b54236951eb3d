"""Colours after the input's: a cast goes, details stay; the fix is the same for files and for tensors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from real.errors import UserError
from real.images.colour import adain_colour, fix_colours, wavelet_colour

RNG = np.random.default_rng(0)
TRUTH = np.asarray(
    Image.fromarray(RNG.integers(60, 190, (6, 8, 3), dtype=np.uint8)).resize((64, 48), Image.Resampling.BICUBIC)
)
LOW = np.asarray(Image.fromarray(TRUTH).resize((16, 12), Image.Resampling.BOX))


def test_none_is_the_image_itself() -> None:
    assert fix_colours(TRUTH, LOW, "none") is TRUTH


@pytest.mark.parametrize("fix", ["wavelet", "adain"])
def test_a_cast_goes_and_the_picture_stays(fix: str) -> None:
    cast = np.add(TRUTH, [12, -9, 5]).clip(0, 255).astype(np.uint8)
    fixed = fix_colours(cast, LOW, fix)
    assert (fixed.dtype, fixed.shape) == (np.uint8, TRUTH.shape)
    before, after = (np.abs(image.mean((0, 1)) - TRUTH.mean((0, 1))).max() for image in (cast, fixed))
    assert before > 11.5
    assert after < 0.6
    # What is left is far less than the cast was, so the details are the image's own.
    assert np.sqrt(np.square(fixed.astype(float) - TRUTH).mean()) < 4.0


@pytest.mark.parametrize(("fix", "function"), [("wavelet", wavelet_colour), ("adain", adain_colour)])
def test_it_is_the_function_of_tensors_with_the_input_enlarged(fix: str, function: object) -> None:
    def tensor(image: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(image.transpose(2, 0, 1)[None].astype(np.float32)) / 255

    large = np.asarray(Image.fromarray(LOW).resize((64, 48), Image.Resampling.BICUBIC))
    noisy = np.rint(TRUTH * 0.9 + 6).astype(np.uint8)
    wanted = function(tensor(noisy), tensor(large)).clamp(0, 1)[0].permute(1, 2, 0) * 255  # type: ignore[operator]
    assert np.abs(fix_colours(noisy, LOW, fix) - wanted.numpy()).max() <= 0.5 + 1e-3


@pytest.mark.parametrize("fix", ["lab", "", None])
def test_another_fix_is_refused(fix: object) -> None:
    with pytest.raises(UserError, match="must be one of none, wavelet, adain, got") as caught:
        fix_colours(TRUTH, LOW, fix)  # type: ignore[arg-type]
    assert caught.value.argument == "colour_fix"


def test_defaults_of_torch_do_not_matter() -> None:
    plain = fix_colours(TRUTH[::-1].copy(), LOW, "wavelet")
    torch.set_default_dtype(torch.float64)
    try:
        assert np.array_equal(fix_colours(TRUTH[::-1].copy(), LOW, "wavelet"), plain)
    finally:
        torch.set_default_dtype(torch.float32)
