"""A model's forward pass in parts of the batch gives what the whole batch gives."""

from dataclasses import dataclass
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
from diffusers.utils import BaseOutput  # noqa: E402

from real.plugin.batching import split_batches, unsplit_batches  # noqa: E402


@dataclass
class Output(BaseOutput):
    sample: Any
    residuals: Any = None


class Network(torch.nn.Module):
    """Takes what diffusers' networks take, and notes how many rows it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []

    def forward(
        self,
        sample: Any,
        timestep: Any,
        added: Any = None,
        residuals: Any = None,
        img_ids: Any = None,
        kind: str = "out",
    ) -> Any:
        self.seen.append(len(sample))
        out = sample * 2.0 + timestep.reshape(-1, 1)
        if added is not None:
            out = out + added["text"] + added["size"][0]
        if residuals is not None:
            out = out + residuals[0] + residuals[1]
        if img_ids is not None:
            out = out + img_ids.sum()
        return {"out": Output(sample=out), "tuple": (out, [out, out + 1], None), "text": "text"}[kind]


def rows(seed: int, count: int = 5) -> Any:
    return torch.randn(count, 2, generator=torch.Generator().manual_seed(seed))


ARGUMENTS: dict[str, Any] = {
    "added": {"text": rows(1), "size": [rows(2)]},
    "residuals": (rows(3), rows(4)),
    "img_ids": rows(5),  # as long as the batch by chance
}


@pytest.mark.parametrize(("size", "parts"), [(1, [1] * 5), (2, [2, 2, 1]), (5, [5]), (64, [5])])
@pytest.mark.parametrize("timestep", [torch.tensor(3.0), torch.arange(5.0)])
def test_parts_give_what_the_whole_gives(size: int, parts: list[int], timestep: Any) -> None:
    network = Network()
    whole = network(rows(0), timestep, **ARGUMENTS).sample
    split_batches(network, size)
    network.seen.clear()
    result = network(rows(0), timestep, **ARGUMENTS)
    assert isinstance(result, Output)
    assert torch.equal(result.sample, whole)
    assert result.residuals is None
    assert network.seen == parts
    first, (second, third), nothing = network(rows(0), timestep, kind="tuple", **ARGUMENTS)
    assert torch.equal(first, whole)
    assert torch.equal(second, whole)
    assert torch.equal(third, whole + 1)
    assert nothing is None


def test_it_can_be_changed_and_taken_back() -> None:
    network = Network()
    split_batches(network, 4)
    split_batches(network, 2)
    network(rows(0), torch.tensor(1.0))
    assert network.seen == [2, 2, 1]
    unsplit_batches(network)
    unsplit_batches(network)
    network(sample=rows(0), timestep=torch.tensor(1.0))
    assert network.seen[3:] == [5]


def test_what_cannot_be_done_is_refused() -> None:
    network = Network()
    for size in (0, True, 1.5):
        with pytest.raises(ValueError, match="max_batch"):
            split_batches(network, size)
    with pytest.raises(TypeError, match=r"model must be a torch module such as pipe\.unet, got str"):
        split_batches("unet", 1)
    split_batches(network, 2)
    with pytest.raises(TypeError, match=r"must return tensors.*got str"):
        network(rows(0), torch.tensor(1.0), kind="text")
