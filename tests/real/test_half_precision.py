"""Half precision from end to end on the CPU: the result is float32's, within bounds that the dtype explains.

Rounding is a part of 2^-11 of a value in float16 and 2^-8 in bfloat16. The networks' own layers add up many of these,
and each step of a run those of the one before. Differences are parts of the latents' standard deviation, so the bounds
hold for latents of any scale.
"""

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler, UNet2DConditionModel  # noqa: E402

from kds_ref import select_particle  # noqa: E402
from real.models.codec import decode  # noqa: E402
from real.opening import open_model  # noqa: E402
from real.plugin import steer_scheduler  # noqa: E402
from real.sampling import sample  # noqa: E402
from real.settings import Settings  # noqa: E402

# root mean square of the difference, as a part of the standard deviation of what float32 gives
ROOT_MEAN_SQUARE = {"float16": 0.003, "bfloat16": 0.03}
N, STEPS = 3, 5


def part(given: Any, expected: Any) -> float:
    difference = given.float() - expected.float()
    return float(difference.square().mean().sqrt() / expected.float().std())


@pytest.mark.parametrize("sampler", ["ddim", "dpmpp-2s"])
@pytest.mark.parametrize("dtype", ROOT_MEAN_SQUARE)
def test_the_bundled_model(dtype: str, sampler: str) -> None:
    """Its latents, the ensemble's trace, and the decoded picture."""
    condition = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    wide, half = (open_model(device="cpu", dtype=kind) for kind in ("float32", dtype))
    settings = Settings(particles=N, steps=STEPS, sampler=sampler, cutoff=0.0)
    expected, drawn = (sample(model, condition, settings) for model in (wide, half))

    assert half.unet.dtype == getattr(torch, dtype)
    assert drawn.latents.dtype == torch.float32  # the sampler and the steering stay in it
    assert 0.0 < part(drawn.latents, expected.latents) <= ROOT_MEAN_SQUARE[dtype]
    for ours, theirs in zip(drawn.trace, expected.trace, strict=True):
        assert ours["effective_particles"] == pytest.approx(theirs["effective_particles"], rel=0.1)
    pictures = [decode(model, x.latents[:1], height=64, width=64) for model, x in ((wide, expected), (half, drawn))]
    assert np.abs(pictures[0].astype(int) - pictures[1]).mean() <= 255 * ROOT_MEAN_SQUARE[dtype]


@pytest.fixture(scope="module")
def unet() -> Any:
    """A text-conditioned UNet with random weights, as pipelines have them."""
    torch.manual_seed(0)
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        block_out_channels=(16, 32),
        layers_per_block=1,
        cross_attention_dim=16,
        attention_head_dim=8,
        norm_num_groups=8,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    ).eval()


@torch.no_grad()
def run(network: Any, scheduler: Any, dtype: Any) -> tuple[Any, Any]:
    """A pipeline's loop in one dtype throughout, as with `torch_dtype=`."""
    network = network.to(dtype)
    scheduler.set_timesteps(STEPS)
    generator = torch.Generator().manual_seed(1)
    x = (torch.randn(N, 4, 8, 8, generator=generator) * float(scheduler.init_noise_sigma)).to(dtype)
    text = torch.randn(N, 6, 16, generator=generator).to(dtype)
    for t in scheduler.timesteps:
        output = network(scheduler.scale_model_input(x, t), t, encoder_hidden_states=text).sample
        x = scheduler.step(output, t, x).prev_sample
    return x, scheduler.kds


@pytest.mark.parametrize("kind", [DDIMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler])
@pytest.mark.parametrize("dtype", ROOT_MEAN_SQUARE)
def test_a_pipelines_loop(dtype: str, kind: Any, unet: Any) -> None:
    options = {"clip_sample": False} if kind is DDIMScheduler else {}

    def steered() -> Any:
        plain = kind(beta_schedule="scaled_linear", prediction_type="v_prediction", **options)
        return steer_scheduler(plain, num_particles=N, bandwidth=1.0, cutoff=0.0)

    expected, known = run(unet, steered(), torch.float32)
    drawn, kds = run(unet, steered(), getattr(torch, dtype))
    unet.to(torch.float32)
    assert drawn.dtype == getattr(torch, dtype)
    assert 0.0 < part(drawn, expected) <= ROOT_MEAN_SQUARE[dtype]
    assert [record.strength for record in kds.trace] == [0.3] * STEPS
    for ours, theirs in zip(kds.trace, known.trace, strict=True):
        assert ours.effective_particles == pytest.approx(theirs.effective_particles, rel=0.05)
    assert int(kds.select().particle[0]) == int(select_particle(drawn))
