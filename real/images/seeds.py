"""Random numbers that belong to a photo: its name, its place among others and their number do not matter."""

from __future__ import annotations

import hashlib

import numpy as np

__all__ = ["degradation_rng", "hole_rng", "photo_seed"]


def photo_seed(seed: int, photo: np.ndarray) -> int:
    """Seed of what is drawn for one photo; particle i of it starts from the noise of (seed, photo, i).

    Args:
        seed: The user's, from 0 to 2^63 - 1.
        photo: What the model is given, RGB uint8 (H, W, 3).

    Returns:
        A whole number from 0 to 2^63 - 1, from NumPy's `SeedSequence` of the seed and a digest of the photo's size and
        pixels.
    """
    return int(_sequence(seed, photo).generate_state(1, np.uint64)[0]) % 2**63


def degradation_rng(seed: int, truth: np.ndarray) -> np.random.Generator:
    """Generator of what spoils a good photo, RGB uint8 (H, W, 3)."""
    return np.random.default_rng(_sequence(seed, truth))


def hole_rng(seed: int, truth: np.ndarray, kind: str) -> np.random.Generator:
    """Generator of a hole of a kind in a good photo, RGB uint8 (H, W, 3)."""
    entropy = [*_entropy(seed, truth), int.from_bytes(kind.encode(), "big")]
    return np.random.default_rng(np.random.SeedSequence(entropy))


def _sequence(seed: int, photo: np.ndarray) -> np.random.SeedSequence:
    return np.random.SeedSequence(_entropy(seed, photo))


def _entropy(seed: int, photo: np.ndarray) -> list[int]:
    digest = hashlib.sha256(repr(photo.shape).encode())
    digest.update(np.ascontiguousarray(photo).tobytes())
    return [seed, int.from_bytes(digest.digest()[:16], "big")]
