"""Every opponent against what its source says: what it ends with, what it costs, and when it is KDS."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from kds_ref import add_noise, ddim, select_particle  # noqa: E402
from real.bench import opponents  # noqa: E402
from real.bench.adapter import parts_of, takes_opponents  # noqa: E402
from real.bench.draws import DRAWS  # noqa: E402
from real.degradations.simple import Degradation  # noqa: E402
from real.images.seeds import photo_seed  # noqa: E402
from real.models.latent import LatentModel  # noqa: E402
from real.restorers.latent import LatentSuperResolution  # noqa: E402
from real.sampling import initial_noise  # noqa: E402
from real.settings import Settings  # noqa: E402

N, STEPS = 4, 5  # t = 999, 799, 599, 399 and 199: four evaluations at or above the cut-off
SETTINGS = Settings(particles=N, steps=STEPS, bandwidth=2.0)


@pytest.fixture
def low(photo: np.ndarray) -> np.ndarray:
    return Degradation()(photo, np.random.default_rng(0))


@pytest.fixture
def restorer(tiny: LatentModel, low: np.ndarray) -> LatentSuperResolution:
    return LatentSuperResolution(low, tiny)


def rows_seen(model: LatentModel, run: Callable[[], tuple[torch.Tensor, int]]) -> tuple[torch.Tensor, int, list[int]]:
    """What a draw gives, and how many rows the network saw at each call."""
    seen: list[int] = []
    hook = model.unet.register_forward_pre_hook(lambda module, args: seen.append(len(args[0])))
    with torch.no_grad():
        latents, evaluations = run()
    hook.remove()
    return latents, evaluations, seen


@pytest.mark.parametrize("kind", [name for name, kind in DRAWS.items() if kind.draw is not None])
@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_it_ends_with_one_particle_and_counts_what_the_network_saw(
    kind: str, guidance: float, tiny: LatentModel, restorer: LatentSuperResolution
) -> None:
    settings = replace(SETTINGS, guidance=guidance)
    latents, evaluations, seen = rows_seen(tiny, lambda: DRAWS[kind].draw(restorer, settings))
    assert latents.shape == (1, 3, *restorer.condition.shape[-2:])
    assert bool(torch.isfinite(latents).all())
    assert evaluations == sum(seen)
    again, _, _ = rows_seen(tiny, lambda: DRAWS[kind].draw(restorer, settings))
    assert torch.equal(latents, again)


def plain(restorer: LatentSuperResolution, settings: Settings = SETTINGS) -> torch.Tensor:
    return restorer.sample(settings, steered=False).latents


def test_what_changes_nothing_is_the_plain_particle(
    restorer: LatentSuperResolution, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = plain(restorer)[:1]
    with torch.no_grad():
        unchanged, _ = opponents.hds(restorer, replace(SETTINGS, cutoff=0.0))  # below 0 there is nothing
        assert torch.allclose(unchanged, first, rtol=1e-4, atol=1e-4)
        assert not torch.allclose(opponents.hds(restorer, SETTINGS)[0], first, rtol=1e-3, atol=1e-3)
        of_photo = photo_seed(SETTINGS.seed, restorer.shown)
        assert torch.allclose(opponents.fixed_noise(restorer, SETTINGS, of_photo)[0], first, rtol=1e-4, atol=1e-4)
        monkeypatch.setattr(opponents, "QUANTILE", 0.5)
        monkeypatch.setattr(opponents, "median_norm", lambda x: x)
        assert torch.allclose(opponents.density(restorer, SETTINGS)[0], first, rtol=1e-4, atol=1e-4)


def test_hds_doubles_the_noise_below_the_cutoff(restorer: LatentSuperResolution) -> None:
    parts = parts_of(restorer, SETTINGS)
    with torch.no_grad():
        expected = ddim(
            lambda x, t: parts.denoiser(x, t) * (2.0 if t < 300 else 1.0),
            parts.noise(1),
            schedule=parts.schedule,
            timesteps=parts.timesteps,
        )
        assert torch.allclose(opponents.hds(restorer, SETTINGS)[0], expected.x0, rtol=1e-5, atol=1e-5)


def test_fixed_noise_is_the_same_for_every_photo(tiny: LatentModel, low: np.ndarray) -> None:
    first, second = LatentSuperResolution(low, tiny), LatentSuperResolution(np.ascontiguousarray(low[::-1]), tiny)
    height, width = first.condition.shape[-2:]
    expected = initial_noise(1, height, width, seed=7)
    for restorer in (first, second):
        assert torch.equal(parts_of(restorer, SETTINGS, noise_seed=7).noise(1), expected)
    assert not torch.equal(parts_of(first, SETTINGS).noise(1), parts_of(second, SETTINGS).noise(1))


def test_drafts_give_the_full_run_to_the_particle_nearest_to_the_mean(
    restorer: LatentSuperResolution, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opponents, "DRAFT_STEPS", 2)
    settings = replace(SETTINGS, steps=6)
    winner = int(select_particle(plain(restorer, replace(settings, steps=2))))
    with torch.no_grad():
        latents, evaluations = opponents.drafts(restorer, settings)
    assert torch.allclose(latents[0], plain(restorer, settings)[winner], rtol=1e-4, atol=1e-4)
    assert evaluations == 2 * N + 6


@pytest.mark.parametrize("steered", [False, True])
def test_the_mean_at_the_cutoff_is_noised_again(steered: bool, restorer: LatentSuperResolution) -> None:
    states = []
    restorer.sample(SETTINGS, steered=steered, progress=states.append)
    mean = [state for state in states if state.t >= 300][-1].x0_steered.mean(0, keepdim=True)
    parts = parts_of(restorer, SETTINGS)
    late = tuple(t for t in parts.timesteps if t < 300)
    with torch.no_grad():
        start = add_noise(mean, parts.noise(N + 1)[N:], parts.schedule.alpha_bar(late[0]))
        expected = ddim(parts.denoiser, start, schedule=parts.schedule, timesteps=late).x0
        latents, evaluations = opponents.renoise(restorer, SETTINGS, steered=steered)
    torch.testing.assert_close(latents, expected, rtol=1e-4, atol=1e-4)
    assert evaluations == 4 * N + 1


def test_a_funnel_that_nobody_leaves_is_the_early_choice(
    restorer: LatentSuperResolution, tiny: LatentModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All particles down to the cut-off, then the one nearest to the mean: as `early_choice`, at the same cost."""
    monkeypatch.setattr(opponents, "AGREEMENT", 2.0)  # never reached
    expected, cost = DRAWS["kds-early"].draw(restorer, SETTINGS)
    latents, evaluations, seen = rows_seen(tiny, lambda: opponents.funnel(restorer, SETTINGS))
    assert seen == [N] * 4 + [1]
    assert evaluations == cost == 4 * N + 1
    torch.testing.assert_close(latents, expected, rtol=1e-4, atol=1e-4)
    whole, _, seen = rows_seen(tiny, lambda: opponents.funnel(restorer, replace(SETTINGS, cutoff=0.0)))
    assert seen == [N] * 5
    kds = restorer.sample(replace(SETTINGS, cutoff=0.0))
    torch.testing.assert_close(whole[0], kds.best, rtol=1e-4, atol=1e-4)


