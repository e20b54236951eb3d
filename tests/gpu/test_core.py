"""`kds_ref` on a GPU that only says it is one: results, and what a step may ask of the device.

Budgets are those of issue and page: launches of one call of `steer`; no wait, no upload, no float64 in any step.
"""

from typing import Any

import pytest

torch = pytest.importorskip("torch")
import kds_ref  # noqa: E402
from kds_ref import KernelDensitySteering, scaled_linear_schedule, select_particle, steer, time_grid  # noqa: E402

DTYPES = [torch.float16, torch.bfloat16, torch.float32]
KERNELS = ["gaussian", "laplacian", "epanechnikov", "flat", "l2"]
RULES = ["median", "scott", "silverman", "likelihood"]
ROUNDING = {torch.float16: 2e-3, torch.bfloat16: 2e-2, torch.float32: 1e-5}  # of values up to about 4

dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: str(dtype).removeprefix("torch."))


def latents(*shape: int, dtype: Any = torch.float32) -> Any:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype)


def check_steer(fake: Any, x: Any, **options: Any) -> None:
    """Nothing but launches, and the CPU's result in the dtype that came in."""
    moved = fake.upload(x)
    options = {k: fake.upload(v) if isinstance(v, torch.Tensor) else v for k, v in options.items()}
    with fake.count() as counts:
        steered, info = steer(moved, **options)
    assert counts.clean, counts
    results = (steered, info.effective_particles, info.shift_norm)
    assert all(r.device == moved.device and r.dtype == x.dtype for r in results)

    options = {k: fake.download(v) if isinstance(v, torch.Tensor) else v for k, v in options.items()}
    expected, known = steer(x, **options)
    bound = ROUNDING[x.dtype]
    torch.testing.assert_close(fake.download(steered), expected, rtol=bound, atol=bound)
    torch.testing.assert_close(
        fake.download(info.effective_particles), known.effective_particles, rtol=2 * bound, atol=2 * bound
    )


@dtypes
@pytest.mark.parametrize("kernel", KERNELS)
def test_every_kernel(kernel: str, dtype: Any, fake: Any) -> None:
    check_steer(fake, latents(2, 4, 3, 6, 6, dtype=dtype), kernel=kernel, bandwidth=2.0)


@dtypes
@pytest.mark.parametrize("rule", RULES)
def test_every_bandwidth_rule(rule: str, dtype: Any, fake: Any) -> None:
    check_steer(fake, latents(4, 3, 6, 6, dtype=dtype), bandwidth=rule)


@dtypes
@pytest.mark.parametrize(
    "options",
    [
        {"patch_size": 2},
        {"patch_size": 4},
        {"patch_size": 3, "stride": 2, "scale_with_dimension": True},
        {"patch_size": None, "bandwidth": 9.0},
        {"patch_size": 2, "stride": 1, "bandwidth": "median"},
        {"bandwidth": torch.tensor([0.3, 2.0]).reshape(2)},
        {"bandwidth": torch.tensor([[0.5], [1.0]])},
        {"strength": 1.0, "bandwidth": 1e-5},
        {"bandwidth": 1e6},
    ],
    ids=str,
)
def test_patches_and_bandwidths(options: dict[str, Any], dtype: Any, fake: Any) -> None:
    check_steer(fake, latents(2, 4, 3, 6, 6, dtype=dtype), **options)


@pytest.mark.parametrize(
    ("shape", "most"),
    [((10, 4, 64, 64), 40), ((50, 4, 64, 64), 100), ((10, 16, 128, 128), 100), ((8, 10, 4, 64, 64), 100)],
    ids=["N10-4x64x64", "N50-4x64x64", "N10-16x128x128", "8-images"],
)
@dtypes
def test_launches_of_a_steered_step(shape: tuple[int, ...], most: int, dtype: Any, fake: Any) -> None:
    """As many as the work needs, whatever the number of particles and pixels."""
    x = fake.upload(torch.empty(shape, dtype=dtype, device="meta"))
    with fake.count() as counts:
        steered, info = steer(x)
    assert counts.clean, counts
    assert counts.launches.total() <= most, counts.launches
    assert steered.shape == x.shape
    assert info.effective_particles.device == x.device


@dtypes
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("name", ["ddim", "dpm_solver_pp_2s", "dpm_solver_pp_2m"])
def test_every_sampler(name: str, prediction: str, dtype: Any, fake: Any) -> None:
    """From noise to clean latents: no wait and no upload in any of the steps, steered or behind the cut-off."""
    noise = latents(4, 3, 6, 6, dtype=dtype)
    grid = time_grid(6, spacing="leading" if name == "ddim" else "dpm")

    def run(x: Any) -> Any:
        return getattr(kds_ref, name)(
            lambda x_t, t: 0.5 * torch.tanh(x_t) + t / 4000.0,
            x,
            schedule=scaled_linear_schedule(),
            timesteps=grid,
            steering=KernelDensitySteering(bandwidth=1.0),
            prediction_type=prediction,
        ).x0

    moved = fake.upload(noise)
    with fake.count() as counts:
        x0 = run(moved)
    assert counts.clean, counts
    assert (x0.device, x0.dtype) == (moved.device, dtype)
    expected = run(noise).float()
    bound = 30 * ROUNDING[dtype] * max(1.0, float(expected.abs().max()))  # alpha_bar is small at the start
    torch.testing.assert_close(fake.download(x0).float(), expected, rtol=0, atol=bound)


@dtypes
def test_noise_of_stochastic_sampling(dtype: Any, fake: Any) -> None:
    x = fake.upload(latents(4, 3, 6, 6, dtype=dtype))
    with fake.count() as counts:
        kds_ref.ddim(
            lambda x_t, t: 0.5 * x_t,
            x,
            schedule=scaled_linear_schedule(),
            timesteps=time_grid(4),
            steering=KernelDensitySteering(),
            eta=0.7,
            noise=lambda x_t, step: torch.randn(x_t.shape, dtype=x_t.dtype, device=x_t.device),
        )
    assert counts.clean, counts


@dtypes
@pytest.mark.parametrize("shape", [(5, 3, 6, 6), (2, 5, 3, 6, 6)])
def test_the_choice(shape: tuple[int, ...], dtype: Any, fake: Any) -> None:
    z = latents(*shape, dtype=dtype)
    with fake.count() as counts:
        chosen = select_particle(fake.upload(z))
    assert counts.clean, counts
    assert chosen.device.type == "cuda"
    assert torch.equal(fake.download(chosen), select_particle(z))


@dtypes
def test_a_bandwidth_of_the_cpu_is_named(dtype: Any, fake: Any) -> None:
    with pytest.raises(ValueError, match="bandwidth"):
        steer(fake.upload(latents(4, 3, 6, 6, dtype=dtype)), bandwidth=torch.tensor([0.3]))
