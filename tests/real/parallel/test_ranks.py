"""Several processes share an ensemble: the same result as in one, and an error on all where they do not do the same."""

import importlib.util
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("transformers")  # diffusers hides LDM-SR's pipeline without it
if not torch.distributed.is_available():
    pytest.skip("torch was built without torch.distributed", allow_module_level=True)

from diffusers import DDIMScheduler  # noqa: E402

from real import particle_generators, particle_share, steer_scheduler  # noqa: E402
from real.parallel.ranks import Ranks  # noqa: E402

WORKER = Path(__file__).parent / "workers" / "shared_ensembles.py"
PIPELINES = [f"pipeline {layout} {images}" for layout in ("grouped", "tiled") for images in (1, 2)]
LOOPS = [
    f"{kind} {layout} {images}"
    for kind in ("DDIMScheduler", "EulerAncestralDiscreteScheduler")
    for layout in ("grouped", "tiled")
    for images in (1, 2)
]


@pytest.fixture(scope="module")
def worker() -> Any:
    spec = importlib.util.spec_from_file_location("shared_ensembles", WORKER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def alone(worker: Any, tiny_folder: Path) -> dict[str, Any]:
    """What one process gets."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    results = worker.everything(str(tiny_folder))
    torch.set_num_threads(threads)
    return results


@pytest.fixture(scope="module")
def shared(run_all: Any, tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two processes gets."""
    out = tmp_path_factory.mktemp("ranks")
    ended = run_all([[sys.executable, WORKER, rank, 2, out / "store", tiny_folder, out] for rank in range(2)])
    assert [status for status, _ in ended] == [0, 0], ended
    return [torch.load(out / f"{rank}.pt", weights_only=False) for rank in range(2)]


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return bool(torch.equal(one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


@pytest.mark.parametrize("name", [*PIPELINES, "inpainting 1", *LOOPS])
@pytest.mark.parametrize("rank", [0, 1])
def test_a_steered_scheduler_over_two_processes_is_one_process_bit_for_bit(
    name: str, rank: int, alone: dict[str, Any], shared: list[dict[str, Any]]
) -> None:
    """Latents, choice, chosen latents, trace, info, pictures: on every process those of the whole ensemble."""
    one, two = alone[name], shared[rank][name]
    assert one.keys() == two.keys()
    for part in one:
        assert same(one[part], two[part]), part
    images = int(name[-1])
    assert one["latents"].shape[0] == 4 * images
    assert len(one["choice"][0]) == images
    assert any(row[4] and row[4] > 1.05 for row in one["trace"])  # the particles did see each other


@pytest.mark.parametrize("name", ["ddim", "dpmpp-2s", "plain", "early", "early 2s"])
@pytest.mark.parametrize("rank", [0, 1])
def test_the_samplers_over_two_processes_are_one_process_bit_for_bit(
    name: str, rank: int, alone: dict[str, Any], shared: list[dict[str, Any]]
) -> None:
    one, two = alone["samplers"][name], shared[rank]["samplers"][name]
    assert same(one, two)
    early = name.startswith("early")
    assert one["early"] == early
    assert one["latents"].shape[0] == (1 if early else 4)
    assert (one["evaluations"] < 4 * (6 if name == "early 2s" else 4)) == early
    assert (name == "plain") == (one["trace"] == [])


@pytest.mark.parametrize(
    ("case", "error", "words"),
    [
        ("strength", "UserError", ["strength must be the same in all processes, got 0.0 on rank 0 and 0.1 on rank 1"]),
        ("bandwidth", "UserError", ["bandwidth must be the same in all processes, got torch.float32 (1,) #"]),
        ("timesteps", "UserError", ["timesteps must be the same", "got torch.int64 (3,) #", "and torch.int64 (4,) #"]),
        ("sample", "UserError", ["sample must be the same", "got (2, 3, 4, 4) on rank 0 and (4, 3, 4, 4) on rank 1"]),
        ("share", "ValueError", ["as rows, got 3", "num_particles=4 over 2 processes"]),
        ("step", "RankError", ["rank 0 exchanges latents of shape", "rank 1 exchanges x0_pred of shape"]),
        ("num_particles", "UserError", ["num_particles must be a multiple of 2, the number of processes, got 5"]),
        ("settings steps", "UserError", ["steps must be the same in all processes, got 2 on rank 0 and 3 on rank 1"]),
        ("settings seed", "UserError", ["seed must be the same in all processes, got 1 on rank 0 and 0 on rank 1"]),
        ("condition", "UserError", ["condition must be", "got (1, 3, 8, 8) on rank 0 and (1, 3, 8, 6) on rank 1"]),
        ("particles", "UserError", ["num_particles must be a multiple of 2, the number of processes, got 3"]),
        ("part", "ValueError", ["indices", "ranks"]),
        ("early", "ValueError", ["process_group must be None for an early choice, got 2 processes"]),
        ("not a number", "ValueError", ["NaN"]),
        ("not a group", "TypeError", ["process_group must be a group of torch.distributed, got a str"]),
    ],
)
def test_a_mismatch_is_the_same_error_on_every_process(
    case: str, error: str, words: list[str], shared: list[dict[str, Any]]
) -> None:
    first, second = (result["mismatches"][case] for result in shared)
    assert first == second
    assert first.startswith(f"{error}: ")
    assert all(word in first for word in words), first


def test_copies_and_pickles_steer_with_the_group(shared: list[dict[str, Any]]) -> None:
    for rank, result in enumerate(shared):
        found = result["copies"]
        assert all(torch.equal(end, found["ends"][0]) for end in found["ends"])
        assert len(found["ends"][0]) == 4
        assert found["deep copy keeps the group"]
        assert found["from_config is plain"]
        assert found["pickle"].startswith("TypeError: process_group must be the default group to be pickled")
        outside = "no error" if rank == 0 else "ValueError: process_group must be a group that this"
        assert found["outside"].startswith(outside)


def test_a_pickle_of_the_default_group_needs_one_where_it_is_loaded(shared: list[dict[str, Any]]) -> None:
    twin = pickle.loads(shared[0]["copies"]["pickled"])
    twin.set_timesteps(2)
    with pytest.raises(RuntimeError, match="init_process_group"):
        twin.step(torch.zeros(2, 3, 4, 4), twin.timesteps[0], torch.zeros(2, 3, 4, 4))


def test_the_same_noise_on_two_processes_is_warned_of(shared: list[dict[str, Any]]) -> None:
    for result in shared:
        assert len(result["same noise"]) == 1
        assert "particle_share" in result["same noise"][0]


def test_without_a_group_the_message_says_what_to_call() -> None:
    plain = DDIMScheduler(clip_sample=False)
    for call in (Ranks, lambda: particle_share(4), lambda: steer_scheduler(plain, num_particles=4, process_group=1)):
        with pytest.raises(RuntimeError, match="init_process_group"):
            call()


@pytest.mark.parametrize("layout", ["grouped", "tiled"])
def test_generators_of_a_share_are_those_of_the_whole(layout: str) -> None:
    def seeds(**options: Any) -> list[int]:
        return [g.initial_seed() for g in particle_generators(4, seed=[0, 9], layout=layout, **options)]

    whole, first, second = seeds(), seeds(particles=range(2)), seeds(particles=range(2, 4))
    if layout == "tiled":
        assert first + second == whole
    else:
        assert first[:2] + second[:2] + first[2:] + second[2:] == whole
    for wrong in ([], [4], [-1], [1, 1], [True], [0.5]):
        with pytest.raises(ValueError, match="particles"):
            seeds(particles=wrong)
