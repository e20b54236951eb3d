"""The tutorials run as scripts: offline, without the global random numbers, and each figure says what it shows."""

import re
import runpy
import socket
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

pytest.importorskip("scipy", reason="comes with the extra toy")
plt = pytest.importorskip("matplotlib.pyplot", reason="comes with the extra toy")

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "tutorials"
TUTORIALS = sorted(FOLDER.glob("[0-9]*_*.py"))


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
        runpy.run_path(str(path), run_name="__main__")
        figures = [plt.figure(number) for number in plt.get_fignums()]
        assert figures
        for figure in figures:  # the titles become the alternative text of the picture on the page
            titles = [figure.get_suptitle(), *(ax.get_title() for ax in figure.axes)]
            assert any(titles), f"figure {figure.number} has no title"
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
