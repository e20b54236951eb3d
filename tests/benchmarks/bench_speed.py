"""Speed and memory: `steer` against the direct broadcast formula, densities against scipy, and the import.

    python -m pytest tests/benchmarks/bench_speed.py              pytest-benchmark's table, not part of plain pytest
    python tests/benchmarks/bench_speed.py --output results.json    all numbers of docs/explanation/performance.md

One thread. Times are the least of many calls, of ours and theirs in turn, so that both see the same machine.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import os
import platform
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kds_ref import log_density, steer

# name: (particles, channels, height and width of the latent)
CASES = {"N = 10, 64x64x8": (10, 8, 64), "N = 50, 64x64x4": (50, 4, 64), "N = 500, 64x64x4": (500, 4, 64)}


def latents(case: str, library: str) -> Any:
    """Float32 latents whose spread is that of the paper's bandwidth."""
    n, channels, side = CASES[case]
    values = 0.3 * np.random.default_rng(0).standard_normal((n, channels, side, side), dtype=np.float32)
    return values if library == "numpy" else importlib.import_module("torch").from_numpy(values)


def broadcast(x: Any, bandwidth: float = 0.3, strength: float = 0.3) -> Any:
    """KDS Eq. 7 and 8 (v1) as one would first write them in torch: the differences of all pairs in one tensor."""
    n, channels = x.shape[:2]
    p = x.reshape(n, channels, -1).permute(2, 0, 1)  # (L, N, C)
    difference = p[:, None] - p[:, :, None]  # (L, N, N, C)
    weights = (-(difference * difference).sum(-1) / (2 * bandwidth**2)).softmax(-1)
    shift = (weights[..., None] * difference).sum(2)
    return x + strength * shift.permute(1, 2, 0).reshape(x.shape)


def peak_memory(case: str, library: str) -> dict[str, float]:
    """Peak of what one `steer` allocates beyond its input, result included, in multiples of the input."""
    x = latents(case, library)
    steer(x[..., :16, :16])  # the code that a first call loads is not the method's memory
    if library == "numpy":
        tracemalloc.start()
        steer(x)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    else:
        peak = _resident_peak(lambda: steer(x))
    return {"input_mib": x.nbytes / 2**20, "peak_mib": peak / 2**20, "peak_per_input": peak / x.nbytes}


def _resident_peak(call: Any) -> int:
    """Growth of the process's highest resident memory; torch's allocations are not Python's."""
    before = _resident()
    with open("/proc/self/clear_refs", "w") as file:  # the highest so far becomes the present
        file.write("5")
    call()
    return _status("VmHWM") - before


def _resident() -> int:
    return _status("VmRSS")


def _status(key: str) -> int:
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(key))


# name: (particles, queries, dimensions)
DENSITIES = {"1000 x 2000, D = 2": (1000, 2000, 2), "1000 x 2000, D = 8": (1000, 2000, 8)}
IMPORT = "import time, numpy; t = time.perf_counter(); import kds_ref; print(time.perf_counter() - t)"


def density_pair(name: str) -> dict[str, Callable[[], Any]]:
    """Our log-density of the Gaussian kernel and scipy's functions with the same kernel, in float64."""
    n, m, d = DENSITIES[name]
    rng = np.random.default_rng(0)
    particles, query = rng.standard_normal((n, d)), rng.standard_normal((m, d))
    theirs = importlib.import_module("scipy.stats").gaussian_kde(particles.T, bw_method=0.3)
    return {
        "ours": lambda: log_density(query, particles, bandwidth=0.3),
        "scipy_logpdf": lambda: theirs.logpdf(query.T),
        "scipy_pdf": lambda: theirs.pdf(query.T),
    }


def steer_pair(case: str) -> dict[str, Callable[[], Any]]:
    """`steer` on both libraries and, while its tensors fit, the broadcast formula."""
    by_torch, by_numpy = latents(case, "torch"), latents(case, "numpy")
    calls = {"torch": lambda: steer(by_torch), "numpy": lambda: steer(by_numpy)}
    return calls if CASES[case][0] > 100 else {"broadcast": lambda: broadcast(by_torch), **calls}


