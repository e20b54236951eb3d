"""The tutorials run as scripts: offline, without the global random numbers, and each figure says what it shows.

The solutions of their exercises, folded blocks in the text, run after the page that they belong to.
"""

import re
import runpy
import socket
import textwrap
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

pytest.importorskip("scipy", reason="comes with the extra toy")
plt = pytest.importorskip("matplotlib.pyplot", reason="comes with the extra toy")

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "tutorials"
TUTORIALS = sorted(FOLDER.glob("[0-9]*_*.py"))
SOLUTION = re.compile(r'^# \?\?\? success "Solution"\n((?:#(?:     .*)?\n)+)', re.MULTILINE)
CODE = re.compile(r"^#     ```python\n((?:#.*\n)*?)#     ```$", re.MULTILINE)
EXERCISE = re.compile(r"^# \*\*\d\.\*\* ", re.MULTILINE)
PREDICTION = re.compile(r"\*\*Predict:\*\*")


def solutions(path: Path) -> list[list[tuple[int, str]]]:
    """Of each solution of a page its blocks of code: (lines before it in the file, code)."""
    text = path.read_text(encoding="utf-8")
    found = []
    for solution in SOLUTION.finditer(text):
        blocks = []
        for code in CODE.finditer(text, solution.start(1), solution.end(1)):
            lines = "".join(line[1:] or "\n" for line in code.group(1).splitlines(keepends=True))
            blocks.append((text[: code.start(1)].count("\n"), textwrap.dedent(lines)))
        found.append(blocks)
    return found


def run_solutions(path: Path, namespace: dict[str, Any]) -> None:
    """Run each solution after the page: what one of them defines is not there for the next."""
    for blocks in solutions(path):
        names = dict(namespace)
        for before, code in blocks:
            exec(compile("\n" * before + code, str(path), "exec"), names)


def refuse(*arguments: Any, **options: Any) -> NoReturn:
    raise AssertionError("a tutorial wants the network")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:FigureCanvasAgg is non-interactive:UserWarning")  # plt.show() beside a display
@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_a_tutorial_runs_from_top_to_bottom(path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if "\nimport torch\n" in path.read_text(encoding="utf-8"):
        torch = pytest.importorskip("torch", reason="comes with the extra real")
        monkeypatch.setattr(torch, "set_num_threads", lambda number: None)  # the tests beside it keep theirs
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    plt.switch_backend("agg")
    plt.close("all")
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - to see that it is left alone
    try:
        namespace = runpy.run_path(str(path), run_name="__main__")
        figures = [plt.figure(number) for number in plt.get_fignums()]
        assert figures
        for figure in figures:  # the titles become the alternative text of the picture on the page
            titles = [figure.get_suptitle(), *(ax.get_title() for ax in figure.axes)]
            assert any(titles), f"figure {figure.number} has no title"
        run_solutions(path, namespace)
    finally:
        plt.close("all")
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    assert not list(tmp_path.iterdir()), "a tutorial leaves files behind"


def test_the_tutorials_are_found() -> None:
    assert [path.name[0] for path in TUTORIALS][:5] == list("12345")


def test_links_between_tutorials_lead_somewhere() -> None:
    """Their pages lie side by side in docs/generated/tutorials, hence ../.. to the other pages."""
    generated = FOLDER.parent / "generated" / "tutorials"
    for path in TUTORIALS:
        links = re.findall(r"\]\(([^)#\s]+\.md)[^)]*\)", path.read_text(encoding="utf-8").replace("\n# ", " "))
        assert links, path.name
        for link in links:
            target = (generated / link).resolve()
            if target.parent == generated:
                target = FOLDER / f"{target.stem}.py"
            assert target.exists(), f"{path.name}: {link}"


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_a_tutorial_asks_before_it_answers_and_each_exercise_has_a_solution(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(PREDICTION.findall(text)) >= 3
    exercises = len(EXERCISE.findall(text))
    assert 3 <= exercises <= 5
    assert len(solutions(path)) == exercises
    code = [block for blocks in solutions(path) for _, block in blocks]
    assert len(code) >= exercises - 1, "a solution that is only words, more than once"
    assert len(code) == len(re.findall(r"^#     ```python$", text, re.MULTILINE)), "code outside of a solution"


def test_a_wrong_solution_is_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.py"
    page.write_text('x = 1\n# ??? success "Solution"\n#     ```python\n#     assert x == 2\n#\n#     ```\n', "utf-8")
    with pytest.raises(AssertionError) as caught:
        run_solutions(page, {"x": 1})
    assert caught.traceback[-1].lineno == 3  # counted from 0: the line in the file
    run_solutions(page, {"x": 2})
