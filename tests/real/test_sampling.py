"""Particles through the model: noise, determinism, padding, guidance, and agreement with diffusers' own pipeline."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from real.degradations.simple import Degradation  # noqa: E402
from real.errors import UserError  # noqa: E402
from real.models.codec import decode, padded_condition  # noqa: E402
from real.models.latent import LatentModel  # noqa: E402
from real.sampling import initial_noise, sample, timesteps_of  # noqa: E402
from real.settings import Settings  # noqa: E402

SETTINGS = Settings(particles=3, steps=4, cutoff=0.0, bandwidth=80.0)  # untrained: latents are far apart


@pytest.fixture
def low(photo: np.ndarray) -> np.ndarray:
    return Degradation()(photo, np.random.default_rng(0))


def test_noise_of_fewer_particles_is_a_prefix() -> None:
    many = initial_noise(10, 4, 6, seed=7)
    assert torch.equal(initial_noise(5, 4, 6, seed=7), many[:5])
    assert not torch.equal(initial_noise(5, 4, 6, seed=8), many[:5])
    assert len({float(n[0, 0, 0]) for n in many}) == 10


def test_same_seed_same_particles(tiny: LatentModel, low: np.ndarray) -> None:
    condition = padded_condition(low, tiny)
    first, second = sample(tiny, condition, SETTINGS), sample(tiny, condition, SETTINGS)
    assert torch.equal(first.latents, second.latents)
    other = sample(tiny, condition, replace(SETTINGS, seed=1))
    assert not torch.equal(first.latents, other.latents)


def test_steering_draws_the_particles_together(tiny: LatentModel, low: np.ndarray) -> None:
    condition = padded_condition(low, tiny)
    plain, steered = (sample(tiny, condition, SETTINGS, steered=s) for s in (False, True))
    assert float(steered.latents.var(0).mean()) < 0.9 * float(plain.latents.var(0).mean())
    assert len(steered.trace) == 4
    assert plain.trace == []
    assert all(1 <= row["effective_particles"] <= 3 for row in steered.trace)


def test_the_kernel_and_a_rule_for_the_bandwidth_reach_the_steering(tiny: LatentModel, low: np.ndarray) -> None:
    condition = padded_condition(low, tiny)
    mean = sample(tiny, condition, replace(SETTINGS, kernel="l2", strength=1.0)).latents
    assert float(mean.var(0).max()) < 1e-6 * float(mean.var())  # equal weights and the whole shift: all at the mean
    ruled = sample(tiny, condition, replace(SETTINGS, bandwidth="median"))
    assert not torch.equal(ruled.latents, sample(tiny, condition, SETTINGS).latents)
    assert all(1.05 < row["effective_particles"] < 3 for row in ruled.trace)
    for wrong in ({"kernel": "heavy"}, {"bandwidth": "guess"}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Settings(**wrong)


def test_strength_zero_is_the_plain_sampler(tiny: LatentModel, low: np.ndarray) -> None:
    condition = padded_condition(low, tiny)
    plain = sample(tiny, condition, SETTINGS, steered=False)
    assert torch.equal(sample(tiny, condition, replace(SETTINGS, strength=0.0)).latents, plain.latents)


@pytest.mark.parametrize("sampler", ["ddim", "dpmpp-2s"])
def test_a_particle_does_not_depend_on_its_companions(tiny: LatentModel, low: np.ndarray, sampler: str) -> None:
    condition = padded_condition(low, tiny)
    settings = replace(SETTINGS, sampler=sampler)
    ensemble = sample(tiny, condition, settings, steered=False)
    alone = sample(tiny, condition, settings, steered=False, indices=[2])
    batches = sample(tiny, condition, settings, steered=False, max_batch=1)
    assert torch.allclose(alone.latents[0], ensemble.latents[2], rtol=1e-4, atol=1e-3)
    assert torch.allclose(batches.latents, ensemble.latents, rtol=1e-4, atol=1e-3)
    with pytest.raises(ValueError, match="indices"):
        sample(tiny, condition, settings, indices=[2])


def test_guidance_moves_away_from_the_null_condition(tiny: LatentModel, low: np.ndarray) -> None:
    condition = padded_condition(low, tiny)
    plain = sample(tiny, condition, SETTINGS, steered=False).latents
    null = sample(tiny, torch.zeros_like(condition), SETTINGS, steered=False).latents
    unguided = sample(tiny, condition, replace(SETTINGS, guidance=0.0), steered=False).latents
    assert torch.allclose(unguided, null, atol=1e-4)
    guided = sample(tiny, condition, replace(SETTINGS, guidance=2.0), steered=False).latents
    assert not torch.allclose(guided, plain, atol=1e-3)


@pytest.mark.parametrize("size", [(16, 16), (17, 19), (30, 70)])
def test_any_size(tiny: LatentModel, size: tuple[int, int]) -> None:
    low = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    particles = sample(tiny, padded_condition(low, tiny), replace(SETTINGS, steps=1))
    image = decode(tiny, particles.latents[0], height=4 * size[0], width=4 * size[1])
    assert image.shape == (4 * size[0], 4 * size[1], 3)
    assert image.dtype == np.uint8


def test_unsteered_ddim_is_the_pipeline_of_diffusers(
    tiny: LatentModel, tiny_folder: Path, low: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The unmodified LDMSuperResolutionPipeline loads the folder and makes the same image from the same noise."""
    pytest.importorskip("transformers")  # diffusers hides the pipeline without it
    from diffusers import LDMSuperResolutionPipeline
    from diffusers.pipelines.latent_diffusion import pipeline_latent_diffusion_superresolution as module

    condition = padded_condition(low, tiny)
    noise = initial_noise(3, *condition.shape[-2:], seed=0)
    monkeypatch.setattr(module, "randn_tensor", lambda *args, **options: noise.clone())
    pipeline = LDMSuperResolutionPipeline.from_pretrained(tiny_folder)
    pipeline.set_progress_bar_config(disable=True)
    # Of a trailing grid diffusers steps to t - T // S, which is the next timestep only where S divides T.
    with torch.no_grad():
        theirs = pipeline(condition.expand(3, -1, -1, -1), num_inference_steps=8, eta=0.0, output_type="np").images
    ours = sample(tiny, condition, replace(SETTINGS, steps=8), steered=False)
    for i in range(3):
        image = decode(tiny, ours.latents[i], height=theirs.shape[1], width=theirs.shape[2])
        assert np.abs(image / 255 - theirs[i]).max() < 0.5 / 255 + 1e-3


