"""The repository's address is written in one place, and the page on installing follows it."""

import runpy
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "how-to" / "install.md").read_text(encoding="utf-8")
PUBLISHED = '[project]\nname = "x"\n[project.urls]\nRepository = "https://example.org/kds-ref"\n'


@pytest.fixture(scope="module")
def hook() -> dict[str, Any]:
    """The names that the hook defines."""
    return runpy.run_path(str(ROOT / "docs" / "hooks" / "repository.py"))


def test_the_address_comes_from_pyproject(hook: Any) -> None:
    assert hook["address"](PUBLISHED) == "https://example.org/kds-ref"
    assert hook["address"]('[project]\nname = "x"\n') is None


def test_the_page_has_the_command_once_the_address_is_known(hook: Any) -> None:
    page = hook["with_command"](PAGE, "https://example.org/kds-ref")
    assert 'pip install "kds-ref[real] @ git+https://example.org/kds-ref"' in page
    assert "<!-- repository -->" not in page
    assert "Whoever publishes" not in page


def test_without_an_address_the_page_says_who_gives_it(hook: Any) -> None:
    page = hook["with_command"](PAGE, None)
    assert "git+" not in page
    assert "[project.urls]" in page
