"""Studies with whole pipelines: decoded as diffusers does, the same noise in all lines, one clear line for mistakes."""

import json
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("transformers")
import commands  # noqa: E402

from real.api import (  # noqa: E402
    inpaint,
    inpainting_restorer,
    open_model,
    super_resolution_restorer,
    super_resolve,
)
from real.bench.draws import draw_ensemble  # noqa: E402
from real.bench.endings import evaluations_of  # noqa: E402
from real.bench.photo_sets import find_photos  # noqa: E402
from real.bench.plan import EnsemblePlan, fill_grid  # noqa: E402
from real.bench.request import StudyRequest, check_model, text_of  # noqa: E402
from real.bench.runner import run_study  # noqa: E402
from real.bench.studies import STUDIES  # noqa: E402
from real.degradations.simple import Degradation  # noqa: E402
from real.errors import UserError  # noqa: E402
from real.images.masks import center_box  # noqa: E402
from real.images.seeds import degradation_rng, photo_seed  # noqa: E402
from real.metrics.distortion import distortion  # noqa: E402
from real.plugin import choosing_callback, particle_generators  # noqa: E402
from real.plugin.early import choose_early, unchoose_early  # noqa: E402
from real.restorers.base import Restorer  # noqa: E402
from real.restorers.steered import steered_scheduler  # noqa: E402
from real.settings import Settings  # noqa: E402

N, STEPS = 3, 4
SETTINGS = Settings(particles=N, steps=STEPS)  # the folders' kds.json has a bandwidth at which particles see each other
KINDS = ["inpainter", "upscaler"]
# diffusers' and transformers' own talk while the oracle below runs
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
Make = Callable[..., Restorer]


@pytest.fixture(scope="module")
def folders(inpainter_folder: Path, upscaler_folder: Path) -> dict[str, Path]:
    return {"inpainter": inpainter_folder, "upscaler": upscaler_folder}


@pytest.fixture(scope="module")
def models(folders: dict[str, Path]) -> Callable[..., Any]:
    """(kind, dtype) -> the model, loaded once."""
    loaded: dict[tuple[str, str], Any] = {}

    def model(kind: str, dtype: str = "float32") -> Any:
        if (kind, dtype) not in loaded:
            task = "inpaint" if kind == "inpainter" else "sr"
            loaded[kind, dtype] = open_model(folders[kind], task=task, device="cpu", dtype=dtype)
        return loaded[kind, dtype]

    return model


@pytest.fixture
def make(models: Callable[..., Any], photo: np.ndarray) -> Make:
    """(kind, dtype, text) -> a restorer whose sides are no multiple of the latents' cells."""

    def restorer(kind: str, dtype: str = "float32", **text: str) -> Restorer:
        if kind == "inpainter":
            small = np.ascontiguousarray(photo[:31, :38])
            return inpainting_restorer(small, center_box(31, 38, 0.3), models(kind, dtype), **text)
        low = Degradation()(photo, np.random.default_rng(0))[:15, :18]
        return super_resolution_restorer(np.ascontiguousarray(low), models(kind, dtype), **text)

    return restorer


def of_the_pipeline(restorer: Any, settings: Settings, *, steered: bool, which: str) -> tuple[Any, list[np.ndarray]]:
    """The pipeline chooses and decodes by itself, as its users have it: the state of the scheduler, and pictures."""
    model, count = restorer.model, 1 if which == "first" else settings.particles
    early = steered and settings.early_choice
    alone, upscales = which != "all" or early, model.family == "x4-upscaler"
    scheduler = model.pipe.scheduler = steered_scheduler(
        model.scheduler,
        settings,
        count,
        bandwidth=model.bandwidth,
        steered=steered,
        hand_on="chosen" if alone and upscales else "all",
    )
    hooks = {"callback_on_step_end": choosing_callback()} if alone and not upscales else {}
    if early:
        choose_early(model.unet, scheduler)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        images = model.pipe(
            **restorer.inputs(count),
            **hooks,
            num_inference_steps=settings.steps,
            guidance_scale=settings.guidance,
            generator=particle_generators(count, seed=photo_seed(settings.seed, restorer.shown)),
            output_type="np",
        ).images
    unchoose_early(model.unet)
    return scheduler.kds, [restorer.finish(np.rint(image * 255.0).astype(np.uint8)) for image in images]


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("kind", KINDS)
def test_pictures_are_bit_for_bit_those_that_the_pipeline_decodes(kind: str, dtype: str, make: Make) -> None:
    restorer = make(kind, dtype, prompt="a cat", negative_prompt="dog")
    half, seen = dtype == "float16", []
    for sampler, bandwidth in (("ddim", None), ("dpmpp-2s", "median")):
        settings = replace(SETTINGS, sampler=sampler, bandwidth=bandwidth, guidance=2.0, seed=3)
        early = replace(settings, early_choice=True)
        cases: list[tuple[Settings, bool, Any]] = [(settings, False, "all"), (early, True, "chosen")]
        cases += [(settings, False, "first"), (settings, True, "all"), (settings, True, "chosen"), (early, True, "all")]
        for how, steered, which in cases[:2] if half else cases:
            state, expected = of_the_pipeline(restorer, how, steered=steered, which=which)
            drawn = restorer.draw(how, steered=steered, which=which)
            assert drawn.alone == (which != "all" or (steered and how.early_choice))
            assert drawn.particles.chosen == int(state.select().particle[0])
            assert len(drawn.images) == len(expected) == (1 if drawn.alone else N)
            assert all(np.array_equal(a, b) for a, b in zip(drawn.images, expected, strict=True))
            seen += drawn.images
    assert len({image.tobytes() for image in seen}) >= (8 if half else 12)  # the cases differ
    assert restorer.model.pipe.vae.dtype == getattr(torch, dtype)


