"""The figure of the inpainting model's card: where the truth ranks among plain samples inside a hole.

    python docs/figures/ranks_inpainting.py

writes docs/assets/ranks_inpainting.png from real/weights/inpainting/evaluation.json; its numbers lie in the picture
itself, where a test compares them.
"""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

FIGURE: dict[str, Any] = runpy.run_path(str(Path(__file__).with_name("ranks.py")))
PICTURE = FIGURE["PICTURE"].with_name("ranks_inpainting.png")
NAMES = {"box-4": "boxes of 4%", "box-8": "boxes of 8%", "box-30": "boxes of 30%"}
draw = FIGURE["draw"]


def numbers() -> dict[str, dict[str, list[int]]]:
    """Kind of hole -> sampler -> how often the truth has each rank, for single latent pixels."""
    report = json.loads((FIGURE["WEIGHTS"] / "inpainting" / "evaluation.json").read_text(encoding="utf-8"))
    return {
        NAMES.get(kind, kind): {sampler: of["ranks"]["1"] for sampler, of in found["calibration"].items()}
        for kind, found in report["quality"]["holes"].items()
    }


if __name__ == "__main__":
    FIGURE["save"](numbers(), PICTURE)
