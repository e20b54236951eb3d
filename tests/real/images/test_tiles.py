"""Tiles: they cover everything, blend to one, and leave small images alone."""

from itertools import pairwise

import pytest

torch = pytest.importorskip("torch")
from real.images.tiles import fitted_tile, map_tiles, tile_starts  # noqa: E402
from real.models.codec import OVERLAP, TILE  # noqa: E402


@pytest.mark.parametrize("length", [1, 15, 16, 17, 24, 40, 63, 100])
def test_tiles_cover_and_overlap(length: int) -> None:
    starts = tile_starts(length, 16, 4)
    covered = {p for s in starts for p in range(s, min(s + 16, length))}
    assert covered == set(range(length))
    assert all(b - a <= 12 for a, b in pairwise(starts))
    assert max(starts) + 16 <= max(length, 16)


def test_a_pointwise_function_is_not_changed_by_tiling() -> None:
    x = torch.randn(2, 3, 37, 50, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(map_tiles(lambda z: 2 * z + 1, x, tile=16, overlap=4), 2 * x + 1, atol=1e-6)


def test_magnification() -> None:
    x = torch.rand(1, 3, 20, 33, generator=torch.Generator().manual_seed(0))
    enlarge = torch.nn.Upsample(scale_factor=4, mode="nearest")
    assert torch.allclose(map_tiles(enlarge, x, tile=16, overlap=8, scale=4), enlarge(x), atol=1e-6)


def test_disagreeing_tiles_blend_without_a_step() -> None:
    values = iter(range(100))
    x = torch.zeros(1, 1, 16, 60)
    result = map_tiles(lambda z: z + next(values), x, tile=16, overlap=8)[0, 0, 0]
    assert result[0] == 0
    assert float(result.diff().abs().max()) <= 0.25  # an unblended seam would be 1
    assert float(result[-1]) == len(tile_starts(60, 16, 8)) - 1


def test_one_tile_is_the_function_itself() -> None:
    x = torch.ones(1, 1, 8, 8)
    assert map_tiles(lambda z: z, x, tile=8, overlap=2) is x


def test_bad_overlap() -> None:
    with pytest.raises(ValueError, match="overlap"):
        tile_starts(40, 16, 16)


def test_fitted_tiles_work_little_twice() -> None:
    """At most 1.3 times the pixels of the photo, whatever its size, with the tiles of models in LDM's shape."""
    for length in range(1, 700):
        side = fitted_tile(length, TILE, OVERLAP, multiple=4)
        starts = tile_starts(length, side, min(OVERLAP, side - 1))
        assert side <= TILE
        assert side == length or side % 4 == 0
        assert {p for s in starts for p in range(s, s + side)} == set(range(length))
        assert (len(starts) * side / length) ** 2 <= 1.3, length
        assert all(a + side - b >= OVERLAP for a, b in pairwise(starts))


def test_tiles_of_a_network_are_multiples_of_what_it_divides_by() -> None:
    sizes = []

    def network(z: torch.Tensor) -> torch.Tensor:
        sizes.append(tuple(z.shape[-2:]))
        return z

    x = torch.rand(1, 1, 37, 24, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(map_tiles(network, x, tile=24, overlap=4, multiple=4), x, atol=1e-6)
    assert set(sizes) == {(24, 24)}
