"""Random holes: kinds, sizes, and the same numbers again from the same generator."""

import numpy as np
import pytest

pytest.importorskip("torch")
from real.errors import UserError
from real.images.holes import HOLES, LARGEST, draw_hole


def drawn(kind: str, seed: int, *, height: int = 96, width: int = 128) -> np.ndarray:
    return draw_hole(kind, height, width, np.random.default_rng(seed))


@pytest.mark.parametrize("kind", HOLES)
def test_a_hole_has_a_pixel_and_at_most_half_of_the_photo(kind: str) -> None:
    holes = [drawn(kind, seed) for seed in range(40)]
    assert all(hole.dtype == bool and hole.shape == (96, 128) for hole in holes)
    assert all(0 < hole.mean() <= LARGEST for hole in holes)
    assert np.array_equal(drawn(kind, 7), holes[7])
    assert len({hole.tobytes() for hole in holes}) == 40


def test_a_box_by_hand() -> None:
    rng = np.random.default_rng(3)
    rows, columns = round(96 * rng.uniform(0.125, 0.7)), round(128 * rng.uniform(0.125, 0.7))
    top, left = rng.integers(96 - rows + 1), rng.integers(128 - columns + 1)
    expected = np.zeros((96, 128), bool)
    expected[top : top + rows, left : left + columns] = True
    assert np.array_equal(drawn("box", 3), expected)


def test_kinds_differ_in_how_deep_they_are() -> None:
    """Share of a hole's pixels whose four neighbours are all in it: of boxes nearly all, of scratches few."""

    def depth(kind: str) -> float:
        holes = [drawn(kind, seed) for seed in range(20)]
        inner = [h[1:-1, 1:-1] & h[:-2, 1:-1] & h[2:, 1:-1] & h[1:-1, :-2] & h[1:-1, 2:] for h in holes]
        return float(sum(i.sum() for i in inner) / sum(h.sum() for h in holes))

    assert depth("box") > depth("strokes") > depth("scratches") > depth("text")
    assert depth("speckles") < depth("strokes")


@pytest.mark.parametrize("kind", HOLES)
def test_a_thin_photo_has_holes_too(kind: str) -> None:
    assert drawn(kind, 0, height=16, width=300).shape == (16, 300)


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(UserError, match=r"kind must be one of box, strokes, scratches, text, speckles, got 'star'"):
        drawn("star", 0)
    with pytest.raises(UserError, match=r"height and width must be at least 16, got 15 and 128"):
        drawn("box", 0, height=15)
