"""The harness itself: what it must see, and that values and shapes are torch's."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from fake_cuda import CudaTensor  # noqa: E402

CPU = torch.arange(6.0).reshape(2, 3)


def test_it_says_cuda_and_computes_as_the_cpu(fake: Any) -> None:
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]], device="cuda")
    y = (x @ x).softmax(-1)[0, 1:]
    assert (y.device, y.is_cuda, y.is_cpu, y.device.type) == (torch.device("cuda", 0), True, False, "cuda")
    expected = torch.tensor([[7.0, 10.0], [15.0, 22.0]]).softmax(-1)[0, 1:]
    assert torch.equal(fake.download(y), expected)
    assert torch.zeros_like(x).device == x.new_zeros(2).device == torch.empty(2, device="cuda:0").device == x.device
    assert torch.ones(2).device.type == torch.zeros_like(x, device="cpu").device.type == "cpu"


def test_writing_into_a_view_changes_the_whole(fake: Any) -> None:
    x = fake.upload(CPU)
    x[:, 1] += 10.0
    x[0, 2:] = -1.0
    assert fake.download(x).tolist() == [[0.0, 11.0, -1.0], [3.0, 14.0, 5.0]]
    assert CPU[0, 1] == 1.0


def test_devices_do_not_meet(fake: Any) -> None:
    x = fake.upload(CPU)
    with pytest.raises(RuntimeError, match=r"mul: a tensor of the CPU, \(2, 3\), meets one of cuda"):
        x * CPU
    with pytest.raises(RuntimeError, match="index: a tensor of the CPU"):
        x[torch.tensor([0, 1])]
    with pytest.raises(TypeError, match="numpy"):
        np.asarray(x)
    with pytest.raises(TypeError, match="numpy"):
        x.numpy()
    assert (x * torch.tensor(2.0)).device.type == "cuda"  # torch takes a single number from the CPU


@pytest.mark.parametrize(
    "read",
    [
        lambda x: x[0, 1].item(),
        lambda x: float(x.sum()),
        lambda x: bool((x > 0).all()),
        lambda x: int(x.argmax()),
        lambda x: x.tolist(),
        lambda x: x.cpu(),
        lambda x: x.to("cpu", torch.float16),
        lambda x: x[x > 1.0],
        lambda x: torch.nonzero(x),
        lambda x: torch.equal(x, x),
        lambda x: CPU[x[0, 1].long()],
        lambda x: x[:, x[0, 1].long()],
        lambda x: torch.full((2,), x[0, 1]),
    ],
)
def test_every_read_of_a_value_is_a_wait(read: Callable[[Any], object], fake: Any) -> None:
    x = fake.upload(CPU)
    with fake.count() as counts:
        read(x)
    assert counts.waits.total() == 1
    assert not counts.clean


def test_what_does_not_wait_is_not_counted_as_a_wait(fake: Any) -> None:
    x = fake.upload(CPU)
    with fake.count() as counts:
        torch.where(x > 1.0, x, 0.0)[:, x.argmax(dim=1)].unsqueeze(0).to(torch.float16)
        x.to("cpu", non_blocking=True)
        assert (x.shape, x.dtype, len(x), x.device.type) == ((2, 3), torch.float32, 2, "cuda")
    assert not counts.waits


def test_launches_and_bytes(fake: Any) -> None:
    x = fake.upload(CPU)
    with fake.count() as counts:
        y = x.permute(1, 0).reshape(3, 2)[:2].unsqueeze(0)  # (1, 2, 2), views
    assert (counts.launches.total(), counts.bytes) == (0, 0)
    with fake.count() as counts:
        torch.ones(4, device="cuda") + 1.0
        (y * 2.0).sum()
    assert counts.launches == {"ones": 1, "add": 1, "mul": 1, "sum": 1}
    assert counts.bytes == 32 + 32 + 20  # what was filled by `ones` is not counted, only read
    assert counts.clean


def test_uploads_and_float64(fake: Any) -> None:
    with fake.count() as counts:
        torch.tensor([1.0], device="cuda")
        CPU.to("cuda")
        torch.empty(2, 3, device="cuda").copy_(CPU)
        torch.as_tensor(CPU.double(), dtype=torch.float32, device="cuda")
    assert counts.uploads.total() == 4
    assert not counts.float64
    with fake.count() as counts:
        CPU.double().to("cuda", torch.float32)  # torch converts before it copies
        CPU.double().cuda() + 1.0
    assert list(counts.float64) == ["copy elsewhere", "add elsewhere"]


def test_tensors_without_values_have_shapes_and_nothing_to_read(fake: Any) -> None:
    x = fake.upload(torch.empty(10**6, 10**6, device="meta", dtype=torch.float16))
    y = (x.float().mean(0) + torch.ones(10**6, device="cuda"))[::2]
    assert (y.device.type, y.shape, y.dtype) == ("cuda", (500000,), torch.float32)
    y += 1.0
    with pytest.raises(RuntimeError, match="without values is read"):
        float(y[0])


def test_networks_move_with_their_weights(fake: Any) -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.GroupNorm(2, 4), torch.nn.SiLU())
    image = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    expected = network(image)
    moved = fake.network(network)
    assert all(isinstance(p, CudaTensor) for p in moved.parameters())
    assert torch.equal(fake.download(moved(fake.upload(image))), expected)
    with pytest.raises(RuntimeError, match="meets one of cuda"):
        moved(image)


def test_outside_of_it_there_is_no_gpu(fake: Any) -> None:
    fake._modes.close()
    if not torch.cuda.is_available():
        with pytest.raises((RuntimeError, AssertionError)):
            torch.ones(1, device="cuda")
