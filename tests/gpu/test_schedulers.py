"""Every scheduler that can be steered, on a GPU that only says it is one, from `set_timesteps` to the last step.

What a step asks of the device is compared with the plain scheduler: steering must not make the program wait, send a
tensor, or need float64 where the plain scheduler does not. Cases and the pipeline's loop are those of
tests/real/plugin/test_schedulers.py.
"""

import importlib.util
import inspect
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
from fake_cuda import Counts  # noqa: E402


def _loops() -> Any:
    """The module of the plug-in's tests; tests are no package."""
    path = Path(__file__).parents[1] / "real" / "plugin" / "test_schedulers.py"
    spec = importlib.util.spec_from_file_location("scheduler_loops", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


loops = _loops()
FIRST = list({one.name: one for one in reversed(loops.CASES)}.values())  # the first case of each class
TABLES = 6  # at most; tables that lie on the device are copied to the CPU once a run, by `set_timesteps`
GIVEN = {"HeliosDMDScheduler": 2}  # tables that `step` is given; copied by the first step
ALL_DTYPES = ("DDIM", "DPMSolverMultistep", "EulerDiscrete", "UniPCMultistep", "FlowMatchEulerDiscrete")
RUNS = [(one, torch.float16) for one in FIRST]
RUNS += [(o, d) for o in FIRST if o.name[: -len("Scheduler")] in ALL_DTYPES for d in (torch.bfloat16, torch.float32)]
# that steering adds to a step at most: kds_ref.steer, the change of the model output, what the trace keeps
LAUNCHES, LAUNCHES_OF_THE_USUAL = 60, 40
# diffusers hands torch tensors to NumPy's logarithm
pytestmark = pytest.mark.filterwarnings("ignore:__array_wrap__ must accept context:DeprecationWarning")


def grid_of(scheduler: Any, one: Any) -> Any:
    """As pipelines set it: on the device, where the scheduler takes one."""
    options = {"device": "cuda"} if "device" in inspect.signature(scheduler.set_timesteps).parameters else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scheduler.set_timesteps(one.steps, **options)
    ends = one.name in ("SCMScheduler", "DDPMWuerstchenScheduler")
    return scheduler.timesteps[:-1] if ends else scheduler.timesteps


def run(fake: Any, scheduler: Any, one: Any, dtype: Any) -> tuple[Any, Counts, list[Counts]]:
    """(last latents, what setting the timesteps asked for, what each call of `step` did)."""
    torch.manual_seed(0)
    with fake.count() as before:
        grid = grid_of(scheduler, one)
    x, old = fake.upload(loops.start(scheduler, one).to(dtype)), None
    outputs = iter(torch.rand(len(grid), generator=torch.Generator().manual_seed(2)).tolist())
    steps = []
    for index, t in enumerate(grid):
        seen = scheduler.scale_model_input(x, t) if hasattr(scheduler, "scale_model_input") else x
        out = model(scheduler, seen, next(outputs))
        with fake.count() as counts:
            x, old = loops.call(scheduler, one, index, out, t, x, old)
        steps.append(counts)
    return x, before, steps


def model(scheduler: Any, x: Any, level: float) -> Any:
    """Some output in the shape that the scheduler expects, which half precision holds whatever the noise."""
    out = torch.tanh(0.3 * x + level).to(x.dtype)
    if getattr(scheduler, "n_grid", None):
        return torch.cat([out] * scheduler.n_grid, dim=-1)
    return torch.cat([out, out], dim=1) if "learned" in str(scheduler.config.get("variance_type")) else out


@pytest.fixture
def noise_on_the_device(fake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in for torchsde draws on the CPU; the real one does where the latents are."""
    draw = loops.Brownian.__call__
    monkeypatch.setattr(loops.Brownian, "__call__", lambda tree, *span: fake.upload(draw(tree, *span)))


@pytest.mark.usefixtures("noise_on_the_device")
@pytest.mark.parametrize(("one", "dtype"), RUNS, ids=lambda value: str(value).removeprefix("torch."))
def test_steering_asks_for_launches_alone(one: Any, dtype: Any, fake: Any) -> None:
    plain, plain_before, plain_steps = run(fake, loops.make(one), one, dtype)
    scheduler = loops.make(one, cutoff=0.0, kernel="l2")  # whatever the scale
    steered, before, steps = run(fake, scheduler, one, dtype)
    assert steered.device == plain.device == torch.device("cuda", 0)
    assert steered.dtype == plain.dtype
    assert steered.shape == plain.shape
    assert not torch.equal(fake.download(steered), fake.download(plain)), "nothing was steered"
    copied = before.waits - plain_before.waits
    assert copied.total() <= TABLES
    assert all(where.startswith("copy to cpu real/plugin/call.py") for where in copied)
    assert before.uploads == plain_before.uploads
    for index, (counts, known) in enumerate(zip(steps, plain_steps, strict=True)):
        asked = counts.waits - known.waits
        assert asked.total() <= (GIVEN.get(one.name, 0) if index == 0 else 0), f"step {index}: {asked}"
        assert all(where.startswith("copy to cpu real/plugin/call.py") for where in asked)
        assert counts.uploads.total() <= known.uploads.total(), f"step {index}: {counts.uploads - known.uploads}"
        assert counts.float64.total() <= known.float64.total(), f"step {index}: {counts.float64 - known.float64}"
        most = LAUNCHES_OF_THE_USUAL if one.name[: -len("Scheduler")] in ALL_DTYPES else LAUNCHES
        assert counts.launches.total() - known.launches.total() <= most, counts.launches - known.launches