@pytest.mark.parametrize("sampler", ["ddim", "dpmpp-2s"])
@pytest.mark.parametrize("kind", KINDS)
def test_progress_says_what_the_cores_samplers_say(kind: str, sampler: str, make: Make) -> None:
    restorer = make(kind)
    settings = replace(SETTINGS, sampler=sampler, bandwidth=30.0)
    outputs: list[Any] = []
    hook = restorer.model.unet.register_forward_hook(lambda module, args, output: outputs.append(output[0]))
    for steered in (False, True):
        outputs.clear()
        states: list[Any] = []
        particles = restorer.sample(settings, steered=steered, progress=states.append)
        assert [(s.step, s.num_steps, s.num_model_evaluations) for s in states] == [(i, 4, i + 1) for i in range(4)]
        alphas = restorer.model.pipe.scheduler.alphas_cumprod
        for state, eps in zip(states, outputs, strict=True):
            alpha_bar = float(alphas[state.t])
            assert state.alpha_bar == alpha_bar
            x0 = (state.x_t - (1 - alpha_bar) ** 0.5 * eps) / alpha_bar**0.5
            torch.testing.assert_close(state.x0_pred, x0, rtol=1e-4, atol=1e-4)
            moves = steered and state.t >= 300
            assert torch.equal(state.x0_steered, state.x0_pred) != moves
            assert (state.info is not None) == moves
        assert all(torch.equal(a.x_next, b.x_t) for a, b in pairwise(states))
        assert torch.equal(states[-1].x_next, particles.latents)
    hook.remove()


