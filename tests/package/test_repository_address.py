"""The repository's address is written in one place, and the page on installing follows it."""

import runpy
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "how-to" / "install.md").read_text(encoding="utf-8")
PUBLISHED = '[project]\nname = "x"\n[project.urls]\nRepository = "https://example.org/kds-ref"\n'


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    """What the script defines."""
    return runpy.run_path(str(ROOT / "docs" / "scripts" / "repository.py"))


def test_the_address_comes_from_pyproject(names: Any) -> None:
    assert names["address"](PUBLISHED) == "https://example.org/kds-ref"
    assert names["address"]('[project]\nname = "x"\n') is None


def test_the_page_has_the_command_once_the_address_is_known(names: Any) -> None:
    page = names["with_command"](PAGE, "https://example.org/kds-ref")
    assert 'pip install "kds-ref[real] @ git+https://example.org/kds-ref"' in page
    assert "<!-- repository -->" not in page
    assert "Whoever publishes" not in page


def test_without_an_address_the_page_says_who_gives_it(names: Any) -> None:
    page = names["with_command"](PAGE, None)
    assert "git+" not in page
    assert "[project.urls]" in page
