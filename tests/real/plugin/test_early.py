"""Early choice in pipelines: the particle nearest at the end of the window; the network sees no other from there."""

import copy
from typing import Any

import pytest

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")
from diffusers import (  # noqa: E402
    DDIMScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    PNDMScheduler,
    RePaintScheduler,
)
from diffusers.utils.import_utils import is_torchsde_available  # noqa: E402

from kds_ref import select_particle  # noqa: E402
from real.plugin import repeat_for_particles, steer_scheduler, unsteer_scheduler  # noqa: E402
from real.plugin.batching import split_batches, unsplit_batches  # noqa: E402
from real.plugin.call import timestep_on  # noqa: E402
from real.plugin.early import choose_early, unchoose_early  # noqa: E402
from real.plugin.schedulers import SUPPORTED  # noqa: E402

N, STEPS = 3, 8


class Network(torch.nn.Module):
    """Predicts noise row by row, and notes how many rows it saw."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Conv2d(2, 2, 3, padding=1)
        self.seen: list[int] = []

    def forward(self, sample: Any, timestep: Any, condition: Any = None, return_dict: bool = False) -> Any:
        self.seen.append(len(sample))
        return (self.layer(sample) + condition,)


def rows(count: int, layout: str, seed: int = 0) -> Any:
    images = torch.randn(count, 2, 4, 4, generator=torch.Generator().manual_seed(seed))
    return images if layout == "grouped" else images.unflatten(0, (-1, N)).transpose(0, 1).flatten(0, 1)


def loop(network: Network, scheduler: Any, *, images: int, layout: str, guided: bool = False) -> Any:
    """What a pipeline does: the networks' rows are doubled where there is guidance."""
    x = rows(images * N, layout)
    condition = repeat_for_particles(torch.arange(images).reshape(-1, 1, 1, 1) / 10, N)
    condition = condition if layout == "grouped" else condition.unflatten(0, (-1, N)).transpose(0, 1).flatten(0, 1)
    scheduler.set_timesteps(STEPS)
    with torch.no_grad():
        for t in scheduler.timesteps:
            inputs = torch.cat([x, x]) if guided else x
            conditions = torch.cat([0 * condition, condition]) if guided else condition
            eps = network(scheduler.scale_model_input(inputs, t), t, condition=conditions)[0]
            if guided:
                null, eps = eps.chunk(2)
                eps = null + 2.0 * (eps - null)
            x = scheduler.step(eps, t, x, return_dict=False)[0]
    return x


@pytest.mark.parametrize("layout", ["grouped", "tiled"])
@pytest.mark.parametrize("guided", [False, True])
@pytest.mark.parametrize("kind", [DDIMScheduler, PNDMScheduler, EulerDiscreteScheduler])
def test_the_chosen_rows_are_those_of_the_whole_run(kind: Any, guided: bool, layout: str) -> None:
    options = {"clip_sample": False} if kind is DDIMScheduler else {}
    plain = kind(beta_schedule="scaled_linear", **options)
    network, run = Network(), {"images": 2, "layout": layout, "guided": guided}
    scheduler = steer_scheduler(plain, num_particles=N, bandwidth="median", layout=layout)
    whole = loop(network, scheduler, **run)
    at_cutoff = scheduler.kds.x0
    grouped = at_cutoff if layout == "grouped" else at_cutoff.unflatten(0, (N, 2)).transpose(0, 1).flatten(0, 1)
    nearest = select_particle(grouped.unflatten(0, (2, N)), sample_ndim=3)
    steered = sum(record.strength > 0 for record in scheduler.kds.trace)
    network.seen.clear()
    choose_early(network, scheduler)
    early = loop(network, scheduler, **run)
    copies = 2 if guided else 1
    assert network.seen == [copies * 2 * N] * steered + [copies * 2] * (len(scheduler.kds.trace) - steered)
    assert 0 < steered < len(scheduler.kds.trace)
    choice = scheduler.kds.select(early)
    assert torch.equal(choice.particle, nearest)
    torch.testing.assert_close(choice.latents, whole[choice.rows], rtol=1e-5, atol=1e-5)
    scheduler.kds.early = (nearest + 1) % N
    assert torch.equal(scheduler.kds.select(early).particle, scheduler.kds.early)  # the choice is not made again
    unchoose_early(network)
    assert torch.equal(loop(network, scheduler, **run), whole)  # and nothing is remembered
    assert scheduler.kds.early is None


