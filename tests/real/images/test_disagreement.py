"""The map of disagreement: its numbers by hand, its colours, its file."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from real.images.disagreement import draw_spread, save_spread, spread_map


def particles(n: int = 5, height: int = 6, width: int = 7, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, height, width, channels)).astype(np.uint8)


def test_two_particles_by_hand() -> None:
    pair = np.zeros((2, 1, 2, 3), dtype=np.uint8)
    pair[1, 0, 1] = [2, 4, 0]  # variances 2, 8 and 0; their mean is 10/3
    np.testing.assert_allclose(spread_map(pair), [[0.0, np.sqrt(10 / 3)]])


def test_half_the_mean_squared_distance_of_two() -> None:
    ensemble = particles().astype(float)
    pairs = [(a - b) ** 2 for i, a in enumerate(ensemble) for b in ensemble[:i]]
    np.testing.assert_allclose(spread_map(ensemble) ** 2, np.mean(pairs, axis=0).mean(-1) / 2)


def test_order_and_offset_do_not_matter_and_a_factor_does() -> None:
    ensemble = particles().astype(float)
    np.testing.assert_allclose(spread_map(ensemble[::-1] + 3.0), spread_map(ensemble))
    np.testing.assert_allclose(spread_map(2.0 * ensemble), 2.0 * spread_map(ensemble))


def test_black_is_agreement_and_more_is_lighter() -> None:
    ramp = np.linspace(0.0, 1.0, 101)[None]
    picture, largest = draw_spread(ramp)
    brightness = picture.astype(int).sum(-1)[0]
    assert picture.shape == (1, 101, 3)
    assert largest == pytest.approx(0.99)
    assert brightness[0] < 10 < 600 < brightness[-1]
    assert (np.diff(brightness) >= 0).all()
    fixed, ten = draw_spread(ramp, largest=10.0)
    assert ten == 10.0
    assert fixed.astype(int).sum(-1).max() < brightness.max() / 3


def test_equal_particles_are_black() -> None:
    picture, largest = draw_spread(spread_map(np.full((4, 5, 5, 3), 77)))
    assert largest == 0.0
    assert picture.max() < 5


def test_latents_are_drawn_larger() -> None:
    spread = np.asarray([[0.0, 1.0]])
    picture, _ = draw_spread(spread, largest=1.0, scale=4)
    small, _ = draw_spread(spread, largest=1.0)
    np.testing.assert_array_equal(picture, small.repeat(4, axis=0).repeat(4, axis=1))


def test_the_file_and_its_record(tmp_path: Path) -> None:
    ensemble = particles()
    record = save_spread(tmp_path / "spread.png", spread_map(ensemble))
    with Image.open(tmp_path / "spread.png") as image:
        np.testing.assert_array_equal(np.asarray(image), draw_spread(spread_map(ensemble))[0])
    assert record["mean"] ** 2 == pytest.approx(ensemble.astype(float).var(axis=0, ddof=1).mean())
    assert record["largest"] == pytest.approx(np.quantile(spread_map(ensemble), 0.99))


@pytest.mark.parametrize("wrong", [np.zeros((1, 4, 4, 3)), np.zeros((4, 4, 3)), np.full((2, 2, 2, 3), np.nan)])
def test_no_ensemble_is_refused(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="particles must be"):
        spread_map(wrong)


def test_no_map_is_refused() -> None:
    with pytest.raises(ValueError, match="spread must be"):
        draw_spread(-np.ones((2, 2)))
    with pytest.raises(ValueError, match="scale must be at least 1 and largest positive, got 0"):
        draw_spread(np.ones((2, 2)), scale=0)
    with pytest.raises(ValueError, match="largest positive, got 1 and 0"):
        draw_spread(np.ones((2, 2)), largest=0.0)
