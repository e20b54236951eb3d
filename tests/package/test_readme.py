"""README keeps its promises: one picture first, two commands that set themselves up, an example that runs."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)[^)]*\)|<(?:img|a)[^>]+(?:src|href)=\"([^\"]+)\"")


@pytest.fixture(scope="module")
def readme(root: Path) -> str:
    """README.md as text."""
    return (root / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def commands(readme: str) -> list[str]:
    """Its bash blocks."""
    return [body for language, body in FENCE.findall(readme) if language == "bash"]


def links(text: str) -> list[str]:
    prose = FENCE.sub("", text)
    return [first or second for first, second in LINK.findall(prose)]


def test_there_are_exactly_two_commands(readme: str, commands: list[str]) -> None:
    restore, test = commands
    assert "-m real sr --degrade" in restore
    assert "-m pytest" in test
    # .ci/run finds each of the two by these words and runs it
    assert "-m pytest" not in restore
    assert "-m real" not in test
    others = {language for language, _ in FENCE.findall(readme)} - {"bash", "python", "bibtex", "text"}
    assert not others, "a command that no check runs: use ```bash for the two commands, ```text for output"


def test_each_command_sets_itself_up(commands: list[str], pyproject: dict[str, Any]) -> None:
    for command in commands:
        assert re.match(r"python3 -m venv \.venv && \.venv/bin/pip install ", command)
        assert "-c constraints.txt" in command
        (extras,) = re.findall(r'-e "\.\[([\w,]+)\]"', command)
        assert set(extras.split(",")) <= set(pyproject["project"]["optional-dependencies"])
        assert len(command.strip().splitlines()) == 1


def test_the_example_is_short_and_runs(readme: str, root: Path, tmp_path: Path) -> None:
    (example,) = (body for language, body in FENCE.findall(readme) if language == "python")
    assert 8 <= sum(bool(line.strip()) for line in example.splitlines()) <= 20
    command = [sys.executable, "-W", "error", "-c", example]
    environment = os.environ | {"PYTHONPATH": str(root)}  # a checkout that is not installed works too
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == example.rstrip().rsplit("# ", 1)[1]  # as the comment behind print says


def test_the_picture_comes_first(readme: str, root: Path) -> None:
    pictures = re.findall(r"!\[[^\]]*\]\(([^)\s]+)[^)]*\)|<img[^>]+src=\"([^\"]+)\"", readme)
    first = "".join(pictures[0])
    assert first == "docs/assets/sr_first_light.png"
    assert (root / first).stat().st_size > 10_000
    assert readme.index(first) < readme.index("\n## ")


def test_every_link_into_the_project_leads_somewhere(readme: str, root: Path) -> None:
    inside = [link for link in links(readme) if not re.match(r"https?:|mailto:|#", link)]
    assert inside
    assert not [link for link in inside if not (root / link.split("#")[0]).exists()]


def test_the_sites_first_page_says_the_same(readme: str, root: Path, commands: list[str]) -> None:
    index = (root / "docs" / "index.md").read_text(encoding="utf-8")
    assert commands[0] in index
    (example,) = (body for language, body in FENCE.findall(readme) if language == "python")
    assert example in index
    pages = {link.removeprefix("docs/") for link in links(readme) if re.match(r"docs/.*\.md$", link)}
    assert len(pages) > 12
    linked = {link.replace("generated/tutorials/index.md", "tutorials/README.md") for link in links(index)}
    assert pages <= linked


def test_every_how_to_and_explanation_is_linked(readme: str, root: Path) -> None:
    for folder in ("how-to", "explanation"):
        for page in (root / "docs" / folder).glob("*.md"):
            assert f"](docs/{folder}/{page.name})" in readme, page.name


def test_the_example_is_within_one_scroll(readme: str) -> None:
    lines = readme.splitlines()
    assert lines.index("```python") < 50
