"""What goes wrong when predicted clean latents are steered from outside a scheduler: one test a trap."""

import copy
import pickle
import warnings
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
from diffusers import (  # noqa: E402
    DDIMScheduler,
    DDPMScheduler,
    DEISMultistepScheduler,
    DPMSolverMultistepScheduler,
    EDMEulerScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    HeunDiscreteScheduler,
    IPNDMScheduler,
    PNDMScheduler,
    RePaintScheduler,
    SchedulerMixin,
    UniPCMultistepScheduler,
)
from diffusers.configuration_utils import ConfigMixin, register_to_config  # noqa: E402
from diffusers.schedulers.scheduling_minimax_h3 import MiniMaxH3Scheduler  # noqa: E402
from diffusers.utils import BaseOutput  # noqa: E402

from kds_ref import KernelDensitySteering, scaled_linear_schedule, select_particle, steer, steering_strength  # noqa: E402
from real.plugin import SteeringState, particle_generators, steer_scheduler  # noqa: E402
from real.plugin.call import Call  # noqa: E402
from real.plugin.schedulers import SUPPORTED  # noqa: E402
from real.plugin.step import steer_step  # noqa: E402
from real.sampling import initial_noise  # noqa: E402


def noise(*shape: int, seed: int = 0) -> Any:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def steered(scheduler: Any, **options: Any) -> Any:
    return steer_scheduler(scheduler, **{"num_particles": 2, "bandwidth": 1.0, "cutoff": 0.0, **options})


def scaled(schedule: dict[str, Any]) -> Any:
    return scaled_linear_schedule(beta_start=schedule["beta_start"], beta_end=schedule["beta_end"])


def ddim(**options: Any) -> Any:
    scheduler = steered(DDIMScheduler(clip_sample=False), **options)
    scheduler.set_timesteps(10)
    return scheduler


def run(scheduler: Any, x: Any, steps: int = 10, **options: Any) -> Any:
    scheduler.set_timesteps(steps)
    for t in scheduler.timesteps:
        x = scheduler.step(torch.tanh(x), t, x, **options).prev_sample
    return x


def test_the_step_index_may_not_be_set_yet() -> None:
    """Pipelines for flow models never call scale_model_input; Euler's would set the index."""
    for scheduler in (steered(FlowMatchEulerDiscreteScheduler()), steered(EulerDiscreteScheduler())):
        scheduler.set_timesteps(4)
        assert scheduler.step_index is None
        scheduler.step(noise(2, 3, 2, 2), scheduler.timesteps[0], noise(2, 3, 2, 2))
        assert scheduler.step_index == 1
        assert len(scheduler.kds.trace) == 1


def test_image_to_image_starts_in_the_middle() -> None:
    scheduler = steered(EulerDiscreteScheduler(), cutoff=0.5, cutoff_in="step")
    scheduler.set_timesteps(8)
    scheduler.set_begin_index(3)
    x = noise(2, 3, 2, 2)
    for t in scheduler.timesteps[3:]:
        x = scheduler.step(torch.tanh(x), t, x).prev_sample
    assert [record.strength > 0 for record in scheduler.kds.trace] == [True, True, False, False, False]


def test_both_model_calls_of_a_second_order_step_are_steered() -> None:
    scheduler = steered(HeunDiscreteScheduler())
    run(scheduler, noise(2, 3, 2, 2) * 14, steps=4)
    assert len(scheduler.kds.trace) == 7
    assert all(record.strength == 0.3 for record in scheduler.kds.trace)


def test_clipped_samples_warn_and_what_is_steered_is_clipped() -> None:
    with pytest.warns(UserWarning, match="use clip_sample=False for a latent model"):
        scheduler = steered(DDIMScheduler())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        steered(DDIMScheduler(clip_sample=False))
    scheduler.set_timesteps(4)
    x = 3.0 * noise(2, 3, 2, 2)
    t = scheduler.timesteps[0]
    plain = DDIMScheduler()
    plain.set_timesteps(4)
    clipped = plain.step(torch.zeros_like(x), t, x).pred_original_sample
    assert float(clipped.abs().max()) == 1.0
    used = scheduler.step(torch.zeros_like(x), t, x).pred_original_sample
    torch.testing.assert_close(used, steer(clipped, bandwidth=1.0)[0], rtol=1e-5, atol=1e-5)
    assert not torch.equal(used, clipped)


