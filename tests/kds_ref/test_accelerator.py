"""What an accelerator needs: few operations, no look at a value, nothing of another device or precision.

The tensors are on the CPU, and `on_accelerator` is told that they are not: the way that is taken is the accelerator's,
its results can be compared, and torch counts the operations.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from kds_ref import KernelDensitySteering, ddim, linear_schedule, mean_shift, steer, time_grid
from kds_ref.kernels import KERNELS

torch = pytest.importorskip("torch")
TorchDispatchMode = pytest.importorskip("torch.utils._python_dispatch").TorchDispatchMode

# what launches no kernel, since it only looks at the same memory in another way
VIEWS = {"view", "_unsafe_view", "expand", "permute", "slice", "select", "unsqueeze", "squeeze", "t", "transpose"}
VIEWS |= {"alias", "detach", "empty", "as_strided", "_reshape_alias", "scalar_tensor", "lift_fresh", "split"}
RULES = ("median", "scott", "silverman", "likelihood")


class Counted(TorchDispatchMode):
    """Counts operations that launch a kernel, and lists looks at values and numbers of double precision."""

    def __init__(self) -> None:
        super().__init__()
        self.launches = 0
        self.looks: list[str] = []
        self.double: list[str] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = function(*args, **(kwargs or {}))
        name = function._schema.name.split("::")[1]
        self.launches += name not in VIEWS
        if name in {"_local_scalar_dense", "item", "nonzero", "is_nonzero", "masked_select"}:
            self.looks.append(name)
        tensors = [one for one in (out if isinstance(out, tuple | list) else [out]) if isinstance(one, torch.Tensor)]
        self.double += [name for one in tensors if one.dtype == torch.float64 and one.ndim]
        return out


@pytest.fixture
def accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch's tensors count as an accelerator's."""
    for module in ("_arrays", "_blocks", "_fast_shift"):
        monkeypatch.setattr(f"kds_ref.{module}.on_accelerator", lambda x: isinstance(x, torch.Tensor))


@contextlib.contextmanager
def counting() -> Iterator[Counted]:
    with Counted() as counted:
        yield counted


def latents(*shape: int, dtype: Any = torch.float32) -> Any:
    return (0.3 * torch.randn(*shape, generator=torch.Generator().manual_seed(0))).to(dtype)


@pytest.mark.parametrize(
    ("shape", "most"),
    [((10, 4, 64, 64), 40), ((50, 4, 64, 64), 100), ((10, 16, 128, 128), 100), ((8, 10, 4, 64, 64), 100)],
)
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_a_step_launches_few_kernels_and_waits_for_none(
    accelerator: None, shape: tuple[int, ...], most: int, dtype: Any
) -> None:
    with torch.device("meta"), counting() as counted:  # shapes alone, so that large ones cost nothing
        steer(torch.empty(*shape, dtype=dtype))
    assert counted.launches <= most
    assert not counted.looks


def test_tensors_with_values_take_the_same_way(accelerator: None) -> None:
    x = latents(10, 4, 64, 64)
    with counting() as counted:
        steer(x)
    assert counted.launches <= 40
    assert not counted.looks


# operations of one call, of which the likelihood's follow each other; docs/explanation/performance.md
@pytest.mark.parametrize(("rule", "most"), [("median", 90), ("scott", 90), ("silverman", 90), ("likelihood", 1500)])
def test_a_rule_launches_no_more_for_more_particles(accelerator: None, rule: str, most: int) -> None:
    with torch.device("meta"):
        few, many = torch.empty(10, 4, 64, 64), torch.empty(50, 4, 64, 64)
        for x in (few, many):
            with counting() as counted:
                steer(x, bandwidth=rule)
            assert counted.launches <= most
            assert not counted.looks


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("options", [{}, {"patch_size": 4, "stride": 2}, {"patch_size": None}], ids=str)
def test_every_way_goes_without_a_look_or_a_double(accelerator: None, kernel: str, options: dict[str, Any]) -> None:
    x = latents(2, 5, 3, 8, 8)
    for bandwidth in (0.3, torch.full((2, 1), 0.3), *RULES):
        with counting() as counted:
            steer(x, kernel=kernel, bandwidth=bandwidth, scale_with_dimension=True, sample_ndim=3, **options)
        assert not counted.looks
        assert not counted.double


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("bandwidth", [0.3, 1e-9, 1e9, *RULES])
def test_the_result_is_that_of_the_cpu(kernel: str, bandwidth: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    x = latents(2, 6, 3, 9, 8)
    expected, expected_info = steer(x, kernel=kernel, bandwidth=bandwidth)
    monkeypatch.setattr("kds_ref._blocks._ACCELERATOR_BYTES", 4 * 2 * 72 * 6 * 3 * 2)  # two queries at a time
    for module in ("_arrays", "_blocks", "_fast_shift"):
        monkeypatch.setattr(f"kds_ref.{module}.on_accelerator", lambda x: True)
    moved, info = steer(x, kernel=kernel, bandwidth=bandwidth)
    tolerance = {"rtol": 2e-4, "atol": 2e-5} if bandwidth == "likelihood" else {"rtol": 1e-4, "atol": 1e-6}
    torch.testing.assert_close(moved, expected, **tolerance)
    torch.testing.assert_close(info.effective_particles, expected_info.effective_particles, **tolerance)
    torch.testing.assert_close(info.shift_norm, expected_info.shift_norm, **tolerance)


def test_a_block_is_bounded_by_the_memory(accelerator: None, monkeypatch: pytest.MonkeyPatch) -> None:
    x = latents(7, 4, 8, 8)
    one = 64 * 7 * 4 * 4  # bytes of one query's differences at every location
    counts = []
    for queries in (1, 3, 7):
        monkeypatch.setattr("kds_ref._blocks._ACCELERATOR_BYTES", queries * one)
        with counting() as counted:
            steer(x)
        counts.append(counted.launches)
    assert counts[0] > counts[1] > counts[2]
    with counting() as counted:
        monkeypatch.setattr("kds_ref._blocks._ACCELERATOR_BYTES", 3 * one - 1)
        steer(x)
    assert counted.launches > counts[1]


def test_nan_in_is_nan_out_where_values_are_not_looked_at(accelerator: None) -> None:
    x = latents(4, 2, 3, 3)
    x[0, 0, 0, 0] = float("nan")
    moved, _ = steer(x)
    assert bool(torch.isnan(moved[:, 0, 0, 0]).all())
    assert not bool(torch.isnan(moved[:, :, 1:, 1:]).any())
    with pytest.raises(ValueError, match="x0_pred must"):
        steer(x.numpy())


def test_a_sampler_looks_at_nothing(accelerator: None) -> None:
    with counting() as counted:
        ddim(
            lambda x, t: 0.5 * x,
            latents(4, 2, 4, 4),
            schedule=linear_schedule(),
            timesteps=time_grid(5),
            steering=KernelDensitySteering(cutoff_nsr=0.5),
        )
    assert not counted.looks
    assert not counted.double


def test_the_limit_off_the_particles_needs_no_look(accelerator: None) -> None:
    particles = torch.tensor([[0.0], [0.0], [0.0], [0.0], [5.0]])
    query = torch.tensor([[1.0], [4.0], [2.4]])
    with counting() as counted:
        shift = mean_shift(query, particles, bandwidth="median")
    assert not counted.looks
    np.testing.assert_allclose(shift.numpy().ravel(), [-1.0, 1.0, -2.4], rtol=1e-6)


