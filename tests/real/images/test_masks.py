"""The hole on the grid of the latents: its share of each latent pixel, or whole cells."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from real.errors import UserError  # noqa: E402
from real.images.masks import grow_to_cells, latent_mask  # noqa: E402


def test_a_latent_pixel_says_how_much_of_it_is_hidden() -> None:
    mask = np.zeros((8, 12), bool)
    mask[1, :] = mask[4:, 8:] = True  # a scratch of one pixel, and a whole latent pixel
    assert latent_mask(mask).dtype == torch.float32
    assert latent_mask(mask).tolist() == [[-0.5, -0.5, -0.5], [-1.0, -1.0, 1.0]]


def test_of_whole_cells_the_share_is_none_or_all() -> None:
    mask = np.zeros((8, 12), bool)
    mask[3, 5] = mask[4, 11] = True
    assert latent_mask(grow_to_cells(mask, 4)).tolist() == [[-1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]]


@pytest.mark.parametrize("shape", [(8, 10), (8,), (1, 8, 8)])
def test_a_mask_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    for use in (latent_mask, lambda mask: grow_to_cells(mask, 4)):
        with pytest.raises(UserError, match="mask must have two sides that are multiples of 4, got shape"):
            use(np.zeros(shape, bool))
