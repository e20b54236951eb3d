"""Numbers that are not finite, such as the PSNR of a picture without error: which photos a mean can be taken over.

A mean with an infinite value says nothing, and leaving the value out of one line alone would compare lines over
different photos. So a photo that has no finite number in some line is left out of that metric in every line, by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["finite_photos", "not_finite"]

Values = Mapping[str, Mapping[str, np.ndarray]]  # line -> metric -> one number per photo; None is NaN


def finite_photos(values: Values) -> dict[str, np.ndarray]:
    """Photos at which all lines that have a metric are finite, bool (photos,), by metric."""
    kept: dict[str, np.ndarray] = {}
    for of_line in values.values():
        for metric, numbers in of_line.items():
            kept[metric] = kept.get(metric, True) & np.isfinite(numbers)
    return kept


def not_finite(values: Values, photos: Sequence[str]) -> list[dict[str, Any]]:
    """The numbers that are not finite by name: photo, metric, and the lines that have it."""
    found: dict[tuple[str, str], list[str]] = {}
    for line, of_line in values.items():
        for metric, numbers in of_line.items():
            for index in np.flatnonzero(~np.isfinite(numbers)):
                found.setdefault((photos[int(index)], metric), []).append(line)
    return [{"photo": photo, "metric": metric, "lines": lines} for (photo, metric), lines in sorted(found.items())]
