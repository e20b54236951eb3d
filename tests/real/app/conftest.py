"""The page with the tiny models, served by its own command."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def tiny_models(tiny_folder: Path, hole_filler_folder: Path) -> Callable[[str], Any]:
    """Task -> its tiny model."""
    from real.app.__main__ import opener

    return opener({"sr": str(tiny_folder), "inpaint": str(hole_filler_folder)}, device="cpu", dtype="float32")


@pytest.fixture(scope="session")
def page_address(tiny_folder: Path, hole_filler_folder: Path) -> Iterator[str]:
    """Where the page is served; ends with a slash."""
    pytest.importorskip("gradio", reason="comes with the extra app")
    command = [sys.executable, "-m", "real", "app", "--device", "cpu", "--dtype", "float32"]
    command += ["--model", str(tiny_folder), "--inpainting-model", str(hole_filler_folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, env=environment, **pipes) as server:
        assert server.stdout is not None
        printed = []
        for line in server.stdout:
            printed.append(line)
            if found := re.search(r"The page is at (http://127\.0\.0\.1:\d+/) until", line):
                yield found.group(1)
                break
        else:
            pytest.fail("the page was not served: " + "".join(printed))
        server.send_signal(signal.SIGINT)
        rest = server.stdout.read()
    assert server.returncode in (0, 130), rest
    assert "Traceback" not in rest
