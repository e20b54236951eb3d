"""`import kds_ref` must stay light: NumPy and array-api-compat, nothing heavier."""

import json
import statistics
import subprocess
import sys

import pytest

HEAVY = {
    "torch",
    "scipy",
    "diffusers",
    "matplotlib",
    "skimage",
    "sklearn",
    "PIL",
    "transformers",
    "tqdm",
    "toy",
    "real",
}


def modules_after(statement: str) -> set[str]:
    """Top-level names in sys.modules of a new interpreter that ran `statement`."""
    code = f"{statement}\nimport json, sys\nprint(json.dumps([name.split('.')[0] for name in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    return set(json.loads(done.stdout))


def test_importing_the_core_loads_nothing_heavy() -> None:
    loaded = modules_after("import kds_ref")
    assert {"kds_ref", "numpy", "array_api_compat"} <= loaded
    assert not loaded & HEAVY


def test_the_check_sees_a_heavy_import() -> None:
    assert "scipy" in modules_after("import kds_ref, scipy")


def rooms_after(statement: str) -> set[str]:
    """Packages of `real` that a new interpreter has loaded after `statement`."""
    code = f"{statement}\nimport sys\nprint(*{{'.'.join(n.split('.')[:2]) for n in sys.modules if n[:5] == 'real.'}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    return set(done.stdout.split())


@pytest.mark.parametrize("command", ["sr", "inpaint"])
def test_restoring_a_photo_loads_no_study(command: str) -> None:
    pytest.importorskip("diffusers")
    loaded = rooms_after(f"import real.cli.{command}")
    assert "real.restorers" in loaded
    assert not loaded & {"real.bench", "real.train", "real.app"}


def added_seconds(statement: str) -> float:
    """What a statement takes after `import numpy`, in a process of its own: the median of five."""
    code = f"import time, numpy; start = time.perf_counter(); {statement}; print(time.perf_counter() - start)"
    command = [sys.executable, "-c", code]
    runs = [subprocess.run(command, capture_output=True, check=True, timeout=120) for _ in range(5)]
    return statistics.median(float(run.stdout) for run in runs)


def test_importing_the_core_is_quick() -> None:
    # 60 ms on an idle machine, measured in docs/explanation/performance.md; five times that on a busy one
    assert added_seconds("import kds_ref") < 0.3


def test_the_check_sees_a_slow_import() -> None:
    assert added_seconds("import time; time.sleep(0.3); import kds_ref") > 0.3
