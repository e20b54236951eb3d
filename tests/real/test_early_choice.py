"""Early choice: the particle that the studies pick at the cut-off, and the network sees only that one from there on."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from real.bench.draws import draw_ensemble  # noqa: E402
from real.bench.endings import evaluations_of  # noqa: E402
from real.bench.ensembles import DrawnEnsemble  # noqa: E402
from real.bench.plan import EnsemblePlan  # noqa: E402
from real.bench.summary import summarise, table  # noqa: E402
from real.degradations.simple import Degradation  # noqa: E402
from real.images.seeds import photo_seed  # noqa: E402
from real.metrics.distortion import distortion  # noqa: E402
from real.models.codec import padded_condition  # noqa: E402
from real.models.latent import LatentModel  # noqa: E402
from real.restorers.base import restore  # noqa: E402
from real.restorers.compare import METHODS  # noqa: E402
from real.restorers.latent import LatentSuperResolution  # noqa: E402
from real.sampling import sample  # noqa: E402
from real.settings import Settings  # noqa: E402

N = 4
SETTINGS = Settings(particles=N, steps=7, bandwidth=2.0)


@pytest.fixture
def low(photo: np.ndarray) -> np.ndarray:
    return Degradation()(photo, np.random.default_rng(0))


def of_the_studies(settings: Settings, photo: np.ndarray, low: np.ndarray, tiny: LatentModel) -> DrawnEnsemble:
    return draw_ensemble(EnsemblePlan("kds", settings, "simple"), photo, LatentSuperResolution(low, tiny), distortion)


@pytest.mark.parametrize("sampler", ["ddim", "dpmpp-2s"])
@pytest.mark.parametrize("cutoff", [0.3, 0.6])
def test_it_is_the_early_choice_of_the_studies(
    tiny: LatentModel, photo: np.ndarray, low: np.ndarray, sampler: str, cutoff: float
) -> None:
    differs = False
    for seed in (0, 1):
        settings = replace(SETTINGS, sampler=sampler, cutoff=cutoff, seed=seed)
        whole = of_the_studies(settings, photo, low, tiny)
        of_the_photo = replace(settings, seed=photo_seed(seed, low))
        early = sample(tiny, padded_condition(low, tiny), replace(of_the_photo, early_choice=True))
        assert early.chosen == whole.early_choice(N)
        assert early.early
        assert early.latents.shape == (1, *whole.latents.shape[1:])
        torch.testing.assert_close(early.best, whole.latents[early.chosen], rtol=1e-4, atol=1e-3)
        usual = sample(tiny, padded_condition(low, tiny), of_the_photo)
        assert usual.chosen_at_cutoff == early.chosen_at_cutoff == early.chosen
        assert early.evaluations == evaluations_of(EnsemblePlan("kds", settings, "simple"), "early", N, whole)
        differs |= early.chosen != 0
    assert differs  # of several seeds: not always the first particle


def test_the_network_sees_one_particle_after_the_window(tiny: LatentModel, low: np.ndarray) -> None:
    seen = []
    hook = tiny.unet.register_forward_pre_hook(lambda module, args: seen.append(len(args[0])))
    result = sample(tiny, padded_condition(low, tiny), replace(SETTINGS, early_choice=True))
    hook.remove()
    steered = len(result.trace)
    assert 0 < steered < 7
    assert seen == [N] * steered + [1] * (7 - steered)


def test_a_window_that_never_closes_leaves_the_choice_to_the_end(tiny: LatentModel, low: np.ndarray) -> None:
    condition = padded_condition(low, tiny)
    usual = sample(tiny, condition, replace(SETTINGS, cutoff=0.0))
    early = sample(tiny, condition, replace(SETTINGS, cutoff=0.0, early_choice=True))
    assert not early.early
    assert torch.equal(early.latents, usual.latents)
    assert torch.equal(early.best, usual.latents[usual.chosen])
    assert (early.chosen, early.evaluations) == (usual.chosen, 7 * N)
    assert usual.chosen_at_cutoff == usual.chosen  # what is predicted at the last step is the result
    assert sample(tiny, condition, replace(SETTINGS, cutoff=1.0)).chosen_at_cutoff is None
    assert sample(tiny, condition, SETTINGS, steered=False).chosen_at_cutoff is None


def test_nothing_can_be_chosen_without_a_step_in_the_window(tiny: LatentModel, low: np.ndarray) -> None:
    with pytest.raises(ValueError, match="cutoff"):
        sample(tiny, padded_condition(low, tiny), replace(SETTINGS, cutoff=1.0, early_choice=True))
    with pytest.raises(TypeError, match="early_choice"):
        Settings(early_choice="yes")


def test_the_plain_sampler_draws_every_particle_to_the_end(
    tiny: LatentModel, photo: np.ndarray, low: np.ndarray, compared: Any
) -> None:
    settings = replace(SETTINGS, early_choice=True)
    plain = sample(tiny, padded_condition(low, tiny), settings, steered=False)
    assert len(plain.latents) == N
    result = compared(photo, low, tiny, settings)
    assert {"ddim_mean", "ddim_choice", "kds_choice"} <= set(result.scores)
    assert not {"kds_mean", "kds_worst", "kds_average", "kds_early"} & set(result.scores)  # dropped
    assert np.array_equal(result.images["kds_choice"], restore(LatentSuperResolution(low, tiny), settings).image)


def test_a_comparison_scores_what_an_early_choice_would_have_given(
    tiny: LatentModel, photo: np.ndarray, low: np.ndarray, compared: Any
) -> None:
    differs = False
    for seed in range(4):
        settings = replace(SETTINGS, seed=seed, cutoff=0.8, particles=8, bandwidth=5.0)
        usual = compared(photo, low, tiny, settings)
        early = compared(photo, low, tiny, replace(settings, early_choice=True))
        assert usual.chosen["kds_early"] == early.chosen["kds"]
        assert usual.scores["kds_early"]["psnr_rgb"] == pytest.approx(early.scores["kds_choice"]["psnr_rgb"], abs=0.01)
        differs |= usual.chosen["kds_early"] != usual.chosen["kds"]
        if differs:
            break
    assert differs  # or the two could be mixed up unseen


def test_an_evaluation_leaves_out_what_was_not_sampled() -> None:
    scores = {name: {"psnr_rgb": 20.0, "ssim_rgb": 0.5, "psnr_y": 21.0, "ssim_y": 0.6} for name in METHODS}
    dropped = {"kds_mean", "kds_worst", "kds_average", "kds_early"}
    rows = [{"photo": "a.png", "scores": {name: s for name, s in scores.items() if name not in dropped}}]
    summary = summarise(rows, replace(SETTINGS, early_choice=True))
    assert {("kds_choice", "ddim_mean"), ("kds_choice", "ddim_choice")} <= {(p["a"], p["b"]) for p in summary["pairs"]}
    assert not dropped & {name for pair in summary["pairs"] for name in (pair["a"], pair["b"])}
    assert "kds_choice" in table(summary)
