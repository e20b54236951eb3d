"""What steering asks of a GPU, counted without one: launches, bytes and waits of a step, by tests/support/fake_cuda.py.

    python tests/benchmarks/bench_launches.py --output tests/benchmarks/results/launches.json

Latents are in float16. A wait is a place where the program stops until the GPU has an answer.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler

from kds_ref import select_particle, steer
from real.plugin import steer_scheduler

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from fake_cuda import Counts, FakeCuda

SHAPES = {
    "N = 10, 64x64x4": (10, 4, 64, 64),
    "N = 50, 64x64x4": (50, 4, 64, 64),
    "N = 10, 128x128x16": (10, 16, 128, 128),
    "8 photos, N = 10, 64x64x4": (8, 10, 4, 64, 64),
}
OPTIONS: dict[str, dict[str, Any]] = {
    **{f"kernel {name}": {"kernel": name} for name in ("laplacian", "epanechnikov", "flat", "l2")},
    **{f"bandwidth {name}": {"bandwidth": name} for name in ("median", "scott", "silverman", "likelihood")},
    "patches of 2 x 2": {"patch_size": 2},
    "patches of 4 x 4, overlapping": {"patch_size": 4, "stride": 2},
}
SCHEDULERS = {
    "DDIM": lambda: DDIMScheduler(clip_sample=False),
    "DPM-Solver++ 2M": DPMSolverMultistepScheduler,
    "Euler": EulerDiscreteScheduler,
}


def counted(fake: FakeCuda, work: Callable[[], object]) -> Counts:
    with fake.count() as counts:
        work()
    return counts


def row(what: str, counts: Counts, plain: Counts | None = None) -> dict[str, Any]:
    known = plain or Counts()
    return {
        "what": what,
        "launches": counts.launches.total() - known.launches.total(),
        "megabytes": round((counts.bytes - known.bytes) / 1e6, 1),
        "waits": counts.waits.total() - known.waits.total(),
    }


def of_steer(fake: FakeCuda) -> list[dict[str, Any]]:
    rows = []
    for name, shape in SHAPES.items():
        x = fake.upload(torch.empty(shape, dtype=torch.float16, device="meta"))
        rows.append(row(f"`steer`, {name}", counted(fake, lambda x=x: steer(x))))
        if name == next(iter(SHAPES)):
            rows += [row(f"... {what}", counted(fake, lambda x=x, o=o: steer(x, **o))) for what, o in OPTIONS.items()]
            rows.append(row("`select_particle`, the same", counted(fake, lambda x=x: select_particle(x))))
    return rows


def of_schedulers(fake: FakeCuda) -> list[dict[str, Any]]:
    """What steering adds to a step in the middle of a run, with timesteps on the GPU, as pipelines set them."""
    return [
        row(f"a step of {name}, steered less plain", *(_middle(fake, make, steered) for steered in (True, False)))
        for name, make in SCHEDULERS.items()
    ]


def _middle(fake: FakeCuda, make: Callable[[], Any], steered: bool) -> Counts:
    scheduler = steer_scheduler(make(), num_particles=10) if steered else make()
    scheduler.set_timesteps(8, device="cuda")
    x = fake.upload(torch.zeros(10, 4, 64, 64, dtype=torch.float16))
    for t in scheduler.timesteps[:4]:
        scheduler.scale_model_input(x, t)
        last = counted(fake, lambda t=t: scheduler.step(x, t, x))
    return last


def table(results: dict[str, Any]) -> str:
    """The table on the docs page."""
    lines = ["| float16 | launches | MB read and written | waits |", "|---|---|---|---|"]
    lines += [f"| {r['what']} | {r['launches']} | {r['megabytes']:.1f} | {r['waits']} |" for r in results["rows"]]
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="JSON to write")
    options = parser.parse_args(argv)
    with FakeCuda() as fake, torch.no_grad():
        rows = of_steer(fake) + of_schedulers(fake)
    results = {
        "command": "python tests/benchmarks/bench_launches.py --output tests/benchmarks/results/launches.json",
        "versions": {name: version(name) for name in ("kds-ref", "torch", "diffusers")},
        "rows": rows,
    }
    print(table(results))
    if options.output:
        options.output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
