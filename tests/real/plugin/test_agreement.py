"""The reference and the plug-in agree: kds_ref's samplers against diffusers' pipeline with a steered scheduler.

On the bundled model: the same noise, the same chosen particle, the same latents.
"""

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("transformers")  # diffusers hides the pipeline without it
from diffusers import DDIMScheduler, DPMSolverSinglestepScheduler, LDMSuperResolutionPipeline  # noqa: E402

from real import open_model  # noqa: E402
from real.images.photos import sample_photo  # noqa: E402
from real.models.codec import decode, padded_condition  # noqa: E402
from real.models.latent import BUNDLED, LatentModel  # noqa: E402
from real.plugin import particle_generators, repeat_for_particles, steer_scheduler  # noqa: E402
from real.sampling import Particles, sample  # noqa: E402
from real.settings import Settings  # noqa: E402

# 8 divides 1000: with other numbers diffusers' DDIM steps to t - 1000 // steps, which its trailing grid does not hold
N, STEPS = 3, 8
SOLVER = {"solver_order": 2, "algorithm_type": "dpmsolver++", "lower_order_final": True, "final_sigmas_type": "zero"}


@pytest.fixture(scope="module")
def model() -> LatentModel:
    return open_model(device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def pipeline() -> Any:
    pipe = LDMSuperResolutionPipeline.from_pretrained(BUNDLED)
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture(scope="module")
def lows() -> list[np.ndarray]:
    """Two low-resolution photos, 24 x 24."""
    photo = sample_photo()
    return [np.ascontiguousarray(photo[y : y + 96 : 4, x : x + 96 : 4]) for y, x in ((32, 32), (90, 60))]


def ours(model: LatentModel, low: np.ndarray, sampler: str, seed: int = 0, **options: Any) -> Particles:
    settings = Settings(particles=N, steps=STEPS, sampler=sampler, seed=seed, **options)
    return sample(model, padded_condition(low, model), settings)


def scheduler_of(sampler: str, config: Any) -> Any:
    return (
        DDIMScheduler.from_config(config)
        if sampler == "ddim"
        else DPMSolverSinglestepScheduler.from_config(config, **SOLVER)
    )


def theirs(pipeline: Any, condition: Any, scheduler: Any, seed: Any = 0) -> Any:
    """Run the pipeline as it is, with one condition a row; its pictures as np.ndarray."""
    pipeline.scheduler = scheduler
    generators = particle_generators(N, seed=seed, layout=scheduler.kds.layout)
    with torch.no_grad():
        return pipeline(condition, num_inference_steps=STEPS, eta=0.0, generator=generators, output_type="np").images


@pytest.mark.parametrize("sampler", ["ddim", "dpmpp-2s"])
def test_reference_and_plug_in_agree_on_the_bundled_model(
    sampler: str, model: LatentModel, pipeline: Any, lows: list[np.ndarray]
) -> None:
    expected = ours(model, lows[0], sampler, bandwidth=0.6)
    plain = sample(
        model, padded_condition(lows[0], model), Settings(particles=N, steps=STEPS, sampler=sampler), steered=False
    )
    condition = repeat_for_particles(padded_condition(lows[0], model), N)
    scheduler = steer_scheduler(
        scheduler_of(sampler, pipeline.scheduler.config), num_particles=N, bandwidth=0.6, hand_on="chosen"
    )
    images = theirs(pipeline, condition, scheduler)
    assert torch.allclose(scheduler.kds.latents, expected.latents, rtol=0.0, atol=1e-4)
    assert not torch.allclose(plain.latents, expected.latents, rtol=0.0, atol=1e-2)  # steering did something
    choice = scheduler.kds.select()
    assert int(choice.particle[0]) == expected.chosen
    steered = [record for record in scheduler.kds.trace if record.strength > 0]
    assert [record.timestep for record in steered] == [row["t"] for row in expected.trace]
    for record, row in zip(steered, expected.trace, strict=True):
        assert record.effective_particles == pytest.approx(row["effective_particles"], abs=1e-3)
        assert record.shift_norm == pytest.approx(row["shift_norm"], abs=1e-4)
    # only the chosen particle was decoded, and it is the picture of the reference
    assert images.shape == (1, 96, 96, 3)
    picture = decode(model, expected.latents[expected.chosen], height=96, width=96)
    assert np.abs(picture / 255 - images[0]).max() < 0.5 / 255 + 1e-3


@pytest.mark.parametrize("layout", ["grouped", "tiled"])
def test_two_images_in_one_call_are_two_calls(
    layout: str, model: LatentModel, pipeline: Any, lows: list[np.ndarray]
) -> None:
    conditions = torch.cat([padded_condition(low, model) for low in lows])
    rows = repeat_for_particles(conditions, N) if layout == "grouped" else conditions.repeat(N, 1, 1, 1)
    scheduler = steer_scheduler(
        DDIMScheduler.from_config(pipeline.scheduler.config), num_particles=N, bandwidth=0.6, layout=layout
    )
    theirs(pipeline, rows, scheduler, seed=[0, 5])
    choice = scheduler.kds.select()
    for b, seed in enumerate((0, 5)):
        alone = ours(model, lows[b], "ddim", seed=seed, bandwidth=0.6)
        assert int(choice.particle[b]) == alone.chosen
        assert torch.allclose(choice.latents[b], alone.latents[alone.chosen], rtol=0.0, atol=1e-4)


def test_without_steering_particles_do_not_know_each_other(
    model: LatentModel, pipeline: Any, lows: list[np.ndarray]
) -> None:
    """Also with noise inside the steps, which this pipeline would draw from torch's global generator."""
    condition = padded_condition(lows[0], model)
    latents = {}
    for count in (2, 3):
        pipeline.scheduler = steer_scheduler(
            DDIMScheduler.from_config(pipeline.scheduler.config), num_particles=count, strength=0.0, seed=4
        )
        generators = particle_generators(count, seed=4)
        with torch.no_grad():
            pipeline(repeat_for_particles(condition, count), num_inference_steps=3, eta=1.0, generator=generators)
        latents[count] = pipeline.scheduler.kds.latents
    assert torch.allclose(latents[2], latents[3][:2], rtol=0.0, atol=1e-4)
    assert not torch.allclose(latents[3][2], latents[3][0], atol=1e-2)
