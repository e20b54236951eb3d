"""Errors speak one dialect: `name must be WHAT IS ACCEPTED, got VALUE`, then the remedy."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

OTHER_DIALECTS = (
    re.compile(r"(^|: )got "),  # "steps: got 0; give 1"
    re.compile(r"\bgot\b.*\bmust be\b"),
)
ALLOWED = (  # no value is to blame; another function has made the message; it is a bug, or for a warning alone
    re.compile(r"is not installed|cannot be imported|needs transformers|needs accelerate|spandrel \{\}"),
    re.compile(r"cannot be reached|cannot fetch|could not be loaded|HF_HUB_OFFLINE is set|wants its licence"),
    re.compile(r"^\{\}( \(rank \{\} of \{\}\))?$"),
    re.compile(r"have a row already|a row without its name|the page has no block|it is for \{\}, the picture is"),
)


def text_of(node: ast.AST, names: Mapping[str, str] = MappingProxyType({})) -> str:
    """The text of an expression, with {} for what is put into it; that of some names is known."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part, names) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return text_of(node.value, names) if isinstance(node.value, ast.Name) and node.conversion == -1 else "{}"
    if isinstance(node, ast.BinOp):
        return text_of(node.left, names) + text_of(node.right, names)
    return names.get(node.id, "{}") if isinstance(node, ast.Name) else "{}"


def messages(source: str) -> Iterator[tuple[int, str]]:
    """(line, text) of every error that is raised with a text of its own."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
            yield node.lineno, text_of(node.exc.args[0])


def foreign(source: str) -> list[tuple[int, str]]:
    return [(line, text) for line, text in messages(source) if any(p.search(text) for p in OTHER_DIALECTS)]


def blunt(source: str) -> list[tuple[int, str]]:
    """(line, text) of every error that does not say what is accepted and what came; names have their last text."""
    names: dict[str, str] = {}
    found = []
    steps = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Assign | ast.Call)]
    for node in sorted(steps, key=lambda node: node.lineno):
        if isinstance(node, ast.Assign):
            names |= {target.id: text_of(node.value, names) for target in node.targets if isinstance(target, ast.Name)}
        elif (form := form_of(node)) is not None:
            text = text_of(node.args[0], names)
            if not form.search(text) and not any(allowed.search(text) for allowed in ALLOWED):
                found.append((node.lineno, text))
    return found


def form_of(call: ast.Call) -> re.Pattern[str] | None:
    """The form that the message of an error needs; None where nothing is said of an argument."""
    kind = call.func.id if isinstance(call.func, ast.Name) and call.args else ""
    if kind in ("ValueError", "TypeError"):
        return re.compile(r"\bmust .*, got ")
    if kind == "_refusal" and len(call.args) == 1:
        return re.compile(r"^must .*, got ")
    named = kind in ("UserError", "refuse") and any(keyword.arg == "argument" for keyword in call.keywords)
    return re.compile(r"^must .*, got ") if named else None


@pytest.mark.parametrize("package", ["toy", "real"])
def test_errors_say_what_is_accepted_and_what_came(package: str, sources: dict[str, list[Path]]) -> None:
    found = {str(path): wrong for path in sources[package] if (wrong := blunt(path.read_text(encoding="utf-8")))}
    assert not found


@pytest.mark.parametrize(
    "source",
    [
        "raise UserError(f\"{path!r} is not a folder\", argument='photos')",
        "raise UserError('steps must be at least 1, got 0', argument='steps')",
        "why = 'it belongs to sr; leave it out'\nraise UserError(why, argument=name)",
        "accepted = 'must be small'\nraise UserError(f'{accepted}; take less', argument='x')",
        "refuse(f'{model} runs in one process', argument='model')",
        "raise ValueError('steps must be at least 1')",
    ],
)
def test_an_error_that_does_not_is_seen(source: str) -> None:
    assert blunt(source)


def test_names_stand_for_their_text() -> None:
    assert not blunt("accepted = 'must be small'\nraise UserError(f'{accepted}, got {x}', argument='x')")


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
