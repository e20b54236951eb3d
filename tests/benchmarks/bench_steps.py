"""How much detail plain samples have, by sampler and number of steps: the bundled model on a photo with its truth.

    python tests/benchmarks/bench_steps.py --output tests/benchmarks/results/steps.json

Detail is the variance of the latents around the mean of their 5x5 neighbours, as a share of the truth's. DDIM's steps
are Euler steps in the noise level, and these lose variance (`real.train.distil`); the bundled denoiser learned to make
up for it in 50 steps.
"""

from __future__ import annotations

import argparse
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from real import open_model
from real.degradations.simple import Degradation
from real.images.photos import sample_photo
from real.metrics.distortion import distortion
from real.models.codec import padded_condition
from real.restorers.latent import LatentSuperResolution
from real.settings import Settings

RUNS = (("ddim", 25), ("ddim", 50), ("ddim", 100), ("ddim", 200), ("dpmpp-2s", 50))


def detail(latents: torch.Tensor) -> float:
    """Mean square of what is left of latents (N, C, h, w) when the mean of their 5x5 neighbours is taken away."""
    mean = torch.nn.functional.avg_pool2d(latents, 5, stride=1, padding=2, count_include_pad=False)
    return float((latents - mean).square().mean())


def table(results: dict[str, Any]) -> str:
    """The table on the model's card."""
    lines = ["| plain sampler | evaluations | detail, share of the truth's | PSNR RGB |", "|---|---|---|---|"]
    for row in results["rows"]:
        lines.append(f"| {row['sampler']} | {row['steps']} | {row['detail']:.2f} | {row['psnr_rgb']:.2f} |")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="JSON to write")
    parser.add_argument("--particles", type=int, default=5, help="default %(default)s")
    options = parser.parse_args(argv)
    model = open_model(device="cpu", dtype="float32")
    truth = np.ascontiguousarray(sample_photo()[32:224, 64:256])
    restorer = LatentSuperResolution(Degradation()(truth, np.random.default_rng(0)), model)
    with torch.no_grad():
        whole = detail(model.vqvae.encode(padded_condition(truth, model)).latents)
    rows: list[dict[str, Any]] = []
    for sampler, steps in RUNS:
        settings = Settings(particles=options.particles, sampler=sampler, steps=steps)
        drawn = restorer.draw(settings, steered=False, which="all")
        psnr = float(np.mean([distortion(image, truth)["psnr_rgb"] for image in drawn.images]))
        share = detail(drawn.particles.latents) / whole
        rows.append({"sampler": sampler, "steps": steps, "detail": round(share, 3), "psnr_rgb": round(psnr, 2)})
        print(rows[-1], flush=True)
    results = {
        "command": f"python tests/benchmarks/bench_steps.py --particles {options.particles} "
        "--output tests/benchmarks/results/steps.json",
        "versions": {name: version(name) for name in ("kds-ref", "torch", "diffusers")},
        "particles": options.particles,
        "rows": rows,
    }
    print(table(results))
    if options.output:
        options.output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
