"""A GPU for machines without one; see `fake_cuda`."""

from collections.abc import Iterator
from typing import Any

import pytest

torch = pytest.importorskip("torch")
from fake_cuda import FakeCuda  # noqa: E402


@pytest.fixture
def fake() -> Iterator[Any]:
    """A `FakeCuda`, without gradients."""
    with FakeCuda() as cuda, torch.no_grad():
        yield cuda
