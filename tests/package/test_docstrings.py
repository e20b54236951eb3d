"""The examples in docstrings run and print what they say; every public function of the core has one."""

import doctest
import importlib
import inspect
from pathlib import Path

import pytest

import kds_ref

ROOT = Path(__file__).resolve().parents[2]
WITH_EXAMPLES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for package in ("kds_ref", "toy", "real")
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


@pytest.mark.parametrize("name", [n for n in kds_ref.__all__ if inspect.isfunction(getattr(kds_ref, n))])
def test_a_public_function_has_an_example_with_a_result(name: str) -> None:
    (test,) = doctest.DocTestFinder(recurse=False).find(getattr(kds_ref, name), name)
    assert test.examples
    assert any(example.want for example in test.examples), "an example that prints nothing checks nothing"
