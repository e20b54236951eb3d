"""The page with the tiny models, served on this machine."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"


@pytest.fixture(scope="session")
def tiny_models(tiny_folder: Path, hole_filler_folder: Path) -> Callable[[str], Any]:
    """Task -> its tiny model."""
    from real.app.__main__ import opener

    return opener({"sr": str(tiny_folder), "inpaint": str(hole_filler_folder)}, device="cpu", dtype="float32")


@pytest.fixture(scope="session")
def page_address(tiny_models: Callable[[str], Any]) -> Iterator[str]:
    """Where the page is served; ends with a slash."""
    pytest.importorskip("gradio", reason="comes with the extra app")
    from real.app.server import serve

    page = serve(tiny_models, host="127.0.0.1", port=None, block=False)
    yield page.local_url
    page.close()
