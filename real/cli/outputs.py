"""What `sr` and `inpaint` write beside the restored photo: the map of disagreement, and what else could be used."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from real.alternatives.named import versions
from real.cli.run import say
from real.images.disagreement import save_spread, spread_map
from real.images.photos import save_png
from real.restorers.base import Restoration, Restorer, decode_all
from real.restorers.compare import Comparison
from real.restorers.pipeline import BlackedOutError

__all__ = ["run_alternatives", "spread_of", "write_extras", "written"]

SPREAD = "spread.png"


def run_alternatives(alternatives: Mapping[str, Callable[[], np.ndarray]]) -> dict[str, np.ndarray]:
    """Run each, by name, and say how long it took: that is part of the comparison."""
    images = {}
    for name, run in alternatives.items():
        started = time.perf_counter()
        images[name] = run()
        say(f"{name}: {time.perf_counter() - started:.1f} s")
    return images


def spread_of(restorer: Restorer, result: Restoration | Comparison) -> dict[str, np.ndarray]:
    """Map of where the particles disagree, as in `Comparison.spread`; those of a restoration are decoded for it."""
    if isinstance(result, Comparison):
        return result.spread
    if len(result.particles.latents) < 2:
        return {}
    try:
        return {"kds": spread_map(decode_all(restorer, result.particles))}
    except BlackedOutError:  # another particle than the chosen one: there is a result, and no map
        return {}


def write_extras(
    folder: Path, restorer: Restorer, result: Restoration | Comparison, others: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """Write spread.png of the steered particles, if there is a map, and NAME.png of every alternative.

    Returns:
        What result.json says of them. `spread`, in grey levels of 255: `largest`, what the lightest colour means,
        `mean`, the root of the mean variance, and where it is known `mean_without_kds`; None if there is no map.
        `alternatives`, if there are any: the packages that each depends on.
    """
    spread = spread_of(restorer, result)
    record: dict[str, Any] = {"spread": None}
    if "kds" in spread:
        numbers = save_spread(folder / SPREAD, spread["kds"])
        if "ddim" in spread:
            numbers["mean_without_kds"] = float(np.sqrt(np.square(spread["ddim"]).mean()))
        record["spread"] = {name: round(value, 4) for name, value in numbers.items()}
    else:  # one of an earlier run would be taken for this one's
        (folder / SPREAD).unlink(missing_ok=True)

    for name, image in others.items():
        save_png(folder / f"{name}.png", image)
    return record | ({"alternatives": {name: versions(name) for name in others}} if others else {})


def written(folder: Path, record: Mapping[str, Any], started: float) -> str:
    """The last line for the terminal: what was written, and how long all of it took."""
    spread = record["spread"]
    maps = "" if spread is None else f"{SPREAD} (light: the particles differ by {spread['largest']:.0f} of 255), "
    seconds = time.perf_counter() - started
    return f"{folder / 'restored.png'}, comparison.png, {maps}and result.json written in {seconds:.0f} s"
