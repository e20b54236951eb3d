"""A steered scheduler is taken for its original wherever diffusers or Python look, and only its steps differ."""

import copy
import inspect
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
from diffusers import (  # noqa: E402
    DDIMParallelScheduler,
    DDIMScheduler,
    DDPMParallelScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    LMSDiscreteScheduler,
    PNDMScheduler,
)

import real  # noqa: E402
from kds_ref import shadow_kernel  # noqa: E402
from kds_ref.kernels import KERNELS  # noqa: E402
from real.plugin import is_steered, steer_scheduler, unsteer_scheduler  # noqa: E402

KINDS = [
    DDIMScheduler(clip_sample=False),
    DPMSolverMultistepScheduler(),
    EulerDiscreteScheduler(),
    PNDMScheduler(skip_prk_steps=True),
    FlowMatchEulerDiscreteScheduler(),
]
OPTIONS: dict[str, Any] = {"num_particles": 3, "bandwidth": "median", "cutoff": 0.0}


def run(scheduler: Any, steps: int = 6, seed: int = 0) -> Any:
    scheduler.set_timesteps(steps)
    x = torch.randn(6, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    for t in scheduler.timesteps:
        x = scheduler.step(torch.tanh(x), t, x).prev_sample
    return x


@pytest.fixture(params=KINDS, ids=lambda s: type(s).__name__)
def plain(request: pytest.FixtureRequest) -> Any:
    return copy.deepcopy(request.param)


def test_it_is_taken_for_its_original(plain: Any) -> None:
    steered = steer_scheduler(plain, **OPTIONS)
    base = type(plain)
    assert isinstance(steered, base)
    assert (type(steered).__name__, type(steered).__module__) == (base.__name__, base.__module__)
    assert type(steered).__qualname__ == base.__qualname__
    for method in ("step", "set_timesteps"):
        assert inspect.signature(getattr(steered, method)) == inspect.signature(getattr(plain, method))
    assert len(steered) == len(plain)
    assert steered.config == plain.config
    assert steered.order == plain.order
    assert {type(steered), *steered.compatibles} >= set(plain.compatibles) - {base}
    assert is_steered(steered)
    assert not is_steered(plain)
    assert not is_steered(None)


def test_the_original_is_not_touched(plain: Any) -> None:
    before = copy.deepcopy(plain.__dict__)
    steered = steer_scheduler(plain, **OPTIONS)
    run(steered)
    assert list(plain.__dict__) == list(before)
    assert torch.equal(run(plain), run(copy.deepcopy(plain)))


def test_a_scheduler_that_is_wrapped_in_the_middle_of_a_run_shares_no_history() -> None:
    plain = LMSDiscreteScheduler()
    plain.set_timesteps(4)
    steered = steer_scheduler(plain, **OPTIONS)
    x = torch.randn(3, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    steered.is_scale_input_called = True
    steered.step(torch.tanh(x), steered.timesteps[0], x)
    assert (len(steered.derivatives), len(plain.derivatives)) == (1, 0)


@pytest.mark.parametrize("copied", [copy.deepcopy, copy.copy, lambda s: pickle.loads(pickle.dumps(s))])
def test_copies_steer_as_well(plain: Any, copied: Any) -> None:
    steered = steer_scheduler(plain, **OPTIONS)
    twin = copied(steered)
    assert type(twin) is type(steered)
    assert not torch.equal(run(twin), run(plain))
    assert torch.equal(run(twin), run(steered))
    assert twin.kds.trace == steered.kds.trace


def test_a_copy_goes_on_in_the_middle_of_a_run(plain: Any) -> None:
    steered = steer_scheduler(plain, **OPTIONS)
    steered.set_timesteps(6)
    x = torch.randn(6, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    for t in steered.timesteps[:3]:
        x = steered.step(torch.tanh(x), t, x).prev_sample
    saved, twin, ends = copy.deepcopy(steered.__dict__), pickle.loads(pickle.dumps(steered)), []
    for scheduler in (twin, steered):
        y = x
        for t in scheduler.timesteps[3:]:
            y = scheduler.step(torch.tanh(y), t, y).prev_sample
        ends.append(y)
    steered.__dict__.update(saved)  # as pipelines do that denoise several views
    for t in steered.timesteps[3:]:
        x = steered.step(torch.tanh(x), t, x).prev_sample
    assert torch.equal(ends[0], ends[1])
    assert torch.equal(ends[0], x)
    assert len(steered.kds.trace) == len(steered.timesteps)


def test_what_is_saved_is_the_original(plain: Any, tmp_path: Path) -> None:
    steered = steer_scheduler(plain, **OPTIONS)
    steered.save_pretrained(tmp_path / "steered")
    plain.save_pretrained(tmp_path / "plain")
    files = [(tmp_path / name / "scheduler_config.json").read_text() for name in ("steered", "plain")]
    assert files[0] == files[1]
    for loader in (type(plain), type(steered)):
        assert type(loader.from_pretrained(tmp_path / "steered")) is type(plain)
    assert type(type(steered).from_config(steered.config)) is type(plain)


def test_steering_goes_and_state_does_not_stay(plain: Any) -> None:
    steered = steer_scheduler(plain, **OPTIONS)
    first = run(steered)
    trace = list(steered.kds.trace)
    run(steered, steps=4, seed=1)
    assert torch.equal(run(steered), first)
    assert steered.kds.trace == trace
    steered.set_timesteps(6)
    assert steered.kds.trace == []
    assert steered.kds.info is steered.kds.latents is None
    back = unsteer_scheduler(steered)
    assert type(back) is type(plain)
    assert not hasattr(back, "kds")
    assert torch.equal(run(back), run(plain))


def test_wrapping_twice_or_nothing_is_refused(plain: Any) -> None:
    steered = steer_scheduler(plain, **OPTIONS)
    with pytest.raises(ValueError, match="must be a plain one"):
        steer_scheduler(steered, **OPTIONS)
    with pytest.raises(TypeError, match="not steered"):
        unsteer_scheduler(plain)
    with pytest.raises(TypeError, match=r"scheduler must be one of diffusers.*got str"):
        steer_scheduler("DDIMScheduler", **OPTIONS)


@pytest.mark.parametrize("kind", [DDIMParallelScheduler, DDPMParallelScheduler])
def test_a_batch_of_many_timesteps_is_refused_unless_nothing_is_steered(kind: Any) -> None:
    x, out = (torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    plain = kind(clip_sample=False)
    steered, off = (steer_scheduler(plain, **{**OPTIONS, "strength": delta}) for delta in (0.3, 0.0))
    for scheduler in (plain, steered, off):
        scheduler.set_timesteps(4)
    with pytest.raises(TypeError, match="no ensemble"):
        steered.batch_step_no_noise(out, plain.timesteps[:2], x)
    expected = plain.batch_step_no_noise(out, plain.timesteps[:2], x)
    assert torch.equal(off.batch_step_no_noise(out, plain.timesteps[:2], x), expected)
    assert not hasattr(steer_scheduler(DDIMScheduler(clip_sample=False), **OPTIONS), "batch_step_no_noise")


def test_a_scheduler_with_any_kernel_can_be_pickled() -> None:
    kernels = [*KERNELS, *(shadow_kernel(name) for name, kernel in KERNELS.items() if kernel.shadow is not None)]
    for kernel in kernels:
        steered = steer_scheduler(DDIMScheduler(clip_sample=False), **{**OPTIONS, "kernel": kernel})
        assert torch.equal(run(pickle.loads(pickle.dumps(steered))), run(steered))


@pytest.mark.parametrize(
    "h",
    [
        np.asarray([2.0, 9.0, 0.5], np.float32)[::-2],
        np.asarray([0.5, 2.0], ">f8"),
        np.asarray([0.5, 2.0], np.longdouble),
        np.asarray([0.5, 2.0], np.float16),
        np.frombuffer(np.asarray([0.5, 2.0]).tobytes()),  # read-only
    ],
)
def test_bandwidths_of_numpy_in_any_form(h: Any) -> None:
    options = {**OPTIONS, "bandwidth": h}
    expected = steer_scheduler(DDIMScheduler(clip_sample=False), **{**OPTIONS, "bandwidth": torch.tensor([0.5, 2.0])})
    assert torch.equal(run(steer_scheduler(DDIMScheduler(clip_sample=False), **options)), run(expected))


@pytest.mark.parametrize("h", [np.asarray([1, 2]), np.asarray([1.0, 2.0], object), np.asarray([1.0 + 0j])])
def test_bandwidths_of_numpy_that_are_no_real_numbers_are_named(h: Any) -> None:
    with pytest.raises(TypeError, match="bandwidth"):
        steer_scheduler(DDIMScheduler(clip_sample=False), **{**OPTIONS, "bandwidth": h})


def test_a_tuple_comes_back_as_one() -> None:
    steered, plain = steer_scheduler(DDIMScheduler(clip_sample=False), **OPTIONS), DDIMScheduler(clip_sample=False)
    x = torch.randn(3, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    for scheduler in (steered, plain):
        scheduler.set_timesteps(2)
    result = steered.step(torch.tanh(x), int(plain.timesteps[0]), x, return_dict=False)
    assert isinstance(result, tuple)
    assert len(result) == len(plain.step(torch.tanh(x), int(plain.timesteps[0]), x, return_dict=False))
    by_name = steered.step(model_output=torch.tanh(x), timestep=plain.timesteps[0], sample=x)
    assert torch.equal(by_name.prev_sample, result[0])


@pytest.mark.parametrize(
    ("option", "error", "name"),
    [
        ({"num_particles": 0}, ValueError, "num_particles"),
        ({"num_particles": True}, ValueError, "num_particles"),
        ({"bandwidth": -1.0}, ValueError, "bandwidth"),
        ({"bandwidth": "silver"}, ValueError, "bandwidth"),
        ({"bandwidth": None}, TypeError, "bandwidth"),
        ({"strength": 1.5}, ValueError, "strength"),
        ({"cutoff": -0.1}, ValueError, "cutoff"),
        ({"cutoff_in": "sigma"}, ValueError, "cutoff_in"),
        ({"ramp": 2.0}, ValueError, "ramp"),
        ({"ramp": "0.1"}, ValueError, "ramp"),
        ({"patch_size": 0}, ValueError, "patch_size"),
        ({"patch_size": None, "stride": 1}, ValueError, "stride"),
        ({"kernel": "box"}, ValueError, "kernel"),
        ({"layout": "rows"}, ValueError, "layout"),
        ({"axes": "HW"}, ValueError, "axes"),
        ({"axes": "CCHW"}, ValueError, "axes"),
        ({"axes": "CXY"}, ValueError, "axes"),
        ({"hand_on": "best"}, ValueError, "hand_on"),
        ({"seed": -1}, ValueError, "seed"),
        ({"seed": (0, "1")}, ValueError, "seed"),
        ({"scale_with_dimension": 1}, TypeError, "scale_with_dimension"),
    ],
)
def test_bad_options_are_refused_at_once(option: dict[str, Any], error: type[Exception], name: str) -> None:
    with pytest.raises(error, match=name):
        steer_scheduler(DDIMScheduler(clip_sample=False), **{"num_particles": 2, **option})
    with pytest.raises(TypeError, match="unexpected keyword"):
        steer_scheduler(DDIMScheduler(clip_sample=False), num_particles=2, bandwith=0.3)


def test_the_plug_in_is_in_the_package_and_loads_when_asked_for() -> None:
    assert real.steer_scheduler is steer_scheduler
    with pytest.raises(AttributeError, match="No real attribute steer"):
        real.steer  # noqa: B018
    code = "import real, sys; assert 'torch' not in sys.modules; assert 'steer_scheduler' in real.__all__"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, cwd=Path(real.__file__).parents[1])
