"""`sr` and `bench` with DiffBIR and SeeSR: what they write, and one clear line for every mistake."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import save_file

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
from commands import pixels, run  # noqa: E402

from real.api import open_model, super_resolve  # noqa: E402
from real.backbones.hints import HintPlaces, Hints, read_image_tokens  # noqa: E402
from real.backbones.recipes import RECIPES  # noqa: E402
from real.bench.paper import find_row, paper_rows  # noqa: E402
from real.errors import UserError  # noqa: E402
from real.metrics.distortion import distortion  # noqa: E402
from real.settings import Settings  # noqa: E402

QUICK = ["--steps", "2", "--particles", "2"]
FILES = ["comparison.png", "restored.png", "result.json", "spread.png"]
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, tokens_file: Path) -> Path:
    """Two pairs in StableSR's layout, 64 and 16 pixels a side, and beside them what is known of each."""
    folder = tmp_path_factory.mktemp("pairs")
    for name in ("gt", "lq", "cleaned", "tags", "tokens"):
        (folder / name).mkdir()
    y, x = np.mgrid[:64, :64]
    for i in range(2):
        photo = np.stack([3 * x, 2 * y + 60 * ((x // (8 + i) + y // 8) % 2), 255 - 2 * x], axis=-1)
        truth = photo.clip(0, 255).astype(np.uint8)
        Image.fromarray(truth).save(folder / "gt" / f"{i}.png")
        Image.fromarray(truth[2::4, 2::4]).save(folder / "lq" / f"{i}.png")
        Image.fromarray(np.roll(truth, i, axis=0)).save(folder / "cleaned" / f"{i}.png")
        (folder / "tags" / f"{i}.txt").write_text(["a cat\n", "a hat, a dog\n"][i])
        tokens = torch.randn(1, 5, 512, generator=torch.Generator().manual_seed(i))
        save_file({"tokens": tokens}, folder / "tokens" / f"{i}.safetensors")
    return folder


@pytest.fixture(scope="module")
def known(photos: Path) -> dict[str, list[str]]:
    """Options that say what is known of the first photo."""
    return {
        "diffbir": ["--cleaned", str(photos / "cleaned" / "0.png")],
        "seesr": ["--tags", "a cat", "--image-tokens", str(photos / "tokens" / "0.safetensors")],
    }


def test_diffbir_restores(photos: Path, parts: Any, known: Any, recipes: Any, tmp_path: Path, capsys: Any) -> None:
    low = photos / "lq" / "0.png"
    assert run("sr", low, *parts["diffbir"], *known["diffbir"], "--output", tmp_path / "out", *QUICK) == 0
    out = tmp_path / "out"
    assert sorted(p.name for p in out.iterdir()) == FILES
    hints = Hints(cleaned=pixels(photos / "cleaned" / "0.png"))
    settings = Settings(particles=2, steps=2, guidance=4.0)
    model = open_model("diffbir", recipe=recipes["diffbir"])
    expected = super_resolve(low, model=model, settings=settings, hints=hints)
    assert np.array_equal(pixels(out / "restored.png"), expected.image)
    result = json.loads((out / "result.json").read_text())
    assert (result["family"], result["settings"]["guidance"], result["settings"]["bandwidth"]) == ("diffbir", 4.0, 5.0)
    assert result["prompt"] == ""
    assert result["negative_prompt"] == "low quality, blurry, low-resolution, noisy, unsharp, weird textures"
    assert result["timesteps"] == [501, 1]
    assert result["last_alpha_bar"] == pytest.approx(1 - 0.00085, abs=1e-6)
    backbone = result["backbone"]
    assert (backbone["start"], backbone["time_grid"], backbone["colour_fix"]) == ("condition", "official", "wavelet")
    assert backbone["loaded"] == {"base": recipes["diffbir"].base, "weights": recipes["diffbir"].weights}
    assert result["hints"] == {"cleaned": known["diffbir"][1]}
    assert (result["chosen"], result["trace"]) == (expected.chosen, expected.trace)
    said = capsys.readouterr().out
    assert "start condition, 2 timesteps from 501 to 1 (official grid)" in said
    assert "guidance 4, colour fix wavelet" in said


def test_seesr_is_compared_with_the_truth(photos: Path, parts: Any, tmp_path: Path, tokens_file: Path) -> None:
    truth, out = photos / "gt" / "1.png", tmp_path / "out"
    given = ["--tags", photos / "tags", "--image-tokens", photos / "tokens", "--start", "noise", "--tile", "0"]
    more = ["--prompt", "sharp", "--negative-prompt", "dull", "--guidance", "2", "--colour-fix", "none"]
    more += ["--last-alpha", "one"]
    assert run("sr", truth, "--degrade", *parts["seesr"], *given, *more, "--output", out, *QUICK) == 0
    result = json.loads((out / "result.json").read_text())
    assert (result["prompt"], result["negative_prompt"]) == ("a hat, a dog, ,sharp", "dull")
    assert (result["settings"]["guidance"], result["backbone"]["start"]) == (2.0, "noise")
    assert result["last_alpha_bar"] == 1.0
    assert (result["backbone"]["colour_fix"], result["backbone"]["tile"]) == ("none", None)
    expected = distortion(pixels(out / "restored.png"), pixels(truth))["psnr_rgb"]
    assert result["scores"]["kds_choice"]["psnr_rgb"] == pytest.approx(expected, abs=1e-3)
    assert {"bicubic", "ddim_one", "ddim_mean", "kds_mean", "kds_early"} <= set(result["scores"])


def test_diffbir_without_a_first_stage_says_so(photos: Path, parts: Any, tmp_path: Path) -> None:
    truth, out = photos / "gt" / "0.png", tmp_path / "out"
    assert run("sr", truth, "--degrade", *parts["diffbir"], "--cleaner", "bicubic", "--output", out, *QUICK) == 0
    result = json.loads((out / "result.json").read_text())
    assert (result["backbone"]["cleaner"], result["hints"]) == ("bicubic", {})


STUDIES = {
    ("table1", "diffbir"): ("DiffBIR", "DIV2K", ["kds", "plain"]),
    ("table2", "seesr"): ("SeeSR", "DRealSR", ["kds", "plain"]),
    ("table4", "diffbir"): ("DiffBIR", "RealSR", ["plain"]),
    ("table6", "diffbir"): ("DiffBIR", "DRealSR", ["kds-w-2", "plain-w-2"]),
}


@pytest.mark.parametrize(("study", "name"), list(STUDIES))
def test_the_papers_tables(study: str, name: str, photos: Path, parts: Any, tmp_path: Path) -> None:
    backbone, dataset, keys = STUDIES[study, name]
    given = {
        "diffbir": ["--cleaned", photos / "cleaned"],
        "seesr": ["--tags", photos / "tags", "--image-tokens", photos / "tokens"],
    }
    more = {"table2": ["--dataset", dataset], "table6": ["--guidance", 1, 2], "table4": ["--limit", 1]}.get(study, [])
    options = ["bench", study, "--pairs", photos, *parts[name], *given[name], *more, *QUICK]
    assert run(*options, "--output", tmp_path / "out") == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["photos"] == (1 if study == "table4" else 2)
    lines = {line["key"]: line for line in report["lines"]}
    for key in keys:
        wanted = {"table": study[-1], "backbone": backbone, "dataset": dataset}
        wanted["method"] = "kds" if key.startswith("kds") else "none"
        if study == "table6":
            wanted["sampler"] = "ddim50 cfg w=2"
        assert lines[key]["paper"] == dict(find_row(paper_rows(), wanted).values)
    text = (tmp_path / "out" / "report.md").read_text()
    assert f"{backbone}: start condition" in text
    if study == "table6":
        costs = {key: line["evaluations"] for key, line in lines.items()}
        assert costs == {"plain-w-1": 2, "kds-w-1": 4, "plain-w-2": 4, "kds-w-2": 8}
    else:
        assert report["settings"]["guidance"] == {"diffbir": 4.0, "seesr": 5.5}[name]
    if study == "table4":
        assert lines["kds-2"]["scores"]["seconds"]["mean"] > 0


def test_a_study_scores_what_sr_restores(photos: Path, parts: Any, known: Any, tmp_path: Path) -> None:
    options = [*parts["diffbir"], *QUICK]
    folder = photos / "cleaned"
    done = run("bench", "table1", "--pairs", photos, *options, "--cleaned", folder, "--output", tmp_path / "study")
    assert done == 0
    assert run("sr", photos / "lq" / "0.png", *options, *known["diffbir"], "--output", tmp_path / "sr") == 0
    rows = [json.loads(line) for line in (tmp_path / "study" / "rows.jsonl").read_text().splitlines()]
    (row,) = (row for row in rows if row["photo"] == "0.png" and row["run"].startswith("kds"))
    expected = distortion(pixels(tmp_path / "sr" / "restored.png"), pixels(photos / "gt" / "0.png"))
    got = row["scores"]["2"]["choice"]
    assert {name: got[name] for name in expected} == pytest.approx(expected, rel=1e-4)
    other = [*options, "--cleaned", photos / "gt", "--output", tmp_path / "study"]
    assert run("bench", "table1", "--pairs", photos, *other) == 2  # rows of other cleaned photos are not mixed in


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["sr", "{low}", "--model", "diffbir"], "--cleaner must be given for DiffBIR, which works on a cleaned"),
        (["sr", "{low}", "--model", "seesr"], "--tags must be given for SeeSR (words, may be empty), got None"),
        (["sr", "{low}", "--model", "seesr", "--tags", ""], "--image-tokens must be given"),
        (["sr", "{low}", "--tags", "a"], "--tags must be left out except with --model seesr, got 'a'"),
        (["sr", "{low}", "--model", "{photos}", "--base", "x"], "--base must be left out except with --model di"),
        (["sr", "{low}", "--model", "seesr", "--cleaner", "x"], "--cleaner must be left out except with --model"),
        (["sr", "{low}", "{diffbir}", "--cleaned", "none.png"], "--cleaned must be an existing file or folder, got"),
        (["sr", "{low}", "{diffbir}", "--cleaned", "{tokens}"], "--cleaned must be an image in a known format"),
        (["sr", "{low}", "{diffbir}", "--cleaned", "{low}"], "--cleaned must have the result's 64 x 64 pixels"),
        (["sr", "{low}", "{diffbir}", "--cleaned", "{photos}"], "must have a file 0.bmp|.jpeg"),
        (["sr", "{low}", "{diffbir}", "--cleaned", "{low}", "--cleaner", "x.pth"], "--cleaned must be left out where"),
        (["sr", "{truth}", "--degrade", "{diffbir}", "--cleaned", "{truth}"], "--cleaned must be left out with"),
        (["sr", "{low}", "{diffbir}", "--cleaner", "none.safetensors"], "--cleaner must be a file, or OWNER/"),
        (["sr", "{low}", "{diffbir}", "--cleaner", "a/b/c.pth"], "--cleaner must be safetensors, got 'c.pth'"),
        (["sr", "{low}", "{diffbir}", "--cleaner", "a/b/c.safetensors"], "HF_HUB_OFFLINE is set; where there is a"),
        (
            ["sr", "{low}", "--model", "diffbir", "--cleaner", "bicubic"],
            "--base: 'sd2-community/stable-diffusion-2-1-b",
        ),
        (["sr", "{low}", "--model", "diffbir", "--cleaner", "bicubic", "--base", "{base}"], "--control must be s"),
        (["sr", "{low}", "{diffbir}", "--cleaner", "bicubic", "--unet", "{tokens}"], "--unet must have the names"),
        (["sr", "{low}", "{diffbir}", "--cleaner", "bicubic", "--tile", "5"], "--tile must be a multiple of 8"),
        (["sr", "{low}", "{diffbir}", "--cleaner", "bicubic", "--steps", "3"], "--steps must keep the official grid"),
        (["sr", "{low}", "{diffbir}", "--cleaner", "bicubic", "--start", "end"], "--start"),
        (["sr", "{low}", "{diffbir}", "--cleaner", "bicubic", "--noise-level", "3"], "--noise-level must be"),
        (["sr", "{low}", "{diffbir}", "--cleaner", "bicubic", "--revision", "main"], "--revision must be"),
        (["sr", "{low}", "{seesr}", "--tags", "", "--image-tokens", "{low}"], "must be a .safetensors file"),
        (["sr", "{low}", "{seesr}", "--tags", "", "--image-tokens", "{control}"], "must hold one tensor (1, K,"),
        (["sr", "{low}", "--model", "seesr", "--base", "{base}", "{hints}"], "--seesr: 'CSWRY/SeeSR' is neither"),
        (["sr", "{low}", "--model", "seesr", "--base", "{base}", "--seesr", "{base}", "{hints}"], "--seesr must"),
        (["sr", "{low}", "--model", "ldm-sr"], "'CompVis/ldm-super-resolution-4x-openimages' is neither a folder"),
        (["evaluate", "--photos", "{photos}", "--model", "diffbir"], "'diffbir', which is for the commands"),
        (["inpaint", "{truth}", "--center-box", "0.3", "--model", "diffbir"], "'diffbir', which is for 'sr'"),
        (["bench", "table1", "--photos", "{photos}", "{diffbir}", "--cleaned", "{photos}"], "--cleaned must be left"),
        (["bench", "table1", "--pairs", "{photos}", "--prompt", "a"], "--prompt must be left out"),
        (["bench", "table1", "--pairs", "{photos}", "--dataset", "RealSR"], "--dataset must be in the paper's"),
        (["bench", "table1", "--pairs", "{photos}", "--vae-tiling"], "--vae-tiling"),
        (["bench", "table1", "--pairs", "{photos}", "--model", "diffbir"], "--cleaner must be"),
    ],
)
def test_mistakes_are_one_line_and_status_2(
    arguments: list[str],
    named: str,
    photos: Path,
    parts: Any,
    known: Any,
    recipes: Any,
    tokens_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    lists = {"{diffbir}": parts["diffbir"], "{seesr}": parts["seesr"], "{hints}": known["seesr"]}
    places = {"low": photos / "lq" / "0.png", "truth": photos / "gt" / "0.png", "photos": photos, "tokens": tokens_file}
    places |= {"base": recipes["diffbir"].base, "control": recipes["diffbir"].weights}
    filled = [word for a in arguments for word in lists.get(a, [a.format(**places) if a not in lists else a])]
    filled += [] if "--steps" in filled else QUICK
    assert run(*filled, "--output", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert named in error.strip().splitlines()[-1]
    assert "Traceback" not in error


@pytest.mark.parametrize("option", ["control", "unet", "seesr"])
def test_a_damaged_file_names_its_option(
    option: str, photos: Path, parts: Any, known: Any, recipes: Any, tmp_path: Path, capsys: Any
) -> None:
    model, place = "diffbir", tmp_path / "weights.safetensors"
    file = place
    if option == "seesr":
        model, place = "seesr", Path(shutil.copytree(recipes["seesr"].weights, tmp_path / "seesr"))
        file = place / "controlnet" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(b"no")
    given = [*parts[model], *known[model], f"--{option}", place, "--output", tmp_path / "out"]
    assert run("sr", photos / "lq" / "0.png", *given, *QUICK) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert f"--{option} must be weights that can be read, got {str(file)!r}" in error


@pytest.mark.parametrize("place", ["real.cli.common.open_model", "real.cli.evaluation.run_study"])
def test_out_of_memory_is_one_line(
    place: str, photos: Path, parts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(place, full)
    given = ["--cleaned", photos / "cleaned", "--output", tmp_path / "out"]
    assert run("bench", "table1", "--pairs", photos, *parts["diffbir"], *given, *QUICK) == 2
    assert "--max-batch" in capsys.readouterr().err.strip().splitlines()[-1]


@pytest.mark.parametrize("rank", [0, 1])
def test_several_processes_are_refused_once(
    rank: int, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", str(rank))
    assert run("sr", photos / "lq" / "0.png", "--model", "diffbir", "--output", tmp_path) == 2
    assert ("start it without torchrun" in capsys.readouterr().err) == (rank == 0)


def test_image_tokens_are_one_finite_tensor(tmp_path: Path, tokens_file: Path) -> None:
    tokens = read_image_tokens(tokens_file)
    assert tokens.shape == (1, 5, 512)
    for content in (
        {"a": tokens, "b": tokens},
        {"a": tokens[..., :511]},
        {"a": tokens.repeat(2, 1, 1)},
        {"a": tokens[:, :0]},
        {"a": tokens * float("nan")},
    ):
        save_file({name: value.clone().contiguous() for name, value in content.items()}, tmp_path / "other.safetensors")
        with pytest.raises(UserError, match="image_tokens"):
            read_image_tokens(tmp_path / "other.safetensors")
    save_file({"a": tokens[0].half().contiguous()}, tmp_path / "plain.safetensors")
    assert read_image_tokens(tmp_path / "plain.safetensors").dtype == torch.float32


def test_tags_are_a_text_or_a_folder(photos: Path) -> None:
    for text in ("a cat, a hat", "", "word, " * 100):
        assert HintPlaces(tags=text).read(["0"]).tags == text
    assert HintPlaces(tags=str(photos / "tags")).read(["none", "1"]).tags == "a hat, a dog"
    with pytest.raises(UserError, match=r"tags must have a file 7\.txt for the photo, got"):
        HintPlaces(tags=str(photos / "tags")).read(["7"])


def test_the_page_says_what_the_recipes_do() -> None:
    page = (Path(__file__).parents[3] / "docs" / "how-to" / "backbones.md").read_text(encoding="utf-8")
    for recipe in RECIPES.values():
        assert all(text in page for text in (recipe.base, recipe.weights, f'"{recipe.negative_prompt}"'))
        assert not recipe.prompt or f'"{recipe.prompt}"' in page
    rows = {
        line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:4]]
        for line in page.splitlines()
        if line.startswith("| ")
    }
    both = [RECIPES["diffbir"], RECIPES["seesr"]]
    assert rows["Guidance"] == [f"{recipe.guidance:g}" for recipe in both]
    assert rows["Tiles, latent pixels"] == [f"{r.tile}, overlapping by {r.overlap}" for r in both]
    assert rows["Colours"] == [recipe.colour_fix for recipe in both]
    assert rows["Start"] == [{"condition": "the noised condition"}[recipe.start] for recipe in both]
    assert rows["Smallest shorter side"] == [f"{recipe.process_size} pixels" for recipe in both]
