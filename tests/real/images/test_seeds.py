"""Random numbers of a photo."""

import numpy as np

from real.images.seeds import degradation_rng, photo_seed


def photo(value: int, shape: tuple[int, ...] = (4, 6, 3)) -> np.ndarray:
    return np.full(shape, value, np.uint8)


def test_a_photo_and_a_seed_decide_and_nothing_else() -> None:
    assert photo_seed(3, photo(7)) == photo_seed(3, photo(7).copy()) == photo_seed(3, photo(7)[::1])
    assert photo_seed(0, photo(1)) == 1060398125878979270  # numbers that results depend on never change


def test_other_photos_sizes_and_seeds_give_other_numbers() -> None:
    seeds = [photo_seed(s, photo(v)) for s in range(3) for v in range(3)] + [photo_seed(0, photo(0, (6, 4, 3)))]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= s < 2**63 for s in seeds)


def test_a_view_counts_as_what_it_shows() -> None:
    wide = np.random.default_rng(0).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    assert photo_seed(0, wide[::2, ::2]) == photo_seed(0, wide[::2, ::2].copy())


def test_noise_and_degradation_are_not_the_same_stream() -> None:
    spoils, again, noise = (
        rng.integers(2**62)
        for rng in (
            degradation_rng(0, photo(1)),
            degradation_rng(0, photo(1)),
            np.random.default_rng(photo_seed(0, photo(1))),
        )
    )
    assert spoils == again != noise
