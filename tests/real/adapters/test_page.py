"""The page's examples run as they are printed, in the libraries that they are for."""

import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).resolve().parents[3] / "docs" / "how-to" / "denoisers.md"
# Blocks that run everywhere are ```python; these need a library, which the fixture of that name loads.
FENCE = re.compile(r"^```py\n(.*?^from real\.adapters\.(\w+).*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = FENCE.findall(PAGE.read_text(encoding="utf-8"))
FIXTURES = {"deepinv": "deepinv", "smalldiffusion": "smalldiffusion", "k_diffusion": "k_diffusion_sampling"}


def test_every_library_has_an_example() -> None:
    assert [library for _, library in BLOCKS] == list(FIXTURES)
    assert PAGE.read_text(encoding="utf-8").count("```py\n") == len(BLOCKS)


@pytest.mark.parametrize(("code", "library"), BLOCKS, ids=[library for _, library in BLOCKS])
def test_an_example_runs(code: str, library: str, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(FIXTURES[library])
    names: dict[str, Any] = {"__name__": "page"}
    exec(compile(code, library, "exec"), names)  # it compares the spread itself
    assert names["chosen"].shape == names["plain"].shape[1:]
    assert names["chosen"].isfinite().all()
