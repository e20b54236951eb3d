"""Guidance, start points, tiles, colours and time grid give what the official code gives."""

from typing import Any

import pytest

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")

from kds_ref import add_noise  # noqa: E402
from real.backbones.grids import DiffBIRDDIMScheduler, ddim_options, diffbir_timesteps  # noqa: E402
from real.backbones.guidance import guided, rescaled_guidance  # noqa: E402
from real.backbones.loop import sample  # noqa: E402
from real.backbones.starts import start_latents  # noqa: E402
from real.backbones.tiling import blend_windows, gaussian_weights, windows  # noqa: E402
from real.images.colour import adain_colour, low_frequencies, wavelet_colour  # noqa: E402

VERSIONS = {"v2": "v2", "v2_1": "v2.1"}


@pytest.fixture(scope="module")
def of_diffbir(golden: Any) -> dict[str, Any]:
    return golden("diffbir_samplers")


@pytest.fixture(scope="module")
def of_seesr(golden: Any) -> dict[str, Any]:
    return golden("seesr_pipeline")


def analytic(g: dict[str, Any], version: str) -> Any:
    """The model behind the official trajectories: (x, t, text) -> prediction."""
    level = g[f"sched_{version}_sqrt_one_minus_alphas_cumprod_f32"]
    factor = {"v2": 0.9, "v2_1": -0.3}[version]

    def predict(x: Any, t: int, text: Any) -> Any:
        condition = g["in_c_img"].repeat(len(x) // 2, 1, 1, 1)
        return factor * level[t] * x + 0.1 * condition + 0.5 * text.mean(dim=(1, 2))[:, None, None, None]

    return predict


@pytest.mark.parametrize(
    ("name", "version", "steps", "guidance", "rescale"),
    [
        ("ddim_eps", "v2", 10, 6.0, False),
        ("ddim_eps_rescale", "v2", 10, 4.0, True),
        ("ddim_v", "v2_1", 10, 4.0, False),
        ("ddim_eps_nocfg7", "v2", 7, 1.0, False),
    ],
)
def test_ddim_runs_through_the_official_trajectory(
    of_diffbir: Any, name: str, version: str, steps: int, guidance: float, rescale: bool
) -> None:
    g, predict = of_diffbir, analytic(of_diffbir, version)
    scheduler = DiffBIRDDIMScheduler(**ddim_options(VERSIONS[version]))
    scheduler.set_timesteps(steps)
    assert scheduler.timesteps.tolist() == g[f"{name}_timesteps"].tolist()[::-1]
    seen: list[Any] = []
    sample(
        lambda x, t: guided(
            predict,
            x,
            t,
            prompt_embeds=g["in_c_txt"],
            negative_prompt_embeds=g["in_uc_txt"],
            guidance=guidance,
            rescale=rescale,
        ),
        g["in_x_T"],
        scheduler,
        progress=lambda t, x: seen.append(x),
    )
    torch.testing.assert_close(torch.stack(seen), g[f"{name}_traj"], atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("version", ["v2", "v2_1"])
def test_the_noise_schedule_is_the_official_one(of_diffbir: Any, version: str) -> None:
    ours = diffusers.DDIMScheduler(**ddim_options(VERSIONS[version])).alphas_cumprod[::37].double()
    official = of_diffbir[f"sched_{version}_alphas_cumprod_f64"]
    torch.testing.assert_close(ours, official, atol=1e-7, rtol=2e-5)


def test_where_the_steps_divide_the_training_steps_both_grids_are_one() -> None:
    for steps in (1, 2, 4, 5, 10, 20, 50):
        scheduler = diffusers.DDIMScheduler(**ddim_options())
        scheduler.set_timesteps(steps)
        assert diffbir_timesteps(steps) == scheduler.timesteps.tolist()
    scheduler.set_timesteps(7)
    assert len(scheduler.timesteps) == 7
    assert len(diffbir_timesteps(7)) == 8


@pytest.mark.parametrize("steps", [3, 9, 27, 1000])
def test_a_grid_beyond_the_last_timestep_is_refused(steps: int) -> None:
    with pytest.raises(ValueError, match=f"steps must .*got {steps}, which reaches 1000"):
        DiffBIRDDIMScheduler(**ddim_options()).set_timesteps(steps)


def test_bad_numbers_and_versions_are_refused() -> None:
    for steps in (0, 1001, 2.0, True):
        with pytest.raises(ValueError, match="steps must be"):
            diffbir_timesteps(steps)
    with pytest.raises(ValueError, match=r"version must be .*got 'v3'"):
        ddim_options("v3")
    with pytest.raises(ValueError, match=r"t must be .*got 1001"):
        rescaled_guidance(4.0, 1001)


def test_the_weight_of_guidance_grows_as_officially(of_diffbir: Any) -> None:
    ours = [rescaled_guidance(6.0, int(t)) for t in of_diffbir["cfg_rescale_t"]]
    torch.testing.assert_close(torch.tensor(ours).double(), of_diffbir["cfg_rescale_scale_at_cfg6"], atol=1e-6, rtol=0)
    assert rescaled_guidance(6.0, 999) == 1.0


def test_without_a_weight_the_network_is_asked_once() -> None:
    x, text = torch.ones(2, 1, 1, 1), torch.ones(2, 1, 1)
    asked: list[int] = []

    def predict(x: Any, t: int, text: Any) -> Any:
        asked.append(len(x))
        return x * text[..., None]

    options = {"prompt_embeds": text, "negative_prompt_embeds": torch.zeros(2, 1, 1)}
    assert guided(predict, x, 500, guidance=3.0, **options).tolist() == (3.0 * x).tolist()
    guided(predict, x, 500, guidance=1.0, **options)
    guided(predict, x, 500, guidance=1.0, rescale=True, **options)
    guided(predict, x, 999, guidance=3.0, rescale=True, **options)
    guided(predict, x, 500, guidance=3.0, prompt_embeds=text)
    assert asked == [4, 2, 2, 2, 2]
    for wrong in (0.5, float("nan")):
        with pytest.raises(ValueError, match="guidance must be"):
            guided(predict, x, 500, guidance=wrong, **options)


@pytest.mark.parametrize("version", ["v2", "v2_1"])
def test_the_start_is_the_noised_condition(of_diffbir: Any, version: str) -> None:
    g = of_diffbir
    noise, scheduler = g["in_noise"][0], diffusers.DDIMScheduler(**ddim_options(VERSIONS[version]))
    # of the two rows the official one has at timesteps 0 and 999
    latent = g["in_x_T"]  # what the official code was given
    start = start_latents("condition", noise, scheduler, latent)
    torch.testing.assert_close(start[1], g[f"q_sample_{version}"][1], atol=3e-6, rtol=0)
    first = add_noise(latent[0], noise[0], float(scheduler.alphas_cumprod[0]))
    torch.testing.assert_close(first, g[f"q_sample_{version}"][0], atol=3e-6, rtol=0)
    assert start_latents("noise", noise, scheduler) is noise
    one = start_latents("condition", noise, scheduler, latent[1:])
    assert torch.equal(one[1], start[1])


def test_an_unknown_start_or_a_missing_condition_is_refused() -> None:
    noise, scheduler = torch.zeros(1, 4, 2, 2), diffusers.DDIMScheduler(**ddim_options())
    with pytest.raises(ValueError, match="kind must be one of noise, condition, got 'lr'"):
        start_latents("lr", noise, scheduler)
    with pytest.raises(ValueError, match=r"condition must be .*got None"):
        start_latents("condition", noise, scheduler)


@pytest.mark.parametrize("side", [5, 8])
def test_weights_of_tiles_are_the_official_ones(of_diffbir: Any, side: int) -> None:
    torch.testing.assert_close(gaussian_weights(side, side), of_diffbir[f"gaussian_weights_{side}"], atol=0, rtol=1e-12)


def test_tiles_and_their_blend_are_the_official_ones(of_diffbir: Any) -> None:
    x = of_diffbir["tile_in"]
    ours = [[rows.start, rows.stop, cols.start, cols.stop] for rows, cols in windows(12, 19, tile=8, stride=4)]
    assert ours == of_diffbir["tile_windows_12_19_8_4"].tolist()
    pattern = torch.arange(64.0).view(8, 8) / 64
    blended = blend_windows(lambda tile, place: torch.tanh(tile) + pattern, x, tile=8, stride=4)
    torch.testing.assert_close(blended, of_diffbir["tile_out_size8_stride4"], atol=1e-5, rtol=0)
    places: list[Any] = []
    blend_windows(lambda tile, place: places.append(place) or tile, x[..., :8, :8], tile=8, stride=4)
    blend_windows(lambda tile, place: places.append(place) or tile, x[..., :3, :], tile=8, stride=4)  # 57 of 64 pixels
    assert places == [(slice(0, 8), slice(0, 8)), (slice(0, 3), slice(0, 19))]
    places.clear()  # more pixels than a tile has, one side shorter: square tiles with the same overlap
    blend_windows(lambda tile, place: places.append(place) or tile, x[..., :5, :], tile=8, stride=5)
    assert [(rows.stop, cols.start) for rows, cols in places] == [(5, left) for left in (0, 2, 4, 6, 8, 10, 12, 14)]


@pytest.mark.parametrize(("tile", "stride"), [(0, 1), (4, 0), (4, 5)])
def test_tiles_that_leave_gaps_are_refused(tile: int, stride: int) -> None:
    with pytest.raises(ValueError, match="tile must be at least 1 and stride"):
        windows(9, 9, tile=tile, stride=stride)


def test_colours_are_fixed_as_officially(of_seesr: Any) -> None:
    image, reference = of_seesr["adain_content"], of_seesr["adain_style"]
    torch.testing.assert_close(adain_colour(image, reference), of_seesr["adain_out"], atol=5e-6, rtol=0)
    torch.testing.assert_close(wavelet_colour(image, reference), of_seesr["wavelet_out"], atol=5e-6, rtol=0)
    for fix in (adain_colour, wavelet_colour):
        with pytest.raises(ValueError, match="image and reference must both be"):
            fix(image, reference[..., :-1])


def test_a_flat_image_is_its_own_low_frequencies() -> None:
    flat = torch.full((2, 3, 20, 18), 0.25)
    torch.testing.assert_close(low_frequencies(flat), flat)
