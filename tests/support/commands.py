"""The command line as the tests run it, and the pictures that it writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from real.__main__ import main


def run(*arguments: object) -> int:
    """`python -m real ARGUMENTS`; the exit status."""
    try:
        return main([str(a) for a in arguments])
    except SystemExit as leaving:
        return int(leaving.code or 0)


def pixels(path: Path) -> np.ndarray:
    """A picture as it lies on the disk."""
    with Image.open(path) as image:
        return np.asarray(image)
