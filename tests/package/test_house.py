"""The page of the house says what the code is: its tree, its links, and the order of its journeys."""

import ast
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

LINK = re.compile(r"\]\((\.\./[\w/]+\.py)(?:#([\w.]+))?\)")
ROOM = re.compile(r"^    (\w+) +\S")


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    return (root / "docs" / "house.md").read_text(encoding="utf-8")


def tree_of(page: str) -> dict[str, list[str]]:
    """The lines of the tree by package."""
    found: dict[str, list[str]] = {}
    for line in page.partition("```text\n")[2].partition("```")[0].splitlines():
        if not line.startswith(" "):
            rooms = found.setdefault(line.split("/")[0], [])
        else:
            match = ROOM.match(line)
            assert match, line
            rooms.append(match.group(1))
    return found


@pytest.mark.parametrize("package", ["kds_ref", "toy"])
def test_the_tree_has_every_module_once(package: str, page: str, root: Path) -> None:
    files = [p for p in (root / package).glob("*.py") if p.stem not in ("__init__", "__main__")]
    folders = [p.parent for p in (root / package).glob("*/__init__.py")]
    assert sorted(tree_of(page)[package]) == sorted(path.stem for path in [*files, *folders])


def test_the_tree_has_every_room_of_real_once(page: str, root: Path) -> None:
    shown = tree_of(page)["real"]
    folders = {path.parent.name for path in (root / "real").glob("*/__init__.py")}
    alone = {path.stem for path in (root / "real").glob("*.py")} - {"__init__", "__main__", "early_choice"}
    assert sorted(shown) == sorted(folders | alone)
    assert "early choice" in page  # it shares the room of sampling


def names_in(source: str) -> set[str]:
    """Functions and classes of a module, by their qualified names."""

    def under(node: ast.AST, prefix: str) -> Iterator[str]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.ClassDef):
                yield prefix + child.name
                yield from under(child, f"{prefix}{child.name}.")

    return set(under(ast.parse(source), ""))


def test_every_link_leads_to_a_file_and_a_name_in_it(page: str, root: Path) -> None:
    links = LINK.findall(page)
    assert len(links) > 60
    for target, name in links:
        path = root / "docs" / target
        assert path.is_file(), target
        assert not name or name in names_in(path.read_text(encoding="utf-8")), f"{target} has no {name}"


def journey(page: str, title: str) -> list[tuple[str, str]]:
    """(file, function) of a journey's list; a line's first link is its stop, what follows is by the way."""
    section = page.partition(f"### {title}\n")[2].partition("\n#")[0]
    stops = [LINK.search(item) for item in re.split(r"^\d+\. ", section, flags=re.MULTILINE)[1:]]
    assert all(stops), title
    return [(stop.group(1).removeprefix("../"), stop.group(2)) for stop in stops if stop]


@contextmanager
def first_calls(root: Path) -> Iterator[list[tuple[str, str]]]:
    """Context manager: the functions of the packages that are called meanwhile, in the order of their first calls."""
    seen: dict[tuple[str, str], None] = {}
    found: list[tuple[str, str]] = []

    def note(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call":
            path = frame.f_code.co_filename.removeprefix(f"{root}/")
            seen.setdefault((path, frame.f_code.co_qualname))

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield found
    finally:
        sys.setprofile(before)
        found += seen


def through_steer(tmp_path: Path) -> None:
    import kds_ref

    kds_ref.steer(np.random.default_rng(0).normal(size=(2, 3, 8, 8)))


def through_a_step(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    diffusers = pytest.importorskip("diffusers")
    import real

    scheduler = real.steer_scheduler(diffusers.DDIMScheduler(clip_sample=False), num_particles=2)
    scheduler.set_timesteps(3)
    rows = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    scheduler.step(rows, scheduler.timesteps[0], rows)


def run_real(*arguments: object) -> None:
    pytest.importorskip("diffusers")
    from real.__main__ import main

    assert main([*map(str, arguments), "--particles", "2", "--steps", "3", "--device", "cpu"]) == 0


def photo(path: Path, side: int) -> Path:
    from PIL import Image

    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)).save(path)
    return path


def through_sr(tmp_path: Path) -> None:
    run_real("sr", photo(tmp_path / "photo.png", 16), "--output", tmp_path / "out")


def through_bench(tmp_path: Path) -> None:
    photos = photo(tmp_path / "photos" / "a.png", 64).parent
    run_real("bench", "table1", "--photos", photos, "--output", tmp_path / "out")


@pytest.mark.parametrize(
    ("title", "walk"),
    [
        ("Predicted latents through `steer`", through_steer),
        ("One `step` of a steered scheduler", through_a_step),
        ("A photo through `python -m real sr`", through_sr),
        ("A row of `python -m real bench table1`", through_bench),
    ],
)
def test_a_journey_is_in_the_order_of_the_first_calls(
    title: str, walk: Callable[[Path], None], page: str, root: Path, tmp_path: Path
) -> None:
    stops = journey(page, title)
    assert len(stops) >= 9
    with first_calls(root) as called:
        walk(tmp_path)
    assert not [stop for stop in stops if stop not in called], "these are not called"
    assert stops == sorted(stops, key=called.index)


def test_the_order_of_first_calls_is_seen(root: Path) -> None:
    with first_calls(root) as called:
        names_in("")
        tree_of("")
    names = [name for path, name in called if path == "tests/package/test_house.py"]
    assert names.index("names_in") < names.index("tree_of")
