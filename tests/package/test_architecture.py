"""Who may import what: kds_ref is pure maths, toy and real use it but never each other, nothing uses them.

Inside `real` the rooms lie on floors, and imports go down.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# From the top of `real` down: a room imports from itself and from those after it.
ROOMS = (
    ("cli",),  # every __main__, too
    ("train", "priors", "app"),
    ("bench",),
    ("api",),  # with what `real` itself exports
    ("opening",),
    ("backbones",),
    ("restorers",),
    ("sampling", "records"),
    ("models",),
    ("settings",),
    ("plugin",),
    ("parallel",),
    ("degradations", "metrics", "alternatives"),
    ("images", "adapters"),
    ("errors",),
)
ELSEWHERE = {  # modules that do not lie in the folder of their room
    "real": "api",
    "real.__main__": "cli",
    "real.alternatives.__main__": "cli",
    "real.app.__main__": "cli",
    "real.backbones.__main__": "cli",
    "real.priors.__main__": "cli",
    "real.train.__main__": "cli",
    "real.train.parsers": "cli",
    "real.early_choice": "sampling",
}
NARROW = {  # rooms that may use fewer than all below them; the plug-in can be taken out and used alone
    "plugin": {"parallel", "errors"},
    "parallel": {"errors"},
    "degradations": {"images", "errors"},
    "metrics": {"images", "errors"},
    "alternatives": {"images", "errors"},
    "adapters": set(),
    "settings": {"errors"},
}
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


def room_of(module: str) -> str:
    """The room of a module of `real`, by its folder or by the table above."""
    return ELSEWHERE.get(module) or module.split(".")[1]


def may_import(room: str) -> set[str]:
    """The rooms that the modules of one may import from."""
    (height,) = (i for i, side_by_side in enumerate(ROOMS) if room in side_by_side)
    return {room} | NARROW.get(room, {name for lower in ROOMS[height + 1 :] for name in lower})


def imported_modules(source: str, known: set[str]) -> Iterator[str]:
    """Modules of `real` that a file imports, as long as they can be followed: `from real.cli import common`, too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module in known:
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in known else node.module for name in whole)


def upward(module: str, source: str, known: set[str]) -> set[str]:
    """Modules that `module` imports although its room may not."""
    allowed = may_import(room_of(module))
    return {name for name in imported_modules(source, known) if room_of(name) not in allowed}


@pytest.fixture(scope="module")
def modules_of_real(root: Path, sources: dict[str, list[Path]]) -> dict[str, str]:
    """Dotted name -> source."""
    names = {path: path.relative_to(root).with_suffix("").parts for path in sources["real"]}
    return {".".join(parts).removesuffix(".__init__"): path.read_text("utf-8") for path, parts in names.items()}


def test_every_module_of_real_has_a_room(modules_of_real: dict[str, str]) -> None:
    rooms = {name for side_by_side in ROOMS for name in side_by_side}
    assert {room_of(module) for module in modules_of_real} == rooms
    assert set(ELSEWHERE) <= set(modules_of_real)


def test_the_rooms_of_real_import_downwards(modules_of_real: dict[str, str]) -> None:
    known = set(modules_of_real)
    found = {module: wrong for module, text in modules_of_real.items() if (wrong := upward(module, text, known))}
    assert not found


@pytest.mark.parametrize(
    ("module", "source", "wrong"),
    [
        ("real.plugin.step", "def f():\n    from real.models import hub", {"real.models.hub"}),
        ("real.plugin.step", "import real.parallel.ranks\nfrom real.errors import UserError", set()),
        ("real.images.photos", "from real.cli.options import whole", {"real.cli.options"}),
        ("real.metrics.score", "from real.degradations.simple import SCALE", {"real.degradations.simple"}),
        ("real.train.training_run", "from real.cli.run import leave", {"real.cli.run"}),
        ("real.train.__main__", "from real.cli.run import leave\nimport real.train.training_run", set()),
        ("real.api", "from real.opening import open_model", set()),
    ],
)
def test_the_check_sees_an_import_upwards(
    module: str, source: str, wrong: set[str], modules_of_real: dict[str, str]
) -> None:
    assert upward(module, source, set(modules_of_real)) == wrong


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


def test_the_page_of_the_house_shows_these_floors(root: Path) -> None:
    page = (root / "docs" / "house.md").read_text(encoding="utf-8")
    shown = page.partition('<div class="floors"')[2].partition("</div>")[0]
    floors = re.findall(r"^<p>(.*)</p>$", shown, re.MULTILINE)
    assert [tuple(re.findall(r"<code>(\w+)</code>", floor)) for floor in floors] == list(ROOMS)
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]*) \| [^|]* \|$", page, re.MULTILINE))
    assert {room: set(re.findall(r"`(\w+)`", names)) for room, names in rows.items()} == NARROW
