"""What only an accelerator meets: blocks bounded by memory, limits without a look, values that are not checked.

The accelerator is that of tests/support/fake_cuda.py; kernels, rules, options and samplers on it are in tests/gpu.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from kds_ref import KernelDensitySteering, ddim, linear_schedule, mean_shift, steer, time_grid
from kds_ref.kernels import KERNELS

torch = pytest.importorskip("torch")
from fake_cuda import FakeCuda  # noqa: E402

RULES = ("median", "scott", "silverman", "likelihood")


@pytest.fixture
def fake() -> Iterator[FakeCuda]:
    with FakeCuda() as cuda, torch.no_grad():
        yield cuda


def latents(*shape: int) -> Any:
    return 0.3 * torch.randn(*shape, generator=torch.Generator().manual_seed(0))


# operations of one call, of which the likelihood's follow each other; docs/explanation/performance.md
@pytest.mark.parametrize(("rule", "most"), [("median", 90), ("scott", 90), ("silverman", 90), ("likelihood", 1500)])
def test_a_rule_launches_no_more_for_more_particles(rule: str, most: int, fake: FakeCuda) -> None:
    for n in (10, 50):
        x = fake.upload(torch.empty(n, 4, 64, 64, device="meta"))
        with fake.count() as counts:
            steer(x, bandwidth=rule)
        assert counts.launches.total() <= most
        assert counts.clean, counts


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("options", [{}, {"patch_size": 4, "stride": 2}, {"patch_size": None}], ids=str)
def test_options_together_are_launches_alone(kernel: str, options: dict[str, Any], fake: FakeCuda) -> None:
    x = fake.upload(latents(2, 5, 3, 8, 8))
    for bandwidth in (fake.upload(torch.full((2, 1), 0.3)), *RULES):
        with fake.count() as counts:
            steer(x, kernel=kernel, bandwidth=bandwidth, scale_with_dimension=True, sample_ndim=3, **options)
        assert counts.clean, counts


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("bandwidth", [0.3, 1e-9, 1e9, *RULES])
def test_blocks_give_the_result_of_the_cpu(
    kernel: str, bandwidth: Any, fake: FakeCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = latents(2, 6, 3, 9, 8)
    expected, expected_info = steer(x, kernel=kernel, bandwidth=bandwidth)
    monkeypatch.setattr("kds_ref._blocks._ACCELERATOR_BYTES", 4 * 2 * 72 * 6 * 3 * 2)  # two queries at a time
    moved, info = steer(fake.upload(x), kernel=kernel, bandwidth=bandwidth)
    tolerance = {"rtol": 2e-4, "atol": 2e-5} if bandwidth == "likelihood" else {"rtol": 1e-4, "atol": 1e-6}
    for given, cpu in (
        (moved, expected),
        (info.effective_particles, expected_info.effective_particles),
        (info.shift_norm, expected_info.shift_norm),
    ):
        torch.testing.assert_close(fake.download(given), cpu, **tolerance)


def test_a_block_is_bounded_by_the_memory(fake: FakeCuda, monkeypatch: pytest.MonkeyPatch) -> None:
    x = fake.upload(latents(7, 4, 8, 8))
    one = 64 * 7 * 4 * 4  # bytes of one query's differences at every location

    def launches(allowed: int) -> int:
        monkeypatch.setattr("kds_ref._blocks._ACCELERATOR_BYTES", allowed)
        with fake.count() as counts:
            steer(x)
        return int(counts.launches.total())

    assert launches(one) > launches(3 * one) > launches(7 * one)
    assert launches(3 * one - 1) > launches(3 * one)


def test_nan_in_is_nan_out_where_values_are_not_looked_at(fake: FakeCuda) -> None:
    x = latents(4, 2, 3, 3)
    x[0, 0, 0, 0] = float("nan")
    moved = fake.download(steer(fake.upload(x))[0])
    assert bool(torch.isnan(moved[:, 0, 0, 0]).all())
    assert not bool(torch.isnan(moved[:, :, 1:, 1:]).any())
    with pytest.raises(ValueError, match="x0_pred must"):
        steer(x)


def test_a_cutoff_by_noise_needs_no_look(fake: FakeCuda) -> None:
    x = fake.upload(latents(4, 2, 4, 4))
    steering = KernelDensitySteering(cutoff_nsr=0.5)
    with fake.count() as counts:
        ddim(lambda x, t: 0.5 * x, x, schedule=linear_schedule(), timesteps=time_grid(5), steering=steering)
    assert counts.clean, counts


def test_the_limit_off_the_particles_needs_no_look(fake: FakeCuda) -> None:
    particles = fake.upload(torch.tensor([[0.0], [0.0], [0.0], [0.0], [5.0]]))
    query = fake.upload(torch.tensor([[1.0], [4.0], [2.4]]))
    with fake.count() as counts:
        shift = mean_shift(query, particles, bandwidth="median")
    assert counts.clean, counts
    np.testing.assert_allclose(fake.download(shift).numpy().ravel(), [-1.0, 1.0, -2.4], rtol=1e-6)
