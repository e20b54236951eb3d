"""Holes filled before encoding: black, and pull-push against plain loops."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from real.errors import UserError  # noqa: E402
from real.images.filling import blank, fill_smoothly  # noqa: E402


@pytest.fixture
def x() -> "torch.Tensor":
    return torch.rand(2, 3, 13, 18, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.fixture
def mask() -> np.ndarray:
    hole = np.zeros((13, 18), bool)
    hole[2:11, 3:12] = True  # deeper than one halving sees across
    hole[5, 16] = True
    return hole


def test_a_hole_is_black_and_the_rest_as_it_was(x: "torch.Tensor", mask: np.ndarray) -> None:
    blanked = blank(x, mask)
    inside = torch.from_numpy(mask)
    assert bool((blanked[..., inside] == -1.0).all())
    assert torch.equal(blanked[..., ~inside], x[..., ~inside])


def by_loops(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """One channel: weighted sums of 2 x 2 pixels, of which one known one is enough; then read bilinearly."""
    if (weights >= 1).all():
        return values / weights
    height, width = weights.shape
    coarse, known = (np.zeros(((height + 1) // 2, (width + 1) // 2)) for _ in range(2))
    for i in range(height):
        for j in range(width):
            coarse[i // 2, j // 2] += values[i, j]
            known[i // 2, j // 2] += weights[i, j]
    scale = np.where(known > 1, known, 1.0)
    guess = by_loops(coarse / scale, known / scale)

    filled = values.copy()
    for i in range(height):
        for j in range(width):
            # Middles of coarse cells lie at 0.5, 2.5, ...; what lies outside of them is the outermost.
            y, x = np.clip((i - 0.5) / 2, 0, len(guess) - 1), np.clip((j - 0.5) / 2, 0, guess.shape[1] - 1)
            top, left = int(y), int(x)
            bottom, right = min(top + 1, len(guess) - 1), min(left + 1, guess.shape[1] - 1)
            above = guess[top, left] * (1 - x + left) + guess[top, right] * (x - left)
            below = guess[bottom, left] * (1 - x + left) + guess[bottom, right] * (x - left)
            filled[i, j] += (1 - weights[i, j]) * (above * (1 - y + top) + below * (y - top))
    return filled


def test_the_smooth_filling_is_what_loops_give(x: "torch.Tensor", mask: np.ndarray) -> None:
    filled = fill_smoothly(x, mask).numpy()
    for image, found in zip(x.double().numpy(), filled, strict=True):
        for channel, result in zip(image, found, strict=True):
            assert np.allclose(result, by_loops(channel * ~mask, (~mask).astype(float)), atol=1e-5)


def test_what_is_known_stays_and_what_is_hidden_has_no_say(x: "torch.Tensor", mask: np.ndarray) -> None:
    inside = torch.from_numpy(mask)
    filled = fill_smoothly(x, mask)
    assert torch.equal(filled[..., ~inside], x[..., ~inside])
    assert torch.equal(fill_smoothly(torch.where(inside, 5.0, x), mask), filled)
    assert float(filled.abs().max()) <= 1.0  # weighted means of what is known
    assert torch.equal(fill_smoothly(x, np.zeros_like(mask)), x)


def test_one_colour_goes_on_as_that_colour() -> None:
    mask = np.ones((33, 20), bool)
    mask[30, 1] = False  # one known pixel, far from most
    assert torch.allclose(fill_smoothly(torch.full((1, 3, 33, 20), 0.4), mask), torch.tensor(0.4), atol=1e-6)


def test_a_photo_without_a_known_pixel_is_refused(x: "torch.Tensor", mask: np.ndarray) -> None:
    with pytest.raises(UserError, match="mask must have a known pixel"):
        fill_smoothly(x, np.ones_like(mask))
