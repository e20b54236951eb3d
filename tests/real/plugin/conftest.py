"""Small pictures for the pipelines of diffusers, and one thread; the networks are in the conftest above."""

from collections.abc import Iterator
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")


@pytest.fixture(autouse=True, scope="package")
def one_thread() -> Iterator[None]:
    """Networks this small gain nothing from threads, and lose much where other work keeps the cores busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def picture() -> Any:
    """(1, 3, 16, 16) in [0, 1]."""
    return torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(3))


@pytest.fixture
def mask() -> Any:
    """(1, 1, 16, 16): the centre is to be painted."""
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., 4:12, 4:12] = 1.0
    return mask