@pytest.mark.parametrize(
    ("option", "name"),
    [
        ({"particles": 0}, "particles"),
        ({"steps": 0}, "steps"),
        ({"patch_size": 0}, "patch_size"),
        ({"bandwidth": 0.0}, "bandwidth"),
        ({"bandwidth": float("nan")}, "bandwidth"),
        ({"strength": 1.5}, "strength"),
        ({"cutoff": -0.1}, "cutoff"),
        ({"sampler": "euler"}, "sampler"),
        ({"guidance": float("inf")}, "guidance"),
        ({"seed": -1}, "seed"),
    ],
)
def test_bad_settings(option: dict[str, object], name: str) -> None:
    with pytest.raises(ValueError, match=name):
        Settings(**option)


def test_a_noise_to_signal_ratio_is_a_cutoff_of_the_models_schedule(tiny: LatentModel, low: np.ndarray) -> None:
    condition = padded_condition(low, tiny)
    alpha_bar = np.asarray(tiny.schedule.alphas_cumprod)
    ratio = np.sqrt((1 - alpha_bar) / alpha_bar)
    by_time = sample(tiny, condition, replace(SETTINGS, cutoff=0.5))
    by_noise = sample(tiny, condition, replace(SETTINGS, cutoff=0.3, cutoff_nsr=float(ratio[500])))
    assert torch.equal(by_noise.latents, by_time.latents)
    assert by_noise.trace == by_time.trace
    assert Settings(cutoff_nsr=float(ratio[500])).for_schedule(alpha_bar).cutoff == 0.5  # inclusive
    assert Settings(cutoff_nsr=float(ratio[500]) * 1.001).for_schedule(alpha_bar).cutoff == 0.501
    for wrong in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(UserError, match="must be a positive finite number"):
            replace(SETTINGS, cutoff=0.3, cutoff_nsr=wrong)
    with pytest.raises(UserError, match="must be at most the model's largest"):
        sample(tiny, condition, replace(SETTINGS, cutoff=0.3, cutoff_nsr=1e6))


def test_the_documented_ratio_is_the_papers_cutoff_with_the_schedule_of_ldm_sr() -> None:
    from kds_ref import scaled_linear_schedule

    alpha_bar = np.asarray(scaled_linear_schedule(beta_start=0.0015, beta_end=0.0155).alphas_cumprod)
    assert Settings(cutoff_nsr=1.126).for_schedule(alpha_bar).cutoff == 0.3
    assert Settings(cutoff_nsr=1.13).for_schedule(alpha_bar).cutoff > 0.3


def test_one_cutoff_is_enough() -> None:
    with pytest.raises(UserError, match=r"cutoff must be left out with cutoff_nsr, got 0\.5"):
        Settings(cutoff=0.5, cutoff_nsr=1.0)


def test_the_grid_is_the_models_unless_the_settings_say_how(tiny: LatentModel, low: np.ndarray) -> None:
    own = tiny.timestep_spacing
    assert own in ("leading", "trailing")
    other = "trailing" if own == "leading" else "leading"
    grids = {spacing: timesteps_of(tiny, replace(SETTINGS, spacing=spacing)) for spacing in (None, own, other)}
    assert grids[None] == grids[own] != grids[other]
    assert timesteps_of(tiny, replace(SETTINGS, spacing="trailing")) == (999, 749, 499, 249)
    assert timesteps_of(tiny, replace(SETTINGS, spacing="leading")) == tuple(
        t + tiny.steps_offset for t in (750, 500, 250, 0)
    )
    condition = padded_condition(low, tiny)
    drawn = [sample(tiny, condition, replace(SETTINGS, spacing=spacing)).latents for spacing in (None, own, other)]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
