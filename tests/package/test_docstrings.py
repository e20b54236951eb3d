"""The docstrings of toy and real: examples run (tests/kds_ref does so for the core), entries begin with a noun."""

import ast
import doctest
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WITH_EXAMPLES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for package in ("toy", "real")
    for path in sorted((ROOT / package).rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_the_examples_of_a_module_run(name: str) -> None:
    module = importlib.import_module(name)
    tests = [test for test in doctest.DocTestFinder(exclude_empty=True).find(module, name) if test.examples]
    assert tests
    for test in tests:
        runner = doctest.DocTestRunner(verbose=False)
        report: list[str] = []
        runner.run(test, out=report.append)
        assert not runner.failures, "".join(report)


# "seed: Of the noise." leaves the noun to the reader: "Seed of the noise."
NO_NOUN = re.compile(
    r"(?:according|after|as|at|before|below|beside|by|called|for|from|if|in|into|likewise|of|on|only|over|see|set|than|to|"
    r"under|until|when|where|which|while|with|without)\b",
    re.IGNORECASE,
)
SECTION = re.compile(r"(?:(?P<named>Args|Attributes)|(?P<plain>Returns|Yields)|[A-Z]\w+):")
ENTRY = re.compile(r"    \*{0,2}\w+(?: \([^)]*\))?: (?P<text>.+)")


def entries_of(docstring: str) -> Iterator[str]:
    """What is said of each argument, of each attribute and of the result."""
    section, fresh = None, False
    for line in docstring.splitlines():
        if heading := SECTION.fullmatch(line):
            section, fresh = heading, True
        elif line.strip() and not line.startswith(" "):
            section = None
        elif section and section["named"] and (entry := ENTRY.fullmatch(line)):
            yield entry["text"]
        elif section and section["plain"] and fresh and line.strip():
            fresh = False
            yield line.strip()


def test_an_entry_without_a_noun_is_found() -> None:
    arguments = "Args:\n    a: Of b,\n        for c.\n    b: Seed."
    found = list(entries_of(f"What.\n\n{arguments}\n\nReturns:\n    As a.\n    Of it."))
    assert found == ["Of b,", "Seed.", "As a."]
    assert [NO_NOUN.match(entry) is not None for entry in found] == [True, False, True]


@pytest.mark.parametrize("package", ["toy", "real"])
def test_entries_of_docstrings_begin_with_a_noun(package: str) -> None:
    found, entries = [], 0
    for path in sorted((ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module):
                for entry in entries_of(ast.get_docstring(node) or ""):
                    entries += 1
                    if NO_NOUN.match(entry):
                        found.append(f"{path.relative_to(ROOT)}, {getattr(node, 'name', 'module')}: {entry}")
    assert entries > {"toy": 100, "real": 700}[package]
    assert not found, "\n".join(found)
