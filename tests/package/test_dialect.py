"""Errors speak one dialect: `name must be WHAT IS ACCEPTED, got VALUE`, then the remedy."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

OTHER_DIALECTS = (
    re.compile(r"(^|: )got "),  # "steps: got 0; give 1"
    re.compile(r"\bgot\b.*\bmust be\b"),
)


def text_of(node: ast.AST) -> str:
    """The text of an expression, with {} for what is put into it."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    if isinstance(node, ast.BinOp):
        return text_of(node.left) + text_of(node.right)
    return "{}"


def messages(source: str) -> Iterator[tuple[int, str]]:
    """(line, text) of every error that is raised with a text of its own."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
            yield node.lineno, text_of(node.exc.args[0])


def foreign(source: str) -> list[tuple[int, str]]:
    return [(line, text) for line, text in messages(source) if any(p.search(text) for p in OTHER_DIALECTS)]


@pytest.mark.parametrize("package", ["kds_ref", "toy", "real"])
def test_errors_speak_one_dialect(package: str, sources: dict[str, list[Path]]) -> None:
    found = {str(path): wrong for path in sources[package] if (wrong := foreign(path.read_text(encoding="utf-8")))}
    assert not found
    assert sum(1 for path in sources[package] for _ in messages(path.read_text(encoding="utf-8"))) > 40


@pytest.mark.parametrize(
    "source",
    [
        'raise ValueError(f"steps: got {steps}; give 1")',
        'raise UserError(f"got {by!r}; known: area, side", argument="by")',
        'raise UserError(f"got {range_}; it needs low <= high")',
        'raise ValueError("overlap: got "\nf"{overlap}; it must be at least 0")',
    ],
)
def test_another_dialect_is_seen(source: str) -> None:
    assert foreign(source)


def test_the_dialect_itself_passes() -> None:
    assert not foreign('raise ValueError(f"steps must be at least 1, got {steps}; give 1")')
