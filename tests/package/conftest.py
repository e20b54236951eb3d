"""What the package tests share: the repository's root and the files that the packages are made of."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

PACKAGES = ("kds_ref", "toy", "real")


@pytest.fixture(scope="session")
def root() -> Path:
    """The folder that holds pyproject.toml."""
    return Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def pyproject(root: Path) -> dict[str, Any]:
    """pyproject.toml, parsed."""
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def sources(root: Path) -> dict[str, list[Path]]:
    """Package name -> its Python files."""
    found = {name: sorted((root / name).rglob("*.py")) for name in PACKAGES}
    assert all(found.values()), f"a package has no Python files: { {k: len(v) for k, v in found.items()} }"
    return found
