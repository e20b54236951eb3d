"""What KDS costs beside the model: N steered particles against N independent ones, and the memory of many particles.

    python tests/benchmarks/bench_cost.py --output tests/benchmarks/results/cost_cpu.json

The bundled model, DDIM with 50 steps. Steered and plain ensembles of the same noise are drawn in turn. Two numbers say
what steering adds: the difference of the two times, which carries the noise of both, and the time that is spent inside
the steering and the choice, measured in the steered runs themselves.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

import real.sampling
from kds_ref import KernelDensitySteering
from real import open_model
from real.degradations.simple import Degradation
from real.images.photos import sample_photo
from real.models.codec import padded_condition
from real.models.latent import LatentModel
from real.sampling import sample
from real.settings import Settings

SIDES = (32, 48)  # of the latents; photos of 128 and 192 pixels
MEMORY = ((8, 8), (64, 8), (64, 64))  # N, most particles in the network at once


class Stopwatch:
    """Adds up the time inside the functions that it wraps."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **options: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                self.seconds += time.perf_counter() - start

        return timed


def condition_of(model: LatentModel, side: int) -> torch.Tensor:
    """A low-resolution photo of that side, from the sample photo."""
    low = Degradation()(sample_photo(), np.random.default_rng(0))
    return padded_condition(np.ascontiguousarray(low[:side, :side]), model)


def cost(model: LatentModel, side: int, settings: Settings, repeats: int) -> dict[str, float]:
    """Median seconds of plain and steered ensembles, drawn in turn, and of the steering inside the latter."""
    condition = condition_of(model, side)
    sample(model, condition, replace(settings, steps=2))  # what a first call loads is not the method's time
    watch, call, choose = Stopwatch(), KernelDensitySteering.__call__, real.sampling.select_particle
    plain, steered, inside = [], [], []
    for _ in range(repeats):
        start = time.perf_counter()
        sample(model, condition, settings, steered=False)
        plain.append(time.perf_counter() - start)
        watch.seconds = 0.0
        KernelDensitySteering.__call__ = watch.around(call)  # type: ignore[method-assign]
        real.sampling.select_particle = watch.around(choose)
        try:
            start = time.perf_counter()
            sample(model, condition, settings)
            steered.append(time.perf_counter() - start)
        finally:
            KernelDensitySteering.__call__ = call  # type: ignore[method-assign]
            real.sampling.select_particle = choose
        inside.append(watch.seconds / steered[-1])
    medians = {"plain_s": statistics.median(plain), "steered_s": statistics.median(steered)}
    share = 100 * statistics.median(inside)
    ratio = 100 * (statistics.median(s / p for s, p in zip(steered, plain, strict=True)) - 1)
    return {**{k: round(v, 3) for k, v in medians.items()}, "inside_percent": round(share, 3), "more": round(ratio, 2)}


def peak_mib(particles: int, max_batch: int) -> float:
    """Highest resident memory of a process of its own that draws the ensemble, less what the model itself takes."""
    command = [sys.executable, __file__, "--memory", str(particles), str(max_batch)]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    return round(float(done.stdout.split()[-1]), 1)


def _memory(particles: int, max_batch: int) -> None:
    model = open_model(max_batch=max_batch, device="cpu", dtype="float32")
    condition = condition_of(model, 32)
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the highest so far becomes the present
    sample(model, condition, Settings(particles=particles, steps=3))
    print((_status("VmHWM") - before) / 1024)


def _status(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key))  # KiB


def table(results: dict[str, Any]) -> str:
    """The table of times on the docs page."""
    lines = ["| latents | plain | steered | difference | inside steering and choice |", "|---|---|---|---|---|"]
    for case, row in results["cost"].items():
        times = f"{row['plain_s']:.2f} s | {row['steered_s']:.2f} s | {row['more']:+.2f} %"
        lines.append(f"| {case} | {times} | {row['inside_percent']:.2f} % |")
    return "\n".join(lines)


def memory_table(results: dict[str, Any]) -> str:
    """The table of memory on the docs page."""
    lines = ["| particles | in the network at once | peak memory |", "|---|---|---|"]
    lines += [f"| {row['particles']} | {row['max_batch']} | {row['mib']:.0f} MiB |" for row in results["memory"]]
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="JSON to write")
    parser.add_argument("--repeats", type=int, default=3, help="pairs of ensembles (default %(default)s)")
    parser.add_argument("--memory", nargs=2, type=int, metavar=("N", "BATCH"), help="print one peak only")
    options = parser.parse_args(argv)
    if options.memory:
        _memory(*options.memory)
        return
    model, settings = open_model(device="cpu", dtype="float32"), Settings()
    cpu = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    results: dict[str, Any] = {
        "command": "python tests/benchmarks/bench_cost.py "
        f"--repeats {options.repeats} --output tests/benchmarks/results/cost_cpu.json",
        "cpu": cpu[0].split(":")[1].strip() if cpu else platform.machine(),
        "threads": torch.get_num_threads(),
        "versions": {name: version(name) for name in ("kds-ref", "numpy", "torch", "diffusers")},
        "settings": {"particles": settings.particles, "steps": settings.steps, "sampler": settings.sampler},
        "cost": {},
    }
    for side in SIDES:
        case = f"N = {settings.particles}, {side}x{side}x3"
        results["cost"][case] = cost(model, side, settings, options.repeats)
        print(case, results["cost"][case], flush=True)
    results["memory"] = [{"particles": n, "max_batch": batch, "mib": peak_mib(n, batch)} for n, batch in MEMORY]
    print(table(results), memory_table(results), sep="\n\n")
    if options.output:
        options.output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
