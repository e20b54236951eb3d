"""The way of several GPUs, as far as one process without a GPU goes: what is exchanged where, and what it waits for.

With Gloo alone the exchange itself is real, in a group of one. With NCCL it is replaced: two ranks that hold the same.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
if not torch.distributed.is_available():
    pytest.skip("torch was built without torch.distributed", allow_module_level=True)
from diffusers import DDIMScheduler  # noqa: E402
from torch import distributed  # noqa: E402

from kds_ref import KernelDensitySteering  # noqa: E402
from real.parallel import collectives  # noqa: E402
from real.parallel.ranks import Ranks, SharedSteering  # noqa: E402
from real.plugin import steer_scheduler  # noqa: E402

STEERING = KernelDensitySteering(bandwidth=1.0)


@pytest.fixture
def group(tmp_path: Path) -> Iterator[None]:
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.fixture
def two_with_nccl(group: None, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A group of two ranks with NCCL for CUDA; gives the tensors that were exchanged."""
    sent: list[Any] = []

    def all_gather(parts: list[Any], own: Any, group: Any = None) -> None:
        sent.append(own)
        for part in parts:
            part.copy_(own)

    monkeypatch.setattr(distributed, "get_world_size", lambda group=None: 2)
    monkeypatch.setattr(distributed, "get_backend_config", lambda group=None: "cpu:gloo,cuda:nccl")
    monkeypatch.setattr(collectives.distributed, "all_gather", all_gather)
    return sent


def latents(n: int) -> Any:
    return torch.randn(n, 3, 6, 6, generator=torch.Generator().manual_seed(0))


@pytest.mark.usefixtures("group")
def test_with_gloo_predictions_go_through_the_processors_memory(fake: Any) -> None:
    x = fake.upload(latents(4))
    with fake.count() as counts:
        steered, info = SharedSteering(STEERING, Ranks())(x, 999)
    assert steered.device == info.effective_particles.device == x.device
    assert torch.equal(fake.download(steered), fake.download(STEERING(x, 999)[0]))
    assert (counts.waits.total(), counts.uploads.total()) == (1, 1)  # there and back; Gloo cannot do without


def test_with_nccl_nothing_leaves_the_device(two_with_nccl: list[Any], fake: Any) -> None:
    x = fake.upload(latents(4))
    with fake.count() as counts:
        steered, info = SharedSteering(STEERING, Ranks())(x, 999)
    assert counts.clean, counts
    header, predictions = two_with_nccl
    assert (header.device.type, predictions.device.type) == ("cpu", "cuda")
    assert steered.shape == x.shape
    assert info.effective_particles.shape[0] == 8  # of both ranks
    whole = fake.upload(torch.cat([fake.download(x)] * 2))
    assert torch.equal(fake.download(steered), fake.download(STEERING(whole, 999)[0])[:4])


@pytest.mark.usefixtures("group")
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_a_shared_scheduler_is_one_process_s(dtype: Any, fake: Any) -> None:
    ends = []
    for shared in (None, distributed.group.WORLD):
        plain = DDIMScheduler(clip_sample=False)
        scheduler = steer_scheduler(plain, num_particles=4, bandwidth=1.0, cutoff=0.0, process_group=shared)
        scheduler.set_timesteps(4, device="cuda")
        x = fake.upload(latents(4).to(dtype))
        for t in scheduler.timesteps:
            x = scheduler.step(torch.tanh(x), t, x).prev_sample
        assert x.dtype == dtype
        assert x.device == scheduler.kds.select().latents.device == torch.device("cuda", 0)
        ends.append(fake.download(x))
    assert torch.equal(*ends)