def test_it_goes_with_micro_batches() -> None:
    network = Network()
    scheduler = steer_scheduler(DDIMScheduler(clip_sample=False), num_particles=N, bandwidth="median")
    whole = loop(network, scheduler, images=1, layout="grouped", guided=True)
    split_batches(network, 4)
    choose_early(network, scheduler)
    network.seen.clear()
    early = loop(network, scheduler, images=1, layout="grouped", guided=True)
    steered = sum(record.strength > 0 for record in scheduler.kds.trace)
    assert network.seen == [4, 2] * steered + [2] * (STEPS - steered)
    choice = scheduler.kds.select(early)
    torch.testing.assert_close(choice.latents, whole[choice.rows], rtol=1e-5, atol=1e-5)


def test_what_cannot_be_done_is_refused() -> None:
    network, plain = Network(), DDIMScheduler(clip_sample=False)
    with pytest.raises(TypeError, match="not steered"):
        choose_early(network, plain)
    with pytest.raises(ValueError, match="cutoff_in"):
        choose_early(network, steer_scheduler(plain, num_particles=N, cutoff_in="noise"))
    for options in ({"cutoff": 1.0}, {"strength": 0.0}):
        scheduler = steer_scheduler(plain, num_particles=N, **options)
        choose_early(network, scheduler)
        with pytest.raises(ValueError, match="early_choice must come after a step that is steered, got none"):
            loop(network, scheduler, images=1, layout="grouped")
    scheduler = steer_scheduler(plain, num_particles=N)
    choose_early(network, scheduler)
    scheduler.set_timesteps(STEPS)
    for t in scheduler.timesteps[:-1]:
        scheduler.step(rows(N, "grouped"), t, rows(N, "grouped"))
    with pytest.raises(ValueError, match="must be a multiple of the ensembles' 3, got 4"):
        network(rows(N + 1, "grouped"), scheduler.timesteps[-1], condition=0.0)
    with pytest.raises(ValueError, match="jump back in time"):
        choose_early(network, steer_scheduler(RePaintScheduler(clip_sample=False), num_particles=N))


@pytest.mark.filterwarnings("ignore:.*clips predicted clean samples:UserWarning")
@pytest.mark.parametrize("name", [name for name, family in SUPPORTED.items() if not family.counts_training_steps])
def test_timesteps_that_count_no_training_steps_are_refused(name: str) -> None:
    if name.startswith("Cosine") and not is_torchsde_available():
        pytest.skip("needs torchsde")
    scheduler = steer_scheduler(getattr(diffusers, name)(), num_particles=N)
    with pytest.raises(TypeError, match=f"count training steps.*{name}"):
        choose_early(Network(), scheduler)


def test_the_scheduler_says_when_the_window_closes_not_the_number_that_the_network_is_given() -> None:
    """The transformers of Flux and Qwen-Image are given t/1000."""

    class Thousandth(Network):
        def forward(self, sample: Any, timestep: Any, condition: Any = None) -> Any:
            assert float(timestep) <= 1.0
            return super().forward(sample, timestep, condition)

    network = Thousandth()
    scheduler = steer_scheduler(FlowMatchEulerDiscreteScheduler(), num_particles=N, bandwidth="median")
    choose_early(network, scheduler)
    scheduler.set_timesteps(STEPS)
    x = rows(N, "grouped")
    with torch.no_grad():
        for t in scheduler.timesteps:
            x = scheduler.step(network(x, t / 1000, condition=0.0)[0], t, x, return_dict=False)[0]
    steered = [record.strength > 0 for record in scheduler.kds.trace]
    assert network.seen == [N if now else 1 for now in steered]
    assert 0 < sum(steered) < STEPS


ONE: dict[str, Any] = {"images": 1, "layout": "grouped"}


def hooked(**options: Any) -> tuple[Network, Any]:
    network = Network()
    scheduler = steer_scheduler(DDIMScheduler(clip_sample=False), num_particles=N, bandwidth="median", **options)
    choose_early(network, scheduler)
    return network, scheduler