@pytest.mark.parametrize("kind", ["fixed_small", "learned_range"])
def test_learned_variances_stay_as_they_are(kind: str) -> None:
    seen: list[Any] = []

    class Spy(DDPMScheduler):
        def step(self, model_output: Any, timestep: Any, sample: Any, generator: Any = None) -> Any:
            seen.append(model_output)
            return super().step(model_output, timestep, sample, generator)

    spy = steered(Spy(clip_sample=False, variance_type=kind), bandwidth="median")
    spy.set_timesteps(4)
    out = noise(2, 6 if kind == "learned_range" else 3, 2, 2)
    spy.step(out, spy.timesteps[0], noise(2, 3, 2, 2, seed=1))
    assert not torch.equal(seen[0][:, :3], out[:, :3])
    assert torch.equal(seen[0][:, 3:], out[:, 3:])


def test_noise_prediction_at_zero_terminal_snr_is_refused_and_velocity_is_not() -> None:
    options = {"clip_sample": False, "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    with pytest.raises(ValueError, match="says nothing about x0"):
        run(steered(DDIMScheduler(**options)), noise(2, 3, 2, 2))
    assert torch.isfinite(
        run(steered(DDIMScheduler(**options, prediction_type="v_prediction")), noise(2, 3, 2, 2))
    ).all()
    run(steered(DDIMScheduler(**options), strength=0.0, cutoff=1.0, cutoff_in="step"), noise(2, 3, 2, 2))


def test_an_output_without_a_say_is_left_alone() -> None:
    scheduler = steered(IPNDMScheduler())
    run(scheduler, noise(2, 3, 2, 2), steps=5)
    assert [record.strength > 0 for record in scheduler.kds.trace] == [False, True, True, True, True]


@pytest.mark.parametrize("cls", [EulerDiscreteScheduler, EDMEulerScheduler])
def test_churn_is_refused(cls: type) -> None:
    scheduler = steered(cls())
    with pytest.raises(ValueError, match=r"s_churn must be 0, got 0\.5"):
        run(scheduler, noise(2, 3, 2, 2), s_churn=0.5)


def test_a_clean_prediction_handed_to_edm_is_steered_itself() -> None:
    scheduler = steered(EDMEulerScheduler())
    scheduler.set_timesteps(3)
    x0 = noise(2, 3, 2, 2)
    result = scheduler.step(torch.zeros_like(x0), scheduler.timesteps[0], 9 * x0, pred_original_sample=x0)
    torch.testing.assert_close(result.pred_original_sample, steer(x0, bandwidth=1.0)[0])


@pytest.mark.parametrize("cls", [DPMSolverMultistepScheduler, DEISMultistepScheduler, UniPCMultistepScheduler])
@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample", "flow_prediction"])
def test_coefficients_are_those_of_the_solvers_own_conversion(cls: type, kind: str) -> None:
    """Also of flow prediction at sigmas that are not a flow's, where the solvers take sigma as it is."""
    scheduler = cls(prediction_type=kind)
    scheduler.set_timesteps(4)
    scheduler._init_step_index(scheduler.timesteps[1])
    found = SUPPORTED[cls.__name__].coefficients(Call(scheduler, {"timestep": scheduler.timesteps[1]}, {}))
    one, zero = torch.ones(1, 3, 1, 1), torch.zeros(1, 3, 1, 1)
    for factor, (sample, output) in ((found.c_skip, (one, zero)), (found.c_out, (zero, one))):
        converted = float(scheduler.convert_model_output(output, sample=sample)[0, 0])
        if cls is DEISMultistepScheduler:  # which turns x0 into noise
            alpha, sigma = scheduler._sigma_to_alpha_sigma_t(scheduler.sigmas[1])
            sigma = scheduler.sigmas[1] if kind == "flow_prediction" else sigma
            converted = float((sample[0, 0] - sigma * converted) / alpha)
        assert factor == pytest.approx(converted, rel=1e-4, abs=1e-4)


# --- when to steer -----------------------------------------------------------------------------------------------


def test_the_cutoff_is_the_papers_on_training_time() -> None:
    scheduler = steered(DDIMScheduler(clip_sample=False), cutoff=0.3)
    run(scheduler, noise(2, 3, 2, 2))
    expected = [steering_strength(int(t), 1000) for t in scheduler.timesteps]
    assert [record.strength for record in scheduler.kds.trace] == expected
    assert [record.timestep for record in scheduler.kds.trace if record.strength][-1] == 300  # t/T = 0.3 steers
    assert [record.position for record in scheduler.kds.trace] == [float(t) / 1000 for t in scheduler.timesteps]


def test_a_ramp_softens_the_cutoff() -> None:
    scheduler = steered(DDIMScheduler(clip_sample=False), cutoff=0.3, ramp=0.2)
    run(scheduler, noise(2, 3, 2, 2), steps=20)
    by_time = {record.timestep: record.strength for record in scheduler.kds.trace}
    assert by_time[450.0] == by_time[400.0] == 0.3
    assert by_time[350.0] == pytest.approx(0.225)
    assert by_time[300.0] == pytest.approx(0.15)
    assert by_time[250.0] == pytest.approx(0.075)
    assert by_time[200.0] == by_time[150.0] == 0.0  # not a rounding error of the ramp's end


def test_shifted_flow_models_spend_most_steps_above_the_papers_cutoff_and_noise_does_not() -> None:
    counts = {}
    for cutoff_in, cutoff in (("timestep", 0.3), ("noise", 0.954), ("step", 0.3)):
        scheduler = steered(FlowMatchEulerDiscreteScheduler(shift=3.0), cutoff=cutoff, cutoff_in=cutoff_in)
        run(scheduler, noise(2, 3, 2, 2), steps=28)
        counts[cutoff_in] = sum(record.strength > 0 for record in scheduler.kds.trace)
    assert counts["timestep"] == 24
    assert counts["noise"] == 14  # sqrt(1 - alpha_bar) of LDM's schedule at t/T = 0.3 is 0.55; 0.954 is sigma = 0.76
    assert counts["step"] == 20


def test_noise_is_the_same_scale_for_all() -> None:
    """At cutoff_in='noise' a VP and a VE scheduler agree where their signal-to-noise ratios do."""
    positions = []
    for scheduler in (DDIMScheduler(clip_sample=False, timestep_spacing="linspace"), EulerDiscreteScheduler()):
        one = steered(scheduler, cutoff_in="noise")
        run(one, noise(2, 3, 2, 2), steps=5)
        positions.append([record.position for record in one.kds.trace])
    np.testing.assert_allclose(*positions, rtol=1e-4, atol=2e-3)


def test_a_noise_to_signal_ratio_means_the_same_for_every_family() -> None:
    ratio = 1.13
    for scheduler, ratio_of in (
        (EulerDiscreteScheduler(), lambda s, i: float(s.sigmas[i])),
        (FlowMatchEulerDiscreteScheduler(shift=3.0), lambda s, i: float(s.sigmas[i] / (1 - s.sigmas[i]))),
        (
            DDIMScheduler(clip_sample=False),
            lambda s, i: float((1 / s.alphas_cumprod[s.timesteps[i]] - 1) ** 0.5),
        ),
    ):
        one = steered(scheduler, cutoff=None, cutoff_nsr=ratio)
        run(one, noise(2, 3, 2, 2), steps=25)
        acted = [record.strength > 0 for record in one.kds.trace]
        assert acted == [ratio_of(one, i) >= ratio for i in range(25)]
        assert 0 < sum(acted) < 25


@pytest.mark.parametrize("steps", [50, 20, 10])
def test_the_papers_cutoff_as_a_ratio_steers_the_same_steps(steps: int) -> None:
    schedule = {"beta_start": 0.0015, "beta_end": 0.0155, "beta_schedule": "scaled_linear"}
    traces = []
    exact = float(scaled(schedule).noise_to_signal(300))
    for options in ({"cutoff": 0.3}, *({"cutoff": None, "cutoff_nsr": ratio} for ratio in (exact, 1.126))):
        one = steered(DDIMScheduler(clip_sample=False, **schedule), **options)
        run(one, noise(2, 3, 2, 2), steps=steps)
        traces.append([record.strength for record in one.kds.trace])
    assert traces[0] == traces[1] == traces[2]
    # The cut-off itself is on the grid, and is steered.
    assert min(record.timestep for record in one.kds.trace if record.strength) == 300


def test_a_ratio_stands_alone() -> None:
    plain = DDIMScheduler(clip_sample=False)
    with pytest.raises(ValueError, match=r"cutoff must be None where cutoff_nsr is given, got 0.3"):
        steered(plain, cutoff=0.3, cutoff_nsr=1.0)
    with pytest.raises(ValueError, match="cutoff_in must be left out where cutoff_nsr is given, got 'step'"):
        steered(plain, cutoff=None, cutoff_nsr=1.0, cutoff_in="step")
    with pytest.raises(ValueError, match="cutoff_nsr must be"):
        steered(plain, cutoff=None, cutoff_nsr=0.0)
    assert SteeringState(num_particles=2, steering=KernelDensitySteering(cutoff_nsr=1.0)).cutoff_in == "noise"


# --- what comes out ----------------------------------------------------------------------------------------------


def test_the_effective_number_of_particles_shows_a_bandwidth_that_is_too_small() -> None:
    for bandwidth, effective in ((1e-3, 1.0), (1e3, 2.0)):
        scheduler = ddim(bandwidth=bandwidth)
        scheduler.step(noise(2, 3, 2, 2, seed=1), scheduler.timesteps[0], noise(2, 3, 2, 2))
        record = scheduler.kds.trace[0]
        assert record.effective_particles == pytest.approx(effective, abs=1e-3)
        assert record.bandwidth == pytest.approx(bandwidth)
        assert (record.shift_norm == 0.0) == (effective == 1.0)
        assert scheduler.kds.info.effective_particles.shape == (1, 2, 4)


@pytest.mark.parametrize(
    "bandwidth", [0.7, "median", "scott", torch.tensor([0.5, 2.0]), np.full((2, 4), 0.7, np.float32)]
)
def test_all_forms_of_the_bandwidth(bandwidth: Any) -> None:
    scheduler = ddim(bandwidth=bandwidth)
    x, out = noise(4, 3, 2, 2), noise(4, 3, 2, 2, seed=1)
    t = scheduler.timesteps[0]
    plain = DDIMScheduler(clip_sample=False)
    plain.set_timesteps(10)
    x0 = plain.step(out, t, x).pred_original_sample.reshape(2, 2, 3, 2, 2)
    h = torch.from_numpy(bandwidth) if isinstance(bandwidth, np.ndarray) else bandwidth
    used = scheduler.step(out, t, x).pred_original_sample
    torch.testing.assert_close(used, steer(x0, bandwidth=h)[0].flatten(0, 1), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("options", [{"patch_size": 2}, {"patch_size": None}, {"patch_size": 2, "stride": 1}])
def test_all_other_options_reach_steer(options: dict[str, Any]) -> None:
    options = {**options, "kernel": "laplacian", "scale_with_dimension": True, "strength": 0.8}
    scheduler = ddim(**options)
    x, out = noise(2, 3, 4, 4), noise(2, 3, 4, 4, seed=1)
    plain = DDIMScheduler(clip_sample=False)
    plain.set_timesteps(10)
    x0 = plain.step(out, scheduler.timesteps[0], x).pred_original_sample
    used = scheduler.step(out, scheduler.timesteps[0], x).pred_original_sample
    torch.testing.assert_close(used, steer(x0, bandwidth=1.0, **options)[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_come_back_as_they_came(dtype: Any) -> None:
    scheduler, wide = ddim(), ddim()
    x, out = noise(2, 3, 2, 2).to(dtype), noise(2, 3, 2, 2, seed=1).to(dtype)
    result = scheduler.step(out, scheduler.timesteps[3], x).prev_sample
    assert result.dtype == dtype
    expected = wide.step(out.double(), wide.timesteps[3], x.double()).prev_sample
    tolerance = {torch.float16: 5e-3, torch.bfloat16: 5e-2, torch.float64: 1e-12}[dtype]
    torch.testing.assert_close(result.double(), expected, rtol=tolerance, atol=tolerance)


def test_nan_is_not_repaired() -> None:
    scheduler = ddim()
    with pytest.raises(ValueError, match=r"got NaN, infinity"):
        scheduler.step(torch.full((2, 3, 2, 2), torch.nan), scheduler.timesteps[0], noise(2, 3, 2, 2))


# --- rows and axes -----------------------------------------------------------------------------------------------


def test_a_batch_that_n_does_not_divide_is_refused() -> None:
    scheduler = ddim(num_particles=4)
    with pytest.raises(ValueError, match=r"num_particles=4 rows, got 6"):
        scheduler.step(noise(6, 3, 2, 2), scheduler.timesteps[0], noise(6, 3, 2, 2))


def test_images_never_mix_in_either_layout() -> None:
    rows, out = noise(6, 3, 2, 2), noise(6, 3, 2, 2, seed=1)
    order = {"grouped": [[0, 1, 2], [3, 4, 5]], "tiled": [[0, 2, 4], [1, 3, 5]]}
    for layout, images in order.items():
        scheduler = ddim(num_particles=3, layout=layout)
        together = scheduler.step(out, scheduler.timesteps[0], rows).prev_sample
        choice = scheduler.kds.select()
        for b, members in enumerate(images):
            alone = ddim(num_particles=3)
            one = alone.step(out[members], alone.timesteps[0], rows[members]).prev_sample
            torch.testing.assert_close(together[members], one, rtol=1e-6, atol=1e-6)
            index = int(select_particle(one))
            assert (int(choice.particle[b]), int(choice.rows[b])) == (index, members[index])
            torch.testing.assert_close(choice.latents[b], one[index], rtol=1e-6, atol=1e-6)


def test_tokens_are_locations_and_frames_are_ensembles() -> None:
    x = noise(2, 3, 4, 4)
    whole = steer(x, bandwidth=1.0)[0]

    def used(sample: Any, **options: Any) -> Any:
        scheduler = steered(DDIMScheduler(clip_sample=False, prediction_type="sample"), **options)
        scheduler.set_timesteps(10)
        return scheduler.step(sample, scheduler.timesteps[0], torch.zeros_like(sample)).pred_original_sample

    tokens = x.flatten(2).transpose(1, 2)  # (B, L, C)
    torch.testing.assert_close(used(tokens, axes="LC"), whole.flatten(2).transpose(1, 2))
    torch.testing.assert_close(used(x.flatten(2), axes="CL"), whole.flatten(2))
    torch.testing.assert_close(used(x.permute(0, 2, 3, 1), axes="HWC"), whole.permute(0, 2, 3, 1))
    video = torch.stack([x, 2 * x], dim=2)  # (B, C, F, H, W)
    both = torch.stack([whole, steer(2 * x, bandwidth=1.0)[0]], dim=2)
    torch.testing.assert_close(used(video, axes="CFHW"), both)
    torch.testing.assert_close(used(video.transpose(1, 2), axes="FCHW"), both.transpose(1, 2))
    vectors = x.flatten(1)  # one vector is one patch
    torch.testing.assert_close(used(vectors), steer(vectors, bandwidth=1.0, patch_size=None)[0])
    with pytest.raises(ValueError, match="patch_size must be 1 or None for tokens"):
        used(tokens, patch_size=2, axes="LC")
    for unclear in (noise(2, 3, 2, 2, 2, 2), video, tokens):  # channels or frames first, time or tokens first?
        with pytest.raises(ValueError, match=r"axes must name the \d axes of a sample"):
            used(unclear)


def test_samples_without_an_axis_of_rows_are_not_taken_for_vectors() -> None:
    """Flow models have packed tokens; (tokens, channels) of one video is no batch of vectors."""
    with pytest.raises(TypeError, match="without an axis for a batch"):
        steered(MiniMaxH3Scheduler())
    scheduler = steered(FlowMatchEulerDiscreteScheduler())
    scheduler.set_timesteps(4)
    with pytest.raises(ValueError, match="axes must name the 1 axes"):
        scheduler.step(noise(8, 4), scheduler.timesteps[0], noise(8, 4))
    named = steered(FlowMatchEulerDiscreteScheduler(), axes="C")
    named.set_timesteps(4)
    assert named.step(noise(8, 4), named.timesteps[0], noise(8, 4)).prev_sample.shape == (8, 4)


def test_tokens_may_have_noise_levels_of_their_own() -> None:
    """LTX-Video conditions on clean tokens: their output has no say, and they stay."""
    scheduler, plain = (one(FlowMatchEulerDiscreteScheduler()) for one in (steered, lambda s: s))
    for one in (scheduler, plain):
        one.set_timesteps(4)
    x, out = noise(2, 4, 3), noise(2, 4, 3, seed=1)
    times = torch.tensor([[1000.0, 750.0, 500.0, 0.0]]).expand(2, 4)
    moved = scheduler.step(out, scheduler.timesteps[0], x, per_token_timesteps=times).prev_sample
    sigma = times[..., None] / 1000
    x0 = steer((x - sigma * out).transpose(1, 2), bandwidth=1.0, sample_ndim=2)[0].transpose(1, 2)
    changed = torch.where(sigma > 0, (x - x0) / sigma.clamp(min=0.1), out)
    expected = plain.step(changed, plain.timesteps[0], x, per_token_timesteps=times).prev_sample
    torch.testing.assert_close(moved, expected, rtol=1e-5, atol=1e-5)
    assert torch.equal(moved[:, 3], x[:, 3])
    arguments = {"model_output": out, "timestep": scheduler.timesteps[0], "sample": x, "per_token_timesteps": times}
    kds = SteeringState(num_particles=2, steering=KernelDensitySteering(bandwidth="median", cutoff=0.0))
    steer_step(FlowMatchEulerDiscreteScheduler(), SUPPORTED["FlowMatchEulerDiscreteScheduler"], kds, arguments)
    assert torch.equal(arguments["model_output"][:, 3], out[:, 3])
    assert not torch.equal(arguments["model_output"][:, 2], out[:, 2])
    assert not torch.allclose(changed[:, :3], out[:, :3], atol=1e-3)


# --- random numbers and the end ----------------------------------------------------------------------------------


def test_initial_noise_of_a_particle_is_its_own() -> None:
    few, many = (particle_generators(n, seed=7) for n in (5, 10))
    rows = [torch.randn(1, 3, 4, 4, generator=g) for g in many]
    assert torch.equal(torch.cat(rows), initial_noise(10, 4, 4, seed=7))
    assert torch.equal(torch.cat([torch.randn(1, 3, 4, 4, generator=g) for g in few]), torch.cat(rows[:5]))
    two = particle_generators(2, seed=[7, 9], layout="tiled")
    seeds = [g.initial_seed() for g in two]
    assert seeds[::2] == [g.initial_seed() for g in particle_generators(2, seed=7)]
    assert seeds[1::2] == [g.initial_seed() for g in particle_generators(2, seed=9)]
    for bad in ({"seed": -1}, {"seed": []}, {"layout": "rows"}, {"num_particles": 0}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            particle_generators(**{"num_particles": 2, **bad})


def test_a_seed_fills_in_the_generator_that_a_pipeline_does_not_give() -> None:
    """LDM-SR hands `step` no generator: its noise would be torch's global one."""
    options = {"strength": 0.0, "cutoff": 1.0}
    five = steered(DDIMScheduler(clip_sample=False), num_particles=5, seed=3, **options)
    two = steered(DDIMScheduler(clip_sample=False), num_particles=2, seed=3, **options)
    x = noise(5, 3, 4, 4)
    first = run(five, x, eta=1.0)
    torch.manual_seed(1)
    again = run(five, x, eta=1.0)
    assert torch.equal(first, again)
    torch.testing.assert_close(run(two, x[:2], eta=1.0), first[:2], rtol=1e-6, atol=1e-6)
    own = run(five, x, eta=1.0, generator=particle_generators(5, seed=3))
    assert not torch.equal(own, first)  # a generator that is given is used; it is another stream
    with pytest.raises(ValueError, match="seed must hold one number for each of the 2 images, got 1"):
        run(steered(DDIMScheduler(clip_sample=False), seed=[1]), x[:4], eta=1.0)


LASTS: dict[Any, dict[str, Any]] = {
    DDIMScheduler: {"clip_sample": False},
    PNDMScheduler: {"skip_prk_steps": True},  # needs two steps
    EulerDiscreteScheduler: {},
    HeunDiscreteScheduler: {},
}


@pytest.mark.parametrize(("cls", "steps"), [(c, n) for c in LASTS for n in (1, 2, 7) if n > (c is PNDMScheduler)])
def test_the_last_step_can_hand_on_the_chosen_only(cls: Any, steps: int) -> None:
    options = LASTS[cls]
    everything, chosen = (steered(cls(**options), hand_on=h, num_particles=3) for h in ("all", "chosen"))
    x = noise(6, 3, 2, 2)
    rows, few = run(everything, x, steps=steps), run(chosen, x, steps=steps)
    assert few.shape[0] == 2
    index = select_particle(rows.reshape(2, 3, 3, 2, 2))
    assert torch.equal(few, rows.reshape(2, 3, 3, 2, 2)[[0, 1], index])
    assert torch.equal(chosen.kds.latents, rows)
    with pytest.raises(RuntimeError, match="nothing was sampled"):
        steered(cls(**options)).kds.select()


@pytest.mark.parametrize(("skipped", "prk"), [(0, True), (0, False), (1, False), (2, False), (5, False)])
def test_pndm_started_in_the_middle_knows_its_end(skipped: int, prk: bool) -> None:
    """It repeats timesteps and counts its own calls from 0; image-to-image leaves the first timesteps out."""
    scheduler = steered(PNDMScheduler(skip_prk_steps=not prk), cutoff_in="step", hand_on="chosen")
    scheduler.set_timesteps(8)
    x = noise(2, 3, 2, 2)
    grid = scheduler.timesteps[skipped:]
    for t in grid:
        assert len(x) == 2
        x = scheduler.step(torch.tanh(x), t, x).prev_sample
    assert len(x) == 1
    total = len(scheduler.timesteps)
    assert [r.position for r in scheduler.kds.trace] == [1 - i / total for i in range(skipped, total)]
    by_value = steered(PNDMScheduler(skip_prk_steps=not prk), cutoff_in="step")
    by_value.set_timesteps(8)
    x = noise(2, 3, 2, 2)
    for t in grid.tolist():  # numbers do not say where they came from
        x = by_value.step(torch.tanh(x), t, x).prev_sample
    assert by_value.kds.ended
    if skipped != 2:  # the second of two equal ones
        assert [r.position for r in by_value.kds.trace] == [r.position for r in scheduler.kds.trace]


def test_a_run_that_jumps_has_no_last_step_to_hand_on_from() -> None:
    with pytest.raises(ValueError, match="jump back in time"):
        steered(RePaintScheduler(clip_sample=False), hand_on="chosen")


def test_copies_in_the_middle_of_a_run_draw_the_same_noise() -> None:
    scheduler = ddim(seed=3)
    x, out = noise(2, 3, 2, 2), noise(2, 3, 2, 2, seed=1)
    scheduler.step(out, scheduler.timesteps[0], x, eta=1.0)
    twins = [copy.deepcopy(scheduler), pickle.loads(pickle.dumps(scheduler)), scheduler]
    first, *others = (twin.step(out, twin.timesteps[1], x, eta=1.0).prev_sample for twin in twins)
    assert all(torch.equal(first, other) for other in others)


# --- schedulers that nobody knows --------------------------------------------------------------------------------


class Output(BaseOutput):
    prev_sample: Any
    pred_original_sample: Any


class Unknown(SchedulerMixin, ConfigMixin):
    """Half the sample less three quarters of the output, and a step that adds noise."""

    order = 1

    @register_to_config
    def __init__(self, num_train_timesteps: int = 1000, bend: bool = False) -> None:
        self.timesteps = None

    def set_timesteps(self, num_inference_steps: int) -> None:
        self.timesteps = torch.linspace(999, 0, num_inference_steps)

    def step(self, model_output: Any, timestep: Any, sample: Any, return_dict: bool = True) -> Any:
        x0 = 0.5 * sample - 0.75 * model_output
        x0 = x0 + sample**2 if self.config.bend else x0
        new = 0.5 * (x0 + sample) + 0.1 * torch.randn(sample.shape)
        return Output(prev_sample=new, pred_original_sample=x0)


def test_an_unknown_scheduler_is_probed() -> None:
    scheduler = steered(Unknown())
    torch.manual_seed(0)
    run(Unknown(), noise(2, 3, 2, 2), steps=3)
    state = torch.get_rng_state()
    torch.manual_seed(0)
    run(scheduler, noise(2, 3, 2, 2), steps=3)
    assert torch.equal(torch.get_rng_state(), state)  # probing draws nothing from the run's random numbers
    x, out = noise(2, 3, 2, 2), noise(2, 3, 2, 2, seed=1)
    used = scheduler.step(out, scheduler.timesteps[0], x).pred_original_sample
    torch.testing.assert_close(used, steer(0.5 * x - 0.75 * out, bandwidth=1.0)[0], rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="not known of a probed scheduler"):
        run(steered(Unknown(), cutoff_in="noise"), noise(2, 3, 2, 2), steps=3)


def test_an_unknown_scheduler_that_cannot_be_probed_is_refused_with_the_list() -> None:
    for scheduler in (Unknown(bend=True), type("Blank", (), {"set_timesteps": print, "__deepcopy__": None})()):
        with pytest.raises(TypeError, match="could not be probed") as error:
            steered(scheduler)
        assert all(name in str(error.value) for name in SUPPORTED)
