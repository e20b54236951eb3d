"""pyproject.toml, constraints.txt, CITATION.cff and LICENSE agree with each other and with the code."""

import ast
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import kds_ref

PROJECT = "kds-ref"
# where the name that one imports is not the name that one installs
DISTRIBUTION = {
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}


def requirements(pyproject: dict[str, Any], *extras: str) -> dict[str, Requirement]:
    """Direct requirements of the core and of `extras`, by distribution; references to own extras followed."""
    project = pyproject["project"]
    found: dict[str, Requirement] = {}
    queue = [
        *project["dependencies"],
        *(line for e in extras for line in project["optional-dependencies"][e]),
    ]
    for requirement in map(Requirement, queue):
        if requirement.name == PROJECT:
            found |= requirements(pyproject, *requirement.extras)
        else:
            found[canonicalize_name(requirement.name)] = requirement
    return found


@pytest.fixture(scope="module")
def constraints(root: Path) -> dict[str, Requirement]:
    """constraints.txt by distribution."""
    text = (root / "constraints.txt").read_text(encoding="utf-8")
    lines = [stripped for line in text.splitlines() if (stripped := line.split("#")[0].strip())]
    return {canonicalize_name(r.name): r for r in map(Requirement, lines)}


def test_the_core_needs_numpy_and_array_api_compat_only(pyproject: dict[str, Any]) -> None:
    assert set(requirements(pyproject)) == {"numpy", "array-api-compat"}


def test_the_test_extra_holds_what_toy_and_real_need(pyproject: dict[str, Any]) -> None:
    assert set(requirements(pyproject, "toy", "real")) <= set(requirements(pyproject, "test"))


def test_every_direct_dependency_has_one_tested_version(
    pyproject: dict[str, Any], constraints: dict[str, Requirement]
) -> None:
    direct = requirements(pyproject, *pyproject["project"]["optional-dependencies"])
    assert set(direct) - set(constraints) == set()
    for name, pin in constraints.items():
        (specifier,) = pin.specifier
        assert specifier.operator == "==", f"{name} must be pinned"
        if name in direct:
            assert specifier.version in direct[name].specifier, f"{name}: the tested version is out of range"


def test_ranges_are_open(pyproject: dict[str, Any]) -> None:
    for name, requirement in requirements(pyproject, *pyproject["project"]["optional-dependencies"]).items():
        operators = {specifier.operator for specifier in requirement.specifier}
        assert ">=" in operators, f"{name} needs a lower bound"
        assert operators <= ({">=", "<"} if name == "mkdocs" else {">="}), f"{name} is capped without need"


@pytest.mark.parametrize(
    ("package", "extras"),
    [
        ("kds_ref", ()),
        ("toy", ("toy",)),
        (
            "real",
            (
                *("real", "perceptual", "judge", "metrics", "pipelines", "cleaner", "priors", "adapters"),
                *("alternatives", "app"),
            ),
        ),
    ],
)
def test_what_a_package_imports_is_in_its_extra(
    package: str, extras: tuple[str, ...], sources: dict[str, list[Path]], pyproject: dict[str, Any]
) -> None:
    imported = set()
    for path in sources[package]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                imported.add(node.module.split(".")[0])
    third_party = imported - set(sys.stdlib_module_names) - {"kds_ref", package}
    assert third_party, "the scan found nothing"
    needed = {canonicalize_name(DISTRIBUTION.get(name, name)) for name in third_party}
    assert needed <= set(requirements(pyproject, *extras))


def test_the_version_is_said_once(root: Path, pyproject: dict[str, Any]) -> None:
    citation = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))
    assert kds_ref.__version__ == str(citation["version"])
    assert pyproject["project"]["dynamic"] == ["version"]
    assert pyproject["tool"]["hatch"]["version"]["path"] == "kds_ref/__init__.py"


def test_the_citation_names_the_software_and_the_paper(root: Path) -> None:
    citation = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors", "version", "license", "type"} <= set(citation)
    assert citation["license"] == "Apache-2.0"
    assert citation["type"] == "software"
    paper = citation["preferred-citation"]
    assert paper["title"].startswith("Kernel Density Steering: Inference-Time Scaling via Mode Seeking")
    surnames = [author["family-names"] for author in paper["authors"]]
    assert surnames == ["Hu", "Mei", "Sahraee-Ardakan", "Kamilov", "Milanfar", "Delbracio"]
    assert paper["year"] == 2025
    assert "2507.05604" in paper["url"]


def test_the_licence_is_the_whole_apache_text(root: Path, pyproject: dict[str, Any]) -> None:
    text = (root / "LICENSE").read_text(encoding="utf-8")
    assert re.search(r"Apache License\s+Version 2\.0, January 2004", text)
    assert "END OF TERMS AND CONDITIONS" in text
    assert pyproject["project"]["license"] == "Apache-2.0"


def test_the_core_says_that_it_is_typed(root: Path) -> None:
    assert (root / "kds_ref" / "py.typed").is_file()
