"""Whole runs on the tiny networks: SeeSR's official pipeline step by step, and both backbones steered."""

import copy
from dataclasses import replace
from typing import Any

import pytest

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")

from kds_ref import predict_eps, predict_x0, select_particle, steer  # noqa: E402
from real import steer_scheduler  # noqa: E402
from real.backbones.control import evaluate  # noqa: E402
from real.backbones.denoiser import Denoiser  # noqa: E402
from real.backbones.grids import DiffBIRDDIMScheduler, ddim_options  # noqa: E402
from real.backbones.guidance import rescaled_guidance  # noqa: E402
from real.backbones.loop import sample  # noqa: E402
from real.backbones.starts import start_latents  # noqa: E402
from real.plugin import particle_generators  # noqa: E402

N = 3
SCHEDULERS = ("DDIMScheduler", "DiffBIRDDIMScheduler", "DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler")


@pytest.fixture(scope="module")
def of_pipeline(golden: Any) -> dict[str, Any]:
    return golden("seesr_pipeline")


@pytest.fixture(scope="module")
def seesr_denoiser(seesr: Any, of_pipeline: Any) -> Denoiser:
    g = of_pipeline
    return Denoiser(
        unet=seesr[0],
        controlnet=seesr[1],
        prompt_embeds=g["in_prompt_embeds"],
        negative_prompt_embeds=g["in_negative_prompt_embeds"],
        condition=g["in_image"],
        image_tokens=g["in_ram_encoder_hidden_states"],
        guidance=5.5,
    )


@pytest.fixture(scope="module")
def diffbir_denoiser(diffbir: Any, golden: Any) -> Denoiser:
    g = golden("diffbir_networks")
    return Denoiser(
        unet=diffbir[0],
        controlnet=diffbir[1],
        prompt_embeds=g["in_context"][:1],
        negative_prompt_embeds=g["in_context"][1:],
        condition=g["in_hint"][:1, :, :8, :8],
        guidance=4.0,
        rescale=True,
    )


@pytest.fixture(params=["diffbir", "seesr"])
def denoiser(request: pytest.FixtureRequest) -> Denoiser:
    return request.getfixturevalue(f"{request.param}_denoiser")


@pytest.mark.parametrize(
    ("name", "start", "steps", "tile"),
    [("lr_cfg", "condition", 4, None), ("noise_cfg", "noise", 4, None), ("lr_cfg_tiled", "condition", 3, 8)],
)
def test_seesrs_official_pipeline(
    seesr_denoiser: Denoiser,
    of_pipeline: Any,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    start: str,
    steps: int,
    tile: int | None,
) -> None:
    g = of_pipeline
    scheduler = diffusers.DDPMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, steps_offset=1
    )
    scheduler.set_timesteps(steps)
    assert scheduler.timesteps.tolist() == g[f"{name}_timesteps"].tolist()
    draws = iter(g["in_noise"])
    monkeypatch.setattr("diffusers.schedulers.scheduling_ddpm.randn_tensor", lambda *_, **__: next(draws))
    denoiser = replace(seesr_denoiser, tile=tile, stride=6)
    latents = start_latents(start, g["in_latents"], scheduler, g["vae_stub_latent_scaled"])
    torch.testing.assert_close(latents, g[f"{name}_start_latents"], atol=1e-5, rtol=0)
    with torch.no_grad():
        first = denoiser(latents, int(scheduler.timesteps[0]))
    torch.testing.assert_close(first, g[f"{name}_first_noise_pred_guided"], atol=2e-4, rtol=0)
    seen: list[Any] = []
    sample(denoiser, latents, scheduler, progress=lambda t, x: seen.append(x))
    torch.testing.assert_close(torch.stack(seen), g[f"{name}_traj"], atol=2e-4, rtol=0)


