"""One small file of what `sweep` computed: whole numbers of 12 bits, each as two letters of base64.

A position is its place on a square of 4096 by 4096 points, which is also the coordinate system of the picture,
with y pointing down as on a screen. Pictures that are equal point for point are stored once: DDIM's serve all
settings of strength 0, and two cut-offs share everything above the larger one. Contours are ready as paths of SVG.
"""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from itertools import product

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from mistakes import MISTAKES
from sweep import Sweep, Ways, explore, explore_mistakes, settings_of

from toy.figure import GRID_POINTS, MASSES, contour_levels
from toy.mixture import Array, GaussianMixture, three_modes

SIDE = 4096  # 12 bits
HALF_WIDTH = 3.0  # of the square in the plane: the outermost contour of the noise has a radius of 2.8
VARIANCE_UNIT = 1e-3
EFFECTIVE_UNIT = 0.1
NAME = "kdsExplorable"  # the global name that the page reads; the second file's ends in More
MISTAKEN_STRENGTH = 0.3
TOLERANCE = 8.0  # of a contour: less than a pixel of a picture 400 pixels wide

Codes = npt.NDArray[np.int64]


def explorable_file(sweep: Sweep | None = None) -> str:
    """Compute and pack everything the explorable page shows.

    Args:
        sweep: the grid; None for the page's own.

    Returns:
        A script that sets one global name to the data. A script and not JSON, because a page that was opened
        from a folder, without a server, may load scripts only.

    Raises:
        ValueError: a particle leaves the square, or a number has no place in 12 bits.

    Notes:
        The page's own grid takes a few seconds of one core.
    """
    grid, mixture = Sweep() if sweep is None else sweep, three_modes()
    data = {
        "settings": settings_of(grid, mixture),
        "side": SIDE,
        "half_width": HALF_WIDTH,
        "units": {"variance": VARIANCE_UNIT, "effective_particles": EFFECTIVE_UNIT},
        "fractions": [round(fraction, 3) for fraction in grid.fractions()],
        "steered": [grid.steered(cutoff) for cutoff in grid.cutoffs],
        "masses": MASSES,
        "contours": [contour_paths(mixture, alpha_bar) for alpha_bar in grid.alpha_bars()],
        "ensembles": {str(n): pack_ensemble(ways) for n, ways in explore(grid, mixture=mixture).items()},
    }
    return f"window.{NAME} = {json.dumps(data, separators=(',', ':'), allow_nan=False)};\n"


def more_file(sweep: Sweep | None = None) -> str:
    """Compute and pack what the page fetches when it is asked for: what KDS sees, and the wrong implementations.

    Returns:
        A script like that of `explorable_file`. For each N: "wrong", the ways of the wrong implementations, packed by
        `pack_ensemble`; and "seen", for the right and the wrong ways, the clean points and where a full shift takes
        them, by `pack_seen`. A wrong implementation may throw particles out of the square: they are put on its edge.
    """
    grid = Sweep() if sweep is None else sweep
    right, wrong = explore(grid), explore_mistakes(grid, strength=MISTAKEN_STRENGTH)
    data = {
        "mistakes": list(MISTAKES),
        "strength": MISTAKEN_STRENGTH,
        "wrong": {str(n): pack_ensemble([_inside(way) for way in ways]) for n, ways in wrong.items()},
        "seen": {
            str(n): {"right": pack_seen(right[n]), "wrong": pack_seen([_inside(way) for way in wrong[n]])}
            for n in grid.n_particles
        },
    }
    return f"window.{NAME}More = {json.dumps(data, separators=(',', ':'), allow_nan=False)};\n"


def _inside(way: Ways) -> Ways:
    x, clean, shifted = (np.clip(points, -HALF_WIDTH, HALF_WIDTH) for points in (way.x, way.clean, way.shifted))
    variance = np.minimum(way.variance, (SIDE - 1) * VARIANCE_UNIT)
    return replace(way, x=x, clean=clean, shifted=shifted, variance=variance)


def pack_seen(ways: list[Ways]) -> dict[str, str]:
    """Pack the clean points and their full shifts: pictures of N times (x, y) to (x, y), and the index (M, B, F)."""
    pictures: dict[bytes, int] = {}
    index = []
    for way, b, f in _each(ways):
        codes = np.concatenate([place(way.clean[f, b]), place(way.shifted[f, b])], axis=-1)
        index.append(pictures.setdefault(codes.tobytes(), len(pictures)))
    stored = np.frombuffer(b"".join(pictures), dtype=np.int64)
    return {"pictures": letters(stored), "index": long_letters(np.asarray(index))}


