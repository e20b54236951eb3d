"""On a real GPU: what the tests with fake tensors say of waits and devices, said by CUDA itself."""

from collections.abc import Iterator
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
from diffusers import DDIMScheduler  # noqa: E402

from kds_ref import KernelDensitySteering, ddim, scaled_linear_schedule, select_particle, steer, time_grid  # noqa: E402
from real.opening import open_model  # noqa: E402
from real.plugin import steer_scheduler  # noqa: E402
from real.sampling import sample  # noqa: E402
from real.settings import Settings  # noqa: E402

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU"),
]
DTYPES = {torch.float16: 2e-3, torch.bfloat16: 2e-2, torch.float32: 1e-5}  # rounding of values up to about 4


@pytest.fixture
def no_waits() -> Iterator[None]:
    """Whatever would make the program wait for the GPU is an error."""
    torch.cuda.set_sync_debug_mode("error")
    yield
    torch.cuda.set_sync_debug_mode("default")


def latents(*shape: int, dtype: Any = torch.float32) -> Any:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "options",
    [
        *({"kernel": kernel, "bandwidth": 2.0} for kernel in ("gaussian", "laplacian", "epanechnikov", "flat", "l2")),
        *({"bandwidth": rule} for rule in ("median", "scott", "silverman", "likelihood")),
        {"patch_size": 3, "stride": 2, "scale_with_dimension": True},
    ],
    ids=str,
)
def test_steer_is_that_of_the_cpu_and_does_not_wait(options: dict[str, Any], dtype: Any) -> None:
    x = latents(10, 4, 16, 16, dtype=dtype)
    moved = x.cuda()
    torch.cuda.set_sync_debug_mode("error")
    try:
        steered, info = steer(moved, **options)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    expected, known = steer(x, **options)
    torch.testing.assert_close(steered.cpu(), expected, rtol=DTYPES[dtype], atol=DTYPES[dtype])
    torch.testing.assert_close(
        info.effective_particles.cpu(), known.effective_particles, rtol=5 * DTYPES[dtype], atol=5 * DTYPES[dtype]
    )


def test_a_sampler_does_not_wait(no_waits: None) -> None:
    x = torch.randn(10, 4, 16, 16, device="cuda")
    result = ddim(
        lambda x_t, t: torch.tanh(x_t),
        x,
        schedule=scaled_linear_schedule(),
        timesteps=time_grid(10),
        steering=KernelDensitySteering(bandwidth=1.0),
    )
    assert select_particle(result.x0).device == x.device


def test_a_steered_scheduler_adds_no_wait() -> None:
    """With timesteps on the CPU diffusers' DDIM does not wait, and neither does steering."""
    scheduler = steer_scheduler(DDIMScheduler(clip_sample=False), num_particles=10, bandwidth=1.0)
    scheduler.set_timesteps(10)
    x = torch.randn(10, 4, 16, 16, device="cuda", dtype=torch.float16)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for t in scheduler.timesteps:
            x = scheduler.step(torch.tanh(x), t, x).prev_sample
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert x.dtype == torch.float16
    assert len(scheduler.kds.trace) == 10


@pytest.mark.parametrize(("dtype", "bound"), [("float32", 1e-3), ("float16", 0.03), ("bfloat16", 0.2)])
def test_the_bundled_model_is_that_of_the_cpu(dtype: str, bound: float) -> None:
    condition = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    settings = Settings(particles=3, steps=5)
    expected = sample(open_model(device="cpu", dtype="float32"), condition, settings).latents
    drawn = sample(open_model(device="cuda", dtype=dtype), condition.cuda(), settings).latents.cpu()
    assert float((drawn - expected).abs().max() / expected.abs().max()) <= bound


def test_compiled_steering_is_the_same() -> None:
    x = latents(10, 4, 16, 16).cuda()
    torch.testing.assert_close(torch.compile(steer)(x)[0], steer(x)[0], rtol=1e-5, atol=1e-5)