def start_of(denoiser: Denoiser) -> Any:
    side = denoiser.condition.shape[-2:]
    rows, columns = side if denoiser.image_tokens is None else (side[0] // 8, side[1] // 8)
    noise = torch.stack([torch.randn(4, rows, columns, generator=g) for g in particle_generators(N, seed=4)])
    if denoiser.image_tokens is not None:
        return noise
    return start_latents("condition", noise, diffusers.DDIMScheduler(**ddim_options()), denoiser.condition)


def made(name: str) -> Any:
    if name == "DiffBIRDDIMScheduler":
        return DiffBIRDDIMScheduler(**ddim_options())
    return getattr(diffusers, name).from_config(diffusers.DDIMScheduler(**ddim_options()).config)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_every_scheduler_steers_and_without_strength_changes_nothing(denoiser: Denoiser, name: str) -> None:
    start, results = start_of(denoiser), {}
    for strength in (None, 0.0, 0.5):
        scheduler = made(name)
        if strength is not None:
            scheduler = steer_scheduler(scheduler, num_particles=N, bandwidth="median", strength=strength)
        scheduler.set_timesteps(7)
        results[strength] = sample(denoiser, start, scheduler)
    assert torch.equal(results[None], results[0.0])
    spread = {strength: float(result.std(dim=0).mean()) for strength, result in results.items()}
    assert spread[0.5] < 0.95 * spread[0.0]
    records = scheduler.kds.trace
    assert len(records) == (8 if name == "DiffBIRDDIMScheduler" else 7)
    assert [r.strength > 0.0 for r in records] == [r.timestep >= 300 for r in records]
    assert all(1.0 < r.effective_particles < N for r in records if r.strength > 0.0)
    choice = scheduler.kds.select()
    assert int(choice.particle[0]) == int(select_particle(results[0.5]))
    assert torch.equal(choice.latents[0], results[0.5][int(choice.rows[0])])


def test_a_steered_step_is_the_mathematics_of_the_core(denoiser: Denoiser) -> None:
    start = start_of(denoiser)
    scheduler = steer_scheduler(made("DDIMScheduler"), num_particles=N, bandwidth=2.0, hand_on="chosen")
    scheduler.set_timesteps(2)
    seen: list[Any] = []
    result = sample(denoiser, start, scheduler, progress=lambda t, x: seen.append(x))
    levels = scheduler.alphas_cumprod
    with torch.no_grad():
        eps = denoiser(start, 501)
    now, then = float(levels[501]), float(levels[1])
    x0, _ = steer(predict_x0(start, eps, now), bandwidth=2.0, strength=0.3)
    expected = then**0.5 * x0 + (1.0 - then) ** 0.5 * predict_eps(start, x0, now)
    torch.testing.assert_close(seen[0], expected, atol=1e-4, rtol=1e-4)
    assert len(seen) == 2
    assert torch.equal(result, scheduler.kds.select().latents)
    assert len(result) == 1


@torch.no_grad()
def test_options_reach_the_network(diffbir_denoiser: Denoiser) -> None:
    start, p = start_of(diffbir_denoiser), diffbir_denoiser
    half = replace(p, control_scale=0.5, guidance=1.0)(start[:1], 601)
    inputs = {"text": p.prompt_embeds, "condition": p.condition}
    assert torch.equal(half, evaluate(p.unet, p.controlnet, start[:1], 601, control_scale=0.5, **inputs))
    constant = replace(p, rescale=False, guidance=rescaled_guidance(4.0, 301))
    assert torch.equal(p(start, 301), constant(start, 301))


@torch.no_grad()
def test_particles_do_not_see_each_other(denoiser: Denoiser) -> None:
    start = start_of(denoiser)
    together = denoiser(start, 601)
    alone = torch.cat([denoiser(row[None], 601) for row in start])
    torch.testing.assert_close(together, alone, atol=5e-5, rtol=1e-4)


def test_noise_of_stochastic_samplers_comes_from_the_generators(seesr_denoiser: Denoiser) -> None:
    start = start_of(seesr_denoiser)
    results = []
    for seed in (1, 1, 2):
        scheduler = diffusers.DDPMScheduler.from_config(made("DDIMScheduler").config)
        scheduler.set_timesteps(2)
        results.append(sample(seesr_denoiser, start, scheduler, generators=particle_generators(N, seed=seed)))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


@torch.no_grad()
def test_the_networks_compute_in_their_own_precision(diffbir_denoiser: Denoiser) -> None:
    start = start_of(diffbir_denoiser)
    halves = {name: copy.deepcopy(getattr(diffbir_denoiser, name)).bfloat16() for name in ("unet", "controlnet")}
    rough, exact = replace(diffbir_denoiser, **halves)(start, 601), diffbir_denoiser(start, 601)
    assert rough.dtype == torch.float32
    assert 1e-4 < float((rough - exact).abs().mean()) < 0.3


@torch.no_grad()
def test_what_does_not_fit_the_latents_is_refused(diffbir_denoiser: Denoiser) -> None:
    start = start_of(diffbir_denoiser)
    with pytest.raises(ValueError, match="condition must have a multiple of the latents' 8 x 4"):
        diffbir_denoiser(start[..., :4], 601)
    with pytest.raises(ValueError, match=r"prompt_embeds must have one row, .* 3 latents, got 2"):
        replace(diffbir_denoiser, prompt_embeds=diffbir_denoiser.prompt_embeds.repeat(2, 1, 1))(start, 601)