def least_ms(calls: dict[str, Callable[[], Any]], seconds: float) -> dict[str, float]:
    """Least time of each call in milliseconds, taken in turn, at least twice."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    start = time.perf_counter()
    while len(next(iter(times.values()))) < 2 or time.perf_counter() - start < seconds:
        for name, call in calls.items():
            begin = time.perf_counter()
            call()
            times[name].append(1e3 * (time.perf_counter() - begin))
    return {name: round(min(values), 3) for name, values in times.items()}


def import_ms(repeats: int) -> float:
    """Median of what `import kds_ref` adds to `import numpy`, each in a process of its own."""
    done = [subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, check=True) for _ in range(repeats)]
    return round(1e3 * statistics.median(float(run.stdout) for run in done), 1)


def child_peak(case: str, library: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--memory", case, library]
    found: dict[str, float] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return {key: round(value, 2) for key, value in found.items()}


def table(results: dict[str, Any]) -> str:
    """The table of steering on the docs page."""
    lines = ["| latents | broadcast | torch | NumPy | torch against broadcast | extra memory: torch, NumPy |"]
    lines.append("|---|---|---|---|---|---|")
    for case, ms in results["steer_ms"].items():
        slow = ms.get("broadcast")
        shown = (f"{slow:.0f} ms", f"{slow / ms['torch']:.1f} times faster") if slow else ("not run: 16 GB", "")
        memory = [f"{results['memory'][case][library]['peak_per_input']:.1f}" for library in ("torch", "numpy")]
        times = f"{ms['torch']:.1f} ms | {ms['numpy']:.1f} ms"
        lines.append(f"| {case} | {shown[0]} | {times} | {shown[1]} | {memory[0]}, {memory[1]} inputs |")
    return "\n".join(lines)


def density_table(results: dict[str, Any]) -> str:
    """The table of densities on the docs page."""
    lines = ["| particles x queries | `log_density` | scipy `logpdf` | scipy `pdf` |", "|---|---|---|---|"]
    for name, ms in results["density_ms"].items():
        lines.append(f"| {name} | {ms['ours']:.1f} ms | {ms['scipy_logpdf']:.1f} ms | {ms['scipy_pdf']:.1f} ms |")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="JSON to write")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each line of times")
    parser.add_argument("--memory", nargs=2, metavar=("CASE", "LIBRARY"), help="print one call's peak memory only")
    options = parser.parse_args(argv)
    torch = importlib.import_module("torch")
    torch.set_num_threads(1)
    if options.memory:
        print(json.dumps(peak_memory(*options.memory)))
        return
    cpu = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    results = {
        "command": "OMP_NUM_THREADS=1 python tests/benchmarks/bench_speed.py "
        f"--seconds {options.seconds:g} --output tests/benchmarks/results/cpu.json",
        "cpu": cpu[0].split(":")[1].strip() if cpu else platform.machine(),
        "threads": {"torch": torch.get_num_threads(), "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS")},
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.import_module(name).__version__ for name in ("numpy", "torch", "scipy", "kds_ref")},
        },
        "import_ms": import_ms(11),
        "steer_ms": {case: least_ms(steer_pair(case), options.seconds) for case in CASES},
        "density_ms": {name: least_ms(density_pair(name), options.seconds / 2) for name in DENSITIES},
        "memory": {case: {lib: child_peak(case, lib) for lib in ("torch", "numpy")} for case in CASES},
    }
    print(table(results), density_table(results), f"import: {results['import_ms']} ms", sep="\n\n")
    if options.output:
        options.output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


# ---- pytest-benchmark


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    pytest.importorskip("torch").set_num_threads(1)
    gc.collect()


@pytest.mark.parametrize("case", [name for name in CASES if CASES[name][0] < 100])
@pytest.mark.parametrize("which", ["broadcast", "torch", "numpy"])
def test_steer(benchmark: Any, case: str, which: str) -> None:
    benchmark.group = case
    benchmark(steer_pair(case)[which])


@pytest.mark.parametrize("name", DENSITIES)
@pytest.mark.parametrize("which", ["ours", "scipy_logpdf", "scipy_pdf"])
def test_density(benchmark: Any, name: str, which: str) -> None:
    benchmark.group = name
    benchmark(density_pair(name)[which])


@pytest.mark.parametrize("case", [name for name in CASES if CASES[name][0] < 100])
def test_steer_is_eight_times_faster_than_broadcast(case: str) -> None:
    ms = least_ms(steer_pair(case), 4.0)
    assert ms["broadcast"] >= 8.0 * ms["torch"], ms


@pytest.mark.parametrize("name", DENSITIES)
def test_the_density_is_as_fast_as_scipys(name: str) -> None:
    ms = least_ms(density_pair(name), 2.0)
    assert ms["ours"] <= ms["scipy_logpdf"], ms


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_extra_memory_is_at_most_four_inputs(case: str, library: str) -> None:
    assert child_peak(case, library)["peak_per_input"] <= 4.0


if __name__ == "__main__":
    main()