def long_letters(codes: Codes) -> str:
    """Whole numbers in [0, 2^24) as four letters each, the higher twelve bits first."""
    return letters(np.stack([codes // SIDE, codes % SIDE], axis=-1))


def pack_ensemble(ways: list[Ways]) -> dict[str, str]:
    """Pack all runs of one N, DDIM first.

    Args:
        ways: M methods with B bandwidths, F pictures and N particles each.

    Returns:
        pictures: the different pictures, each N pairs (x, y); index: the number of the picture, (M, B, F);
        variance and effective_particles, (M, B, F), in their units; counts, (M, B, K). All as letters.
    """
    pictures: dict[bytes, int] = {}
    index = []
    for way, b, f in _each(ways):
        codes = place(way.x[f, b])
        index.append(pictures.setdefault(codes.tobytes(), len(pictures)))
    stored = np.frombuffer(b"".join(pictures), dtype=np.int64)
    effective = [way.effective_particles[f, b] for way, b, f in _each(ways)]
    variance = [way.variance[f, b] for way, b, f in _each(ways)]
    return {
        "pictures": letters(stored),
        "index": letters(np.asarray(index)),
        "variance": letters(_units(np.asarray(variance), VARIANCE_UNIT)),
        "effective_particles": letters(_units(np.asarray(effective), EFFECTIVE_UNIT)),
        "counts": letters(np.concatenate([way.counts.ravel() for way in ways])),
    }


def _each(ways: list[Ways]) -> list[tuple[Ways, int, int]]:
    """Every run's pictures in the order (M, B, F)."""
    return [(way, b, f) for way in ways for b, f in product(range(way.x.shape[1]), range(way.x.shape[0]))]


def _units(values: Array, unit: float) -> Codes:
    return np.rint(values / unit).astype(np.int64)


def place(x: Array) -> Codes:
    """Return the points (..., 2) of the plane as whole numbers on the square, y pointing down.

    Raises:
        ValueError: a point lies outside the square.

    Example:
        >>> import numpy as np
        >>> place(np.array([[-3.0, 3.0], [3.0, -3.0]])).tolist()
        [[0, 0], [4095, 4095]]
    """
    if not (np.abs(x) <= HALF_WIDTH).all():
        raise ValueError(f"x must lie within +-{HALF_WIDTH}, got {float(np.abs(x).max()):g}; enlarge HALF_WIDTH")
    return np.rint((x * (1, -1) + HALF_WIDTH) * ((SIDE - 1) / (2 * HALF_WIDTH))).astype(np.int64)


def letters(codes: Codes) -> str:
    """Return whole numbers in [0, 4095] as text, two letters of base64 each, the higher six bits first.

    Raises:
        ValueError: a number has no place in 12 bits.

    Example:
        >>> import numpy as np
        >>> letters(np.array([0, 1, 4095]))
        'AAAB//'
    """
    flat = np.asarray(codes, dtype=np.int64).ravel()
    if flat.size and (int(flat.min()) < 0 or int(flat.max()) >= SIDE):
        raise ValueError(f"codes must lie in [0, {SIDE - 1}], got {int(flat.min())} to {int(flat.max())}")
    pairs = np.pad(flat, (0, flat.size % 2)).reshape(-1, 2)  # three bytes hold two numbers
    three = np.stack([pairs[:, 0] >> 4, (pairs[:, 0] & 15) << 4 | pairs[:, 1] >> 8, pairs[:, 1] & 255], axis=1)
    return base64.b64encode(three.astype(np.uint8).tobytes()).decode("ascii")[: 2 * flat.size]


def contour_paths(mixture: GaussianMixture, alpha_bar: float) -> list[str]:
    """Return the contours of the noised density as paths of SVG, one for each of `MASSES`, outermost first.

    Args:
        mixture: the target, two-dimensional.
        alpha_bar: noise level in [0, 1].

    Returns:
        The outlines, closed; filled with the even-odd rule they are the regions that hold these masses.
    """
    ticks = np.linspace(-HALF_WIDTH, HALF_WIDTH, GRID_POINTS)
    density = mixture.density(np.stack(np.meshgrid(ticks, ticks), axis=-1), alpha_bar=alpha_bar)
    drawn = Figure().subplots().contour(ticks, ticks, density, levels=contour_levels(density))
    return [
        "".join(_outline(place(np.asarray(p))) for p in path.to_polygons(closed_only=False))
        for path in drawn.get_paths()
    ]


def _outline(points: Codes) -> str:
    """One closed outline in relative coordinates, with no more points than its shape needs."""
    kept = simplified(points[:-1])
    steps = np.diff(kept, axis=0)
    return f"M{kept[0][0]} {kept[0][1]}l{_numbers(steps.ravel())}z"


def simplified(points: Codes) -> Codes:
    """Leave out points of a line from which no point is further away than `TOLERANCE` (Douglas and Peucker, 1973).

    Example:
        >>> import numpy as np
        >>> simplified(np.array([[0, 0], [50, 2], [100, 0], [100, 80]])).tolist()
        [[0, 0], [100, 0], [100, 80]]
    """
    if len(points) < 3:
        return points
    start, along = points[0], points[-1] - points[0]
    length = max(float(along @ along), 1.0)
    part = np.clip((points - start) @ along / length, 0.0, 1.0)
    away = np.linalg.norm(points - start - part[:, None] * along, axis=1)
    furthest = int(away.argmax())
    if away[furthest] <= TOLERANCE:
        return points[[0, -1]]
    return np.concatenate([simplified(points[: furthest + 1])[:-1], simplified(points[furthest:])])


def _numbers(values: Codes) -> str:
    return "".join(f"{value}" if value < 0 else f" {value}" for value in values.tolist()).strip()