def test_a_funnel_halves_where_the_particles_agree(restorer: LatentSuperResolution, tiny: LatentModel) -> None:
    """At a bandwidth far above the spread all weights are equal: the effective number of particles is N at once."""
    wide = replace(SETTINGS, bandwidth=1e4)
    _, evaluations, seen = rows_seen(tiny, lambda: opponents.funnel(restorer, wide))
    assert seen == [4, 2, 1, 1, 1]
    assert evaluations == 9
    narrow = replace(SETTINGS, bandwidth=1e-3)  # every particle sees itself alone
    assert rows_seen(tiny, lambda: opponents.funnel(restorer, narrow))[2] == [4, 4, 4, 4, 1]
    with pytest.raises(ValueError, match="sampler must be 'ddim'"):
        opponents.funnel(restorer, replace(SETTINGS, sampler="dpmpp-2s"))


def test_survivors_of_a_funnel_are_those_nearest_to_the_mean(restorer: LatentSuperResolution) -> None:
    states = []
    wide = replace(SETTINGS, bandwidth=1e4)
    restorer.sample(wide, progress=states.append)
    first = states[0]
    watch = opponents._Watch(parts_of(restorer, wide).timesteps, 1000, 0.3)
    with pytest.raises(opponents._FewerGoOn):
        watch(first)
    x0 = first.x0_steered.double().flatten(1)
    nearest = sorted(np.argsort(((x0 - x0.mean(0)) ** 2).sum(1).numpy())[:2])
    assert torch.equal(watch.survivors(), first.x_next[nearest])


def test_a_network_that_predicts_something_else_is_turned_into_noise(
    tiny: LatentModel, low: np.ndarray
) -> None:
    """The predicted noise gives the same DDIM run as the sampler's own handling of the prediction."""
    for kind in ("v_prediction", "sample"):
        restorer = LatentSuperResolution(low, replace(tiny, prediction_type=kind))
        parts = parts_of(restorer, SETTINGS)
        with torch.no_grad():
            result = parts.sample(parts.denoiser, parts.noise(N), timesteps=parts.timesteps)
        torch.testing.assert_close(result.x0, plain(restorer), rtol=1e-3, atol=1e-3)


def test_pipelines_take_no_opponent_that_enters_the_sampler(tiny: LatentModel) -> None:
    class Pipeline:
        pass

    assert takes_opponents(tiny, list(DRAWS))
    assert takes_opponents(Pipeline(), ["plain", "kds", "kds-early", "bicubic"])  # type: ignore[arg-type]
    assert not any(takes_opponents(Pipeline(), [kind]) for kind in ("hds", "renoise", "funnel"))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="which samples itself"):
        parts_of(Pipeline(), SETTINGS)  # type: ignore[arg-type]