@pytest.mark.parametrize("kind", KINDS)
def test_every_ensemble_starts_from_the_same_noise_and_condition(kind: str, make: Make) -> None:
    """What the network sees first: the rows of fewer particles are those of more, with and without steering."""
    restorer = make(kind)
    starts, inputs, ends = [], [], []
    for count, steered in ((N, False), (N, True), (2, False), (2, True)):
        first: list[Any] = []
        seen: list[Any] = []
        hook = restorer.model.unet.register_forward_pre_hook(lambda module, args, seen=seen: seen.append(args[0]))
        settings = replace(SETTINGS, particles=count)
        particles = restorer.sample(settings, steered=steered, progress=lambda s, first=first: first.append(s.x_t))
        hook.remove()
        starts.append(first[0])
        inputs.append(seen[0])
        ends.append(particles.latents)
    assert all(torch.equal(start, starts[0][: len(start)]) for start in starts)
    assert all(torch.equal(first, inputs[0][: len(first)]) for first in inputs)
    torch.testing.assert_close(ends[2], ends[0][:2], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(ends[1], ends[0], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("sampler", ["ddim", "dpmpp-2s"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_early_choice_of_the_studies_is_that_of_the_pipeline(
    kind: str, sampler: str, make: Make, photo: np.ndarray
) -> None:
    restorer, chosen = make(kind), set()
    for seed in range(4):
        settings = replace(SETTINGS, sampler=sampler, bandwidth=30.0, cutoff=0.6, seed=seed)
        steered, alone = (EnsemblePlan(kind, settings, "simple") for kind in ("kds", "plain"))
        whole = draw_ensemble(steered, photo, restorer, distortion)
        early = restorer.sample(replace(settings, early_choice=True))
        assert whole.early_choice(N) == early.chosen
        assert 0 < whole.until_cutoff < STEPS
        assert early.evaluations == evaluations_of(steered, "early", N, whole)
        torch.testing.assert_close(early.best, whole.latents[early.chosen], rtol=1e-4, atol=1e-3)
        plain = draw_ensemble(alone, photo, restorer, distortion)
        assert (plain.until_cutoff, plain.early_choice(N) in range(N)) == (whole.until_cutoff, True)
        chosen.add(early.chosen)
    assert len(chosen) > 1  # of several seeds: not always the same one


def test_without_steering_the_state_at_the_cutoff_is_the_plain_prediction(make: Make, photo: np.ndarray) -> None:
    restorer, states = make("inpainter"), []
    settings = replace(SETTINGS, bandwidth=30.0)
    restorer.sample(settings, steered=False, progress=states.append)
    ensemble = draw_ensemble(EnsemblePlan("plain", settings, "simple"), photo, restorer, distortion)
    last = [state for state in states if state.t >= 300][-1]
    assert ensemble.until_cutoff == last.num_model_evaluations == 2  # t = 751, 501, 251 and 1
    assert torch.equal(ensemble.at_cutoff, last.x0_pred)


# --- studies -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    y, x = np.mgrid[:66, :72]
    for i in range(2):
        photo = np.stack([3 * x + 0 * y, 2 * y + 60 * ((x // (8 + i) + y // 8) % 2), 255 - 2 * x + 0 * y], axis=-1)
        Image.fromarray(photo.clip(0, 255).astype(np.uint8)).save(folder / f"{i}.png")
    return folder


def task_of(name: str, photos: Path, **changes: Any) -> StudyRequest:
    small = {"steps": [2], "bandwidth": [30.0], "particles": [2]}
    small |= {
        "table4": {"particles": [1, 2]},
        "front": {"budget": [10]},
        "attribution": {"seed": [0]},
        "table6": {"guidance": [1.0, 2.0]},
    }.get(name, {})
    own = {key: changes.pop(key) for key in ("guidance", "cutoff") if key in changes}
    grid = fill_grid(STUDIES[name], {**small, **own})
    return StudyRequest(name, STUDIES[name], grid, Settings(), find_photos(photos), crop=64, **changes)


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]


def drawn_of(folder: Path) -> list[dict[str, Any]]:
    """The rows of ensembles; those that draw nothing depend on what is installed."""
    return [row for row in rows_of(folder) if " S=" in row["run"]]


def truth_of(photos: Path, name: str) -> np.ndarray:
    with Image.open(photos / name) as image:
        return np.ascontiguousarray(np.asarray(image)[1:65, 4:68])


def test_table3_scores_what_inpaint_paints(models: Callable[..., Any], photos: Path, tmp_path: Path) -> None:
    model = models("inpainter")
    report = run_study(task_of("table3", photos, prompt="a cat"), model, tmp_path)
    assert report["photos"] == 2
    truth, hole = truth_of(photos, "1.png"), center_box(64, 64, 0.3)
    rows = {row["run"]: row for row in drawn_of(tmp_path) if row["photo"] == "1.png"}
    assert len(rows) == 4
    for key, row in rows.items():
        how = Settings(particles=2, steps=2, bandwidth=30.0, sampler=key.split()[1])
        how = how if key.startswith("kds") else replace(how, strength=0.0)
        painted = inpaint(truth, hole, model=model, settings=how, prompt="a cat")
        expected = distortion(painted.image, truth)
        got = row["scores"]["2"]["choice"]
        assert {name: got[name] for name in expected} == pytest.approx(expected, abs=1e-6)
    assert len({row["scores"]["2"]["choice"]["psnr_rgb"] for row in rows.values()}) == 4  # the rows differ
    text = (tmp_path / "report.md").read_text()
    assert 'Prompt "a cat", negative prompt ""' in text
    assert "guidance changes nothing" not in text


def test_super_resolution_studies_run_with_the_upscaler(
    models: Callable[..., Any], photos: Path, tmp_path: Path
) -> None:
    """Time and memory, early choices, guidance, and every line of the paper's first table."""
    model = models("upscaler")
    reports = {}
    for name in ("table1", "table4", "front", "table6"):
        (tmp_path / name).mkdir()
        text = {"prompt": "a cat", "negative_prompt": "dog", "guidance": [2.0, 3.0]} if name == "table6" else {}
        reports[name] = run_study(task_of(name, photos, limit=1, **text), model, tmp_path / name)
    lines = {name: {line["key"]: line for line in report["lines"]} for name, report in reports.items()}
    truth = truth_of(photos, "0.png")
    low = Degradation()(truth, degradation_rng(0, truth))
    settings = Settings(particles=2, steps=2, bandwidth=30.0)
    expected = distortion(super_resolve(low, model=model, settings=settings).image, truth)["psnr_rgb"]
    assert lines["table1"]["kds"]["scores"]["psnr_rgb"]["mean"] == pytest.approx(expected, abs=1e-5)
    assert all(line["scores"]["seconds"]["mean"] > 0 for line in lines["table4"].values())
    # S = 5, at t = 801 to 1: three evaluations of two particles at or above 0.3, then two of one
    assert lines["front"]["early-10"]["evaluations"] == 3 * 2 + 2
    assert lines["front"]["average-10"]["evaluations"] == lines["front"]["2S-10"]["evaluations"] == 10
    assert not {"HDS-10", "renoise-10", "funnel-10"} & lines["front"].keys()  # a pipeline runs its own sampler
    costs = {key: line["evaluations"] for key, line in lines["table6"].items()}
    assert costs == {"plain-w-2": 4, "kds-w-2": 8, "plain-w-3": 4, "kds-w-3": 8}
    scores = {key: line["scores"]["psnr_rgb"]["mean"] for key, line in lines["table6"].items()}
    assert len(set(scores.values())) == 4
    assert 'negative prompt "dog", noise level 20.' in (tmp_path / "table6" / "report.md").read_text()


def test_a_resumed_study_is_the_same_and_other_texts_are_refused(
    models: Callable[..., Any], photos: Path, tmp_path: Path, folders: dict[str, Path]
) -> None:
    model, task = models("upscaler"), task_of("attribution", photos, cutoff=[0.3], prompt="a cat", noise_level=30)
    run_study(task, model, tmp_path)
    whole = {name: (tmp_path / name).read_text() for name in ("rows.jsonl", "report.json", "report.md")}
    lines = whole["rows.jsonl"].splitlines(keepends=True)
    assert len(drawn_of(tmp_path)) == 6
    (tmp_path / "rows.jsonl").write_text(lines[0] + lines[1] + lines[2][:100])  # as a kill leaves it
    run_study(task, model, tmp_path)
    assert {name: (tmp_path / name).read_text() for name in whole} == whole
    for changes, named in (
        ({"prompt": "a dog"}, "prompt was 'a cat' and is 'a dog'"),
        ({"prompt": None}, "prompt was 'a cat' and is ''"),
        ({"noise_level": None}, "noise_level was 30 and is 20"),
    ):
        with pytest.raises(UserError, match=named):
            run_study(replace(task, **changes), model, tmp_path)
    tiled = open_model(folders["upscaler"], device="cpu", vae_tiling=True)
    with pytest.raises(UserError, match="vae_tiling was False and is True"):
        run_study(task, tiled, tmp_path)


def test_guidance_needs_something_to_guide_by(models: Callable[..., Any], photos: Path, tmp_path: Path) -> None:
    task = task_of("table6", photos, limit=1)
    with pytest.warns(UserWarning, match="prompt and negative prompt are the same"):
        report = run_study(task, models("upscaler"), tmp_path)
    lines = {line["key"]: line["scores"]["psnr_rgb"]["mean"] for line in report["lines"]}
    assert lines["kds-w-2"] == pytest.approx(lines["kds-w-1"], abs=0.05)
    assert lines["kds-w-1"] != lines["plain-w-1"]
    assert "so guidance changes nothing" in (tmp_path / "report.md").read_text()


@pytest.mark.parametrize(
    ("kind", "changes", "error", "named"),
    [
        ("upscaler", {"guidance": [2.0, 0.5]}, UserError, "guidance must be at least 1"),
        ("upscaler", {"negative_prompt": "dog"}, UserError, "negative_prompt must be left out without guidance"),
        ("upscaler", {"noise_level": 351}, UserError, "noise_level must be .*got 351"),
        ("inpainter", {"noise_level": 20}, UserError, "noise_level must be left out except with the x4 up.*, got 20"),
        ("tiny", {"prompt": "a cat"}, UserError, "prompt must be left out except with models that read"),
        ("tiny", {"negative_prompt": "dog"}, UserError, "negative_prompt must be left out except"),
        ("tiny", {"noise_level": 20}, UserError, "noise_level must be left out except with the x4"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_written(
    kind: str,
    changes: dict[str, Any],
    error: type[Exception],
    named: str,
    models: Callable[..., Any],
    tiny: Any,
    photos: Path,
    tmp_path: Path,
) -> None:
    model = tiny if kind == "tiny" else models(kind)
    with pytest.raises(error, match=named):
        run_study(task_of("table6", photos, **changes), model, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_texts_are_named_only_where_a_pipeline_reads_them(models: Callable[..., Any], tiny: Any, photos: Path) -> None:
    task = task_of("table1", photos)
    assert text_of(task, tiny) == {}  # so that folders with rows of such models go on as they were
    assert text_of(task, models("inpainter")) == {"prompt": "", "negative_prompt": ""}
    assert text_of(task, models("upscaler")) == {"prompt": "", "negative_prompt": "", "noise_level": 20}
    check_model(task, tiny)
    check_model(replace(task, prompt="a cat", noise_level=0), models("upscaler"))


def test_a_photo_that_the_safety_checker_blacks_out_is_left_out(
    models: Callable[..., Any], photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, calls = models("inpainter"), []

    def check(self: Any, image: Any, device: Any, dtype: Any) -> Any:
        calls.append(len(image))
        return image, [len(calls) == 2] * len(image)  # of the second ensemble

    monkeypatch.setattr(type(model.pipe), "run_safety_checker", check)
    report = run_study(task_of("table3", photos), model, tmp_path)
    assert report["photos"] == 1
    (why,) = report["left_out"].items()
    assert why == ("0.png", "its safety checker blacked a picture out")
    assert [row["photo"] for row in drawn_of(tmp_path)] == ["0.png"] + ["1.png"] * 4
    monkeypatch.undo()
    assert run_study(task_of("table3", photos), model, tmp_path)["photos"] == 2  # without it the rest is drawn


# --- the command -------------------------------------------------------------------------------------------------


run = partial(commands.run, "bench")


def test_the_command_takes_pipelines(folders: dict[str, Path], photos: Path, tmp_path: Path, capsys: Any) -> None:
    quick = ["--photos", photos, "--crop", 64, "--limit", 1, "--particles", 2, "--steps", 1, "--bandwidth", 30]
    out = tmp_path / "out"
    options = ["--model", folders["inpainter"], "--guidance", 2, "--prompt", "a cat", "--max-batch", 2, "--vae-tiling"]
    assert run("table3", *quick, *options, "--output", out) == 0
    assert "what steering adds to choosing" in capsys.readouterr().out
    report = json.loads((out / "report.json").read_text())
    assert (report["prompt"], report["negative_prompt"], report["settings"]["guidance"]) == ("a cat", "", 2.0)
    assert "transformers" in report["versions"]
    identity = json.loads((out / "settings.json").read_text())
    assert (identity["prompt"], identity["vae_tiling"], identity["dtype"]) == ("a cat", True, "float32")
    assert run("table3", *quick, *options, "--negative-prompt", "dog", "--output", out) == 2
    assert "negative_prompt was '' and is 'dog'" in capsys.readouterr().err
    more = ["--model", folders["upscaler"], "--noise-level", 40, "--output", tmp_path / "sr"]
    assert run("table1", *quick, *more) == 0
    assert json.loads((tmp_path / "sr" / "report.json").read_text())["noise_level"] == 40


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["table3", "--model", "{upscaler}"], ", the x4 upscaler"),
        (["table1", "--model", "{inpainter}"], ", Stable Diffusion inpainting"),
        (["table1", "--prompt", "a cat"], "--prompt must be left out"),
        (["table1", "--noise-level", "3"], "--noise-level must be left out"),
        (["table3", "--model", "{inpainter}", "--negative-prompt", "dog"], "--negative-prompt must be left"),
        (["table1", "--model", "{upscaler}", "--noise-level", "400"], "--noise-level must be a whole number"),
        (["table6", "--model", "{upscaler}", "--guidance", "0.5", "2"], "--guidance must be at least 1"),
        (["table3", "--model", "{inpainter}", "--device", "cpu", "--cpu-offload"], "--cpu-offload"),
        (["table1", "--cpu-offload"], "--cpu-offload"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], named: str, folders: dict[str, Path], photos: Path, tmp_path: Path, capsys: Any
) -> None:
    filled = [word.format(**folders) for word in arguments]
    assert run(*filled, "--photos", photos, "--crop", 64, "--output", tmp_path / "out") == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert named in error
    assert not (tmp_path / "out" / "settings.json").exists()
