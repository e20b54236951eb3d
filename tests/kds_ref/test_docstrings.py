"""The examples in the docstrings run, and every public name has one; importing the package stays light."""

import doctest
import importlib
import inspect
import pkgutil
import subprocess
import sys

import pytest

import kds_ref

MODULES = sorted(f"kds_ref.{module.name}" for module in pkgutil.iter_modules(kds_ref.__path__))
DATA_CLASSES = {
    "SteeringInfo",
    "SamplerState",
    "SamplerResult",
    "Kernel",
    "MergedModes",
    "ModeSeekingResult",
}  # records: their attributes are listed


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0
    if not name.startswith("kds_ref._"):
        assert result.attempted > 0


@pytest.mark.parametrize("name", sorted(set(kds_ref.__all__) - DATA_CLASSES))
def test_every_public_name_has_an_example(name: str) -> None:
    doc = inspect.getdoc(getattr(kds_ref, name)) or ""
    assert "Example:" in doc
    assert ">>>" in doc


@pytest.mark.parametrize("name", [n for n in kds_ref.__all__ if inspect.isfunction(getattr(kds_ref, n))])
def test_every_function_documents_arguments_results_and_errors(name: str) -> None:
    function = getattr(kds_ref, name)
    doc = inspect.getdoc(function) or ""
    assert all(section in doc for section in ("Args:", "Returns:", "Raises:"))
    missing = [p for p in inspect.signature(function).parameters if f"    {p}: " not in doc]
    assert not missing


@pytest.mark.parametrize("name", sorted(DATA_CLASSES))
def test_every_record_documents_its_attributes(name: str) -> None:
    record = getattr(kds_ref, name)
    doc = inspect.getdoc(record) or ""
    assert all(f"    {field}: " in doc for field in record._fields)


def test_importing_and_using_the_core_loads_no_heavy_library() -> None:
    code = (
        "import sys, numpy, kds_ref\n"
        "kds_ref.steer(numpy.zeros((2, 1, 2, 2)))\n"
        "heavy = {'torch', 'scipy', 'diffusers', 'matplotlib', 'sklearn', 'PIL', 'array_api_strict'}\n"
        "print(sorted(heavy & {name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "[]"


def test_version_is_a_version() -> None:
    assert [part.isdigit() for part in kds_ref.__version__.split(".")] == [True] * 3
