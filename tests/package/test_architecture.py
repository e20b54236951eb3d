"""Who may import what: kds_ref is pure maths, toy and real use it but never each other, nothing uses them."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

CORE_MAY_IMPORT = frozenset(sys.stdlib_module_names) | {"numpy", "array_api_compat", "kds_ref"}


def imported_roots(source: str, package: str) -> Iterator[tuple[int, str]]:
    """(line, top-level name) of every import, inside functions and `if TYPE_CHECKING` too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.split(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, package if node.level else (node.module or "").split(".")[0]
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = ast.unparse(node.func)
            if name in {"__import__", "import_module", "importlib.import_module"}:
                yield node.lineno, str(node.args[0].value).split(".")[0] or package


def violations(source: str, package: str) -> list[str]:
    """One sentence for each import that `package` may not have."""
    found = []
    for line, name in imported_roots(source, package):
        if package == "kds_ref" and name not in CORE_MAY_IMPORT:
            found.append(f"line {line}: kds_ref is pure maths and may not import {name}")
        elif name in {"toy", "real"} and name != package:
            found.append(f"line {line}: nothing may import {name}, and {package} does")
    return found


@pytest.mark.parametrize("package", ["kds_ref", "toy", "real"])
def test_imports_follow_the_architecture(package: str, sources: dict[str, list[Path]]) -> None:
    wrong = {
        str(path): found
        for path in sources[package]
        if (found := violations(path.read_text(encoding="utf-8"), package))
    }
    assert not wrong


@pytest.mark.parametrize("package", ["toy", "real"])
def test_toy_and_real_are_built_on_kds_ref(package: str, sources: dict[str, list[Path]]) -> None:
    names = {name for path in sources[package] for _, name in imported_roots(path.read_text(encoding="utf-8"), package)}
    assert "kds_ref" in names


@pytest.mark.parametrize(
    ("source", "package"),
    [
        ("import torch", "kds_ref"),
        ("from scipy.special import logsumexp", "kds_ref"),
        ("def f():\n    import torch.nn as nn", "kds_ref"),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch", "kds_ref"),
        ("import importlib\nimportlib.import_module('torch')", "kds_ref"),
        ("import toy", "kds_ref"),
        ("from real.degradations.simple import degrade", "toy"),
        ("import toy.mixture", "real"),
    ],
)
def test_the_check_sees_a_forbidden_import(source: str, package: str) -> None:
    assert violations(source, package)


@pytest.mark.parametrize(
    ("source", "package"),
    [
        ("import math\nimport numpy as np\nfrom array_api_compat import array_namespace", "kds_ref"),
        ("from . import kernels\nfrom kds_ref.kernels import Kernel", "kds_ref"),
        ("import scipy\nimport kds_ref\nfrom toy.mixture import Mixture", "toy"),
        ("import torch\nfrom .degrade import degrade", "real"),
    ],
)
def test_the_check_lets_allowed_imports_pass(source: str, package: str) -> None:
    assert not violations(source, package)
