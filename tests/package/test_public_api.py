"""The names that others import: present, exported on purpose, documented."""

import importlib
import inspect
from pathlib import Path
from types import ModuleType

import pytest

import kds_ref

# module -> the names that it must define
CONTRACT = {
    "density": ["log_density", "log_density_gradient"],
    "mean_shift": ["mean_shift"],
    "patches": ["patchify", "unpatchify"],
    "steering": ["KernelDensitySteering", "SteeringInfo", "steer", "steering_strength"],
    "selection": ["select_particle"],
    "guidance": ["classifier_free_guidance"],
    "diffusion": [
        "add_noise",
        "predict_eps",
        "predict_eps_from_v",
        "predict_x0",
        "predict_x0_from_v",
        "velocity",
    ],
    "schedules": ["NoiseSchedule", "cosine_schedule", "linear_schedule", "scaled_linear_schedule", "time_grid"],
    "samplers": ["SamplerResult", "SamplerState", "ddim", "dpm_solver_pp_2s"],
}
SOURCES = sorted(Path(kds_ref.__file__).parent.glob("[!_]*.py"))
MODULES = [path.stem for path in SOURCES]
NAMES = [name for name in kds_ref.__all__ if name != "__version__"]


def load(name: str) -> ModuleType:
    # by its full name from the import system: kds_ref.mean_shift, as an attribute, is the function
    return importlib.import_module(f"kds_ref.{name}")


def defined_here(module: ModuleType) -> set[str]:
    """Public functions and classes whose code stands in `module`."""
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isfunction(value) or inspect.isclass(value))
        and value.__module__ == module.__name__
    }


@pytest.mark.parametrize(("module", "name"), [(m, n) for m, names in CONTRACT.items() for n in names])
def test_a_promised_name_is_in_its_module_and_in_the_package(module: str, name: str) -> None:
    assert name in defined_here(load(module))
    assert name in kds_ref.__all__
    assert getattr(kds_ref, name) is getattr(load(module), name)


@pytest.mark.parametrize("module", MODULES)
def test_a_module_exports_what_it_defines(module: str) -> None:
    loaded = load(module)
    exported = loaded.__all__
    assert len(exported) == len(set(exported))
    assert defined_here(loaded) <= set(exported), "a public function or class is missing in __all__"
    for name in exported:
        value = getattr(loaded, name)
        assert getattr(value, "__module__", loaded.__name__) in {loaded.__name__, "typing"}, f"{name} is not from here"


def test_the_package_exports_only_what_its_modules_export() -> None:
    assert len(NAMES) == len(set(NAMES))
    assert set(NAMES) <= {name for module in MODULES for name in load(module).__all__}


@pytest.mark.parametrize("name", NAMES)
def test_a_public_function_or_class_has_a_docstring(name: str) -> None:
    value = getattr(kds_ref, name)
    if inspect.isfunction(value) or inspect.isclass(value):
        doc = inspect.getdoc(value) or ""
        # a NamedTuple or dataclass without a docstring of its own gets its signature as one
        assert len(doc) > 40
        assert not doc.startswith(f"{name}(")


@pytest.mark.parametrize("name", [n for n in NAMES if inspect.isfunction(getattr(kds_ref, n))])
def test_options_are_keyword_only_and_never_passed_through(name: str) -> None:
    kinds = inspect.Parameter
    for parameter in inspect.signature(getattr(kds_ref, name)).parameters.values():
        assert parameter.kind not in {kinds.VAR_KEYWORD, kinds.VAR_POSITIONAL}, "unknown options must be errors"
        assert parameter.annotation is not kinds.empty
