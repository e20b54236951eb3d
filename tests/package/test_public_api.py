"""The names that others import: present, exported on purpose, documented."""

import importlib
import inspect
from pathlib import Path
from types import ModuleType

import pytest

import kds_ref

# module -> the names that it must offer, as the package does
CONTRACT = {
    "bandwidths": ["likelihood_bandwidth", "median_bandwidth", "scott_bandwidth", "silverman_bandwidth"],
    "denoisers": ["SteeredDenoiser", "vp_denoiser"],
    "density": ["log_density", "log_density_gradient"],
    "kernels": ["Kernel", "shadow_kernel"],
    "mean_shift": ["mean_shift"],
    "patches": ["patchify", "patchify_adjoint", "unpatchify"],
    "modes": ["MergedModes", "ModeSeekingResult", "blurring_mean_shift", "merge_modes", "seek_modes"],
    "ode": ["ProbabilityFlowODE"],
    "steering": ["SteeringInfo", "steer"],
    "strength_schedule": ["KernelDensitySteering", "steering_strength"],
    "selection": ["select_particle"],
    "guidance": ["classifier_free_guidance"],
    "diffusion": [
        "add_noise",
        "predict_eps",
        "predict_eps_from_v",
        "predict_score",
        "predict_x0",
        "predict_x0_from_v",
        "velocity",
    ],
    "schedules": [
        "NoiseSchedule",
        "cosine_schedule",
        "linear_schedule",
        "scaled_linear_schedule",
        "time_grid",
    ],
    "rivals": ["density_guidance", "high_density_sampling", "mean_then_renoise", "median_norm"],
    "samplers": ["SamplerResult", "SamplerState", "ddim", "dpm_solver_pp_2m", "dpm_solver_pp_2s"],
}
SOURCES = sorted(Path(kds_ref.__file__).parent.glob("[!_]*.py"))
MODULES = [path.stem for path in SOURCES]
NAMES = list(kds_ref.__all__)
# without an underscore, since other modules of the core use them, but not offered to users
INTERNAL = {
    "Sampler",
    "get_kernel",
    "log_profile",
    "log_slope",
    "log_volume",
    "noise_to_signal",
    "own_weighted_shift",
    "plain_shift",
    "rule_bandwidth",
    "shift_and_effective_particles",
    "weighted_shift",
}


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
    assert name in NAMES
    assert getattr(kds_ref, name) is getattr(load(module), name)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_exports_what_it_defines_for_users(name: str) -> None:
    module = load(name)
    assert sorted(module.__all__) == sorted(CONTRACT[name]) == module.__all__
    assert defined_here(module) - INTERNAL <= set(module.__all__)


def test_the_package_exports_what_its_modules_define_for_users() -> None:
    defined = set().union(*(defined_here(load(module)) for module in MODULES))
    assert len(MODULES) == len(CONTRACT)
    assert defined - INTERNAL <= set(NAMES), "a public function or class is missing in kds_ref.__all__"
    assert defined >= INTERNAL


@pytest.mark.parametrize("name", NAMES)
def test_an_exported_name_comes_from_the_package(name: str) -> None:
    assert NAMES.count(name) == 1
    assert getattr(kds_ref, name).__module__.startswith("kds_ref.")


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