@pytest.mark.parametrize("other", ["unsteered", "another"])
@pytest.mark.parametrize("before", ["nothing", "a whole run", "half a run"])
def test_a_scheduler_that_does_not_step_is_noticed(other: str, before: str) -> None:
    """The hook would choose by the run before, or by a scheduler that took the place of this one."""
    network, scheduler = hooked()
    if before == "a whole run":
        loop(network, scheduler, **ONE)
    if before == "half a run":
        steps, scheduler.step = iter(range(STEPS - 2)), scheduler.step

        def interrupted(*args: Any, step: Any = scheduler.step, **options: Any) -> Any:
            next(steps)
            return step(*args, **options)

        scheduler.step = interrupted
        with pytest.raises(StopIteration):
            loop(network, scheduler, **ONE)
        del scheduler.step
    plain = DDIMScheduler(clip_sample=False)
    now = unsteer_scheduler(scheduler) if other == "unsteered" else steer_scheduler(plain, num_particles=N)
    with pytest.raises(RuntimeError, match="must step the scheduler"):
        loop(network, now, **ONE)
    choose_early(network, scheduler)
    loop(network, scheduler, **ONE)
    assert scheduler.kds.early is not None


def test_a_run_of_one_timestep_after_a_finished_one_is_noticed() -> None:
    network, scheduler = hooked(cutoff=0.0)
    loop(network, scheduler, **ONE)
    with pytest.raises(RuntimeError, match="must step the scheduler"), torch.no_grad():
        network(rows(N, "grouped"), scheduler.timesteps[-1], condition=0.0)


class Pipeline:
    """A network and its scheduler, to be copied together."""

    def __init__(self, network: Network, scheduler: Any) -> None:
        self.network, self.scheduler = network, scheduler


def test_a_copied_pipeline_chooses_by_its_own_scheduler() -> None:
    pipeline = Pipeline(*hooked())
    twin = copy.deepcopy(pipeline)
    with torch.no_grad():
        for weight in twin.network.parameters():
            weight.mul_(-1.0)
    expected = loop(pipeline.network, pipeline.scheduler, **ONE)
    pipeline.network.seen.clear()
    other = loop(twin.network, twin.scheduler, **ONE)
    assert twin.scheduler.kds.early is not None
    assert not torch.allclose(other, expected, atol=1e-2)
    assert pipeline.network.seen == []
    alone = copy.deepcopy(pipeline.network)  # its scheduler is a copy that nobody steps
    with pytest.raises(RuntimeError, match="must step the scheduler"):
        loop(alone, pipeline.scheduler, **ONE)


@pytest.mark.parametrize("first", ["split", "early"])
def test_taking_one_hook_off_leaves_the_other(first: str) -> None:
    network = Network()
    scheduler = steer_scheduler(DDIMScheduler(clip_sample=False), num_particles=N, bandwidth="median")
    for name in (first, "early" if first == "split" else "split"):
        split_batches(network, 2) if name == "split" else choose_early(network, scheduler)
    unsplit_batches(network)
    loop(network, scheduler, **ONE)
    steered = sum(record.strength > 0 for record in scheduler.kds.trace)
    assert network.seen == [N] * steered + [1] * (STEPS - steered)
    split_batches(network, 2)
    unchoose_early(network)
    network.seen.clear()
    loop(network, scheduler, **ONE)
    assert network.seen == [2, 1] * STEPS


def test_the_choice_is_looked_up_once_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    network, scheduler = hooked()
    calls: list[Any] = []
    select = type(scheduler.kds).select
    monkeypatch.setattr(type(scheduler.kds), "select", lambda *args: calls.append(args) or select(*args))
    for run in (1, 2):
        loop(network, scheduler, **ONE)
        assert len(calls) == run


@pytest.mark.parametrize("number_goes_along", [False, True])
def test_the_hook_waits_for_no_device(number_goes_along: bool) -> None:
    """On "meta" every `.item()`, `bool()` and `.cpu()` is an error."""
    network, scheduler = hooked()
    network.to("meta")
    scheduler.set_timesteps(STEPS)
    scheduler.timesteps, table = scheduler.timesteps.to("meta"), scheduler.timesteps
    scheduler.kds.host["timesteps"] = scheduler.timesteps, table
    scheduler.kds.x0 = rows(N, "grouped").to("meta")
    for index, seen in ((0, N), (-1, 1)):
        t = timestep_on("meta", int(table[index])) if number_goes_along else scheduler.timesteps[index].expand(N)
        network(rows(N, "grouped").to("meta"), t, condition=torch.zeros(N, 1, 1, 1, device="meta"))
        assert network.seen[-1] == seen
        scheduler.kds.record(STEPS - 2, 0.0, 0.0, 0.0, None)
    assert scheduler.kds.early.shape == (1,)
