"""Holes: what the encoder sees, and the hole on the grid of the latents."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from real.images.masks import blank, latent_mask  # noqa: E402


def test_a_latent_pixel_is_in_the_hole_if_any_of_its_pixels_is() -> None:
    mask = np.zeros((8, 12), bool)
    mask[3, 5] = mask[4, 11] = True
    assert latent_mask(mask).tolist() == [[-1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]]


def test_a_hole_is_mid_grey_and_the_rest_as_it_was() -> None:
    x = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0)) + 0.5
    mask = np.zeros((4, 4), bool)
    mask[1:3, 2] = True
    blanked = blank(x, mask)
    inside = torch.from_numpy(mask)
    assert not bool(blanked[..., inside].any())
    assert torch.equal(blanked[..., ~inside], x[..., ~inside])


@pytest.mark.parametrize("shape", [(8, 10), (8,), (1, 8, 8)])
def test_a_mask_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"mask must have two sides .*, got shape"):
        latent_mask(np.zeros(shape, bool))
