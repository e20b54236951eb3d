"""Random holes in photos: boxes, brush strokes, scratches, text and speckles, for training and for judging."""

from __future__ import annotations

import string
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from real.errors import UserError

__all__ = ["HOLES", "LARGEST", "draw_box", "draw_hole"]

LARGEST = 0.5  # of the photo's area
SMALLEST_SIDE = 16


def draw_hole(kind: str, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """A random hole of a kind: bool (height, width), True inside; at least one pixel, at most half of the photo.

    Args:
        kind: One of `HOLES`: "box" (each side 1/8 to 7/10 of the photo's), "strokes" (a brush of 5 to 20 pixels),
            "scratches" (long thin lines of 1 to 4 pixels), "text" (lines of letters), "speckles" (dots of 1 to 4
            pixels).
        height: Height of the photo, at least 16 pixels.
        width: Width of the photo, at least 16 pixels.
        rng: Source of every random choice.

    Raises:
        ValueError: There is no such kind, or the photo is too small.
    """
    if kind not in HOLES:
        raise UserError(f"must be one of {', '.join(HOLES)}, got {kind!r}", argument="kind")
    if min(height, width) < SMALLEST_SIDE:
        raise UserError(f"height and width must be at least {SMALLEST_SIDE}, got {height} and {width}")
    while True:
        picture = Image.new("L", (width, height))
        HOLES[kind](ImageDraw.Draw(picture), height, width, rng)
        mask = np.asarray(picture) > 0
        if 0 < mask.mean() <= LARGEST:
            return mask


def draw_box(height: int, width: int, area: float, rng: np.random.Generator) -> np.ndarray:
    """A box with the proportions of the photo at a random place: bool (height, width), True inside.

    Args:
        height: Height of the photo.
        width: Width of the photo.
        area: Share of the photo's area, above 0 and below 1.
        rng: Source of the place.
    """
    rows, columns = (max(1, round(np.sqrt(area) * side)) for side in (height, width))
    top, left = int(rng.integers(height - rows + 1)), int(rng.integers(width - columns + 1))
    mask = np.zeros((height, width), dtype=bool)
    mask[top : top + rows, left : left + columns] = True
    return mask


def _box(draw: ImageDraw.ImageDraw, height: int, width: int, rng: np.random.Generator) -> None:
    rows, columns = (max(1, round(side * rng.uniform(0.125, 0.7))) for side in (height, width))
    top, left = int(rng.integers(height - rows + 1)), int(rng.integers(width - columns + 1))
    draw.rectangle((left, top, left + columns - 1, top + rows - 1), fill=1)


def _strokes(draw: ImageDraw.ImageDraw, height: int, width: int, rng: np.random.Generator) -> None:
    """Polylines whose direction drifts, as a hand moves a brush."""
    for _ in range(int(rng.integers(1, 4))):
        brush, angle = float(rng.uniform(5, 20)), float(rng.uniform(0, 2 * np.pi))
        points = [rng.uniform((0, 0), (width, height))]
        for _ in range(int(rng.integers(3, 10))):
            angle += rng.normal(0, 0.7)
            points.append(points[-1] + rng.uniform(8, 30) * np.array([np.cos(angle), np.sin(angle)]))
        _line(draw, points, brush)


def _scratches(draw: ImageDraw.ImageDraw, height: int, width: int, rng: np.random.Generator) -> None:
    """Nearly straight lines across a good part of the photo."""
    for _ in range(int(rng.integers(2, 12))):
        angle, length = float(rng.uniform(0, 2 * np.pi)), rng.uniform(0.3, 1.2) * max(height, width)
        points = [rng.uniform((0, 0), (width, height))]
        for _ in range(8):
            angle += rng.normal(0, 0.15)
            points.append(points[-1] + length / 8 * np.array([np.cos(angle), np.sin(angle)]))
        _line(draw, points, float(rng.integers(1, 5)))


def _text(draw: ImageDraw.ImageDraw, height: int, width: int, rng: np.random.Generator) -> None:
    size = float(rng.uniform(9, 26))
    font = ImageFont.load_default(size)
    letters = np.array(list(string.ascii_letters + string.digits + "  .,!?"))
    for _ in range(int(rng.integers(1, 5))):
        line = "".join(rng.choice(letters, size=int(rng.integers(4, 24))))
        draw.text((rng.uniform(-size, width / 2), rng.uniform(-size / 2, height - size / 2)), line, fill=1, font=font)


def _speckles(draw: ImageDraw.ImageDraw, height: int, width: int, rng: np.random.Generator) -> None:
    count = int(height * width * rng.uniform(0.001, 0.02))
    for x, y, radius in rng.uniform((0, 0, 0), (width, height, 2), (count, 3)):
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=1)
    draw.point((int(rng.integers(width)), int(rng.integers(height))), fill=1)


def _line(draw: ImageDraw.ImageDraw, points: list[np.ndarray], width: float) -> None:
    flat = [(float(x), float(y)) for x, y in points]
    draw.line(flat, fill=1, width=max(1, round(width)), joint="curve")


HOLES: dict[str, Callable[[ImageDraw.ImageDraw, int, int, np.random.Generator], None]] = {
    "box": _box,
    "strokes": _strokes,
    "scratches": _scratches,
    "text": _text,
    "speckles": _speckles,
}
