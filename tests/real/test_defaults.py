"""The public API of `real` under odd defaults of torch: what a user sets for his own tensors changes nothing here.

The odd device is "meta", which holds no numbers: a tensor that goes there by default ends in an error.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
from real import Settings, inpaint, open_model, super_resolve  # noqa: E402
from real.backbones.hints import Hints  # noqa: E402
from real.bench.cost import measure_cost, random_model  # noqa: E402
from real.bench.evaluate import evaluate_folder  # noqa: E402
from real.degradations.simple import Degradation  # noqa: E402
from real.images.masks import center_box  # noqa: E402

SETTINGS = Settings(particles=2, steps=2)


def restored(result: Any) -> list[np.ndarray]:
    return [result.image, result.plain, result.particles.latents.float().numpy()]


def of_super_resolution(folders: dict[str, Path], photo: np.ndarray, kind: str) -> list[np.ndarray]:
    low = photo[:32, :32]
    model = open_model(folders[kind], device="cpu", dtype="float32")
    samplers = ("ddim", "dpmpp-2s") if kind == "ldm" else ("ddim",)
    runs = [super_resolve(low, model=model, settings=replace(SETTINGS, sampler=name)) for name in samplers]
    early = replace(SETTINGS, early_choice=True)
    return [part for run in [*runs, super_resolve(low, model=model, settings=early)] for part in restored(run)]


def of_inpainting(folders: dict[str, Path], photo: np.ndarray, kind: str) -> list[np.ndarray]:
    mask = center_box(*photo.shape[:2], 0.3)
    model = open_model(folders[kind], task="inpaint", device="cpu", dtype="float32")
    return restored(inpaint(photo, mask, model=model, settings=SETTINGS))


def of_the_bundled_models(folders: dict[str, Path], photo: np.ndarray, kind: str) -> list[np.ndarray]:
    one = Settings(particles=1, steps=1)
    models = [open_model(task=task, device="cpu", dtype="float32") for task in ("sr", "inpaint")]
    small = photo[:16, :16]
    results = super_resolve(small, model=models[0], settings=one), inpaint(
        photo, center_box(*photo.shape[:2], 0.3), model=models[1], settings=one
    )
    return [part for result in results for part in restored(result)]


def of_a_backbone(folders: dict[str, Path], photo: np.ndarray, kind: str) -> list[np.ndarray]:
    model = random_model(kind, dtype="float32", channels=32, side=64)
    tokens = torch.zeros(1, 5, 512, dtype=torch.float32, device="cpu")
    hints = Hints() if kind == "diffbir" else Hints(tags="", image_tokens=tokens)
    settings = replace(SETTINGS, steps=2, guidance=2.0)
    return restored(super_resolve(photo[:16, :16], model=model, settings=settings, hints=hints))


def of_costs(folders: dict[str, Path], photo: np.ndarray, kind: str) -> list[np.ndarray]:
    rows = measure_cost(random_model(kind, dtype="float32", channels=32, side=64), replace(SETTINGS, steps=1), [1])
    return [np.array([row["particles"] for row in rows])]


def of_evaluation(folders: dict[str, Path], photo: np.ndarray, kind: str) -> list[np.ndarray]:
    places = folders["new"] / "photos", folders["new"] / "out"
    for place in places:
        place.mkdir(exist_ok=True)
    Image.fromarray(photo).save(places[0] / "a.png")
    for file in places[1].iterdir():
        file.unlink()
    model = open_model(folders["ldm"], device="cpu", dtype="float32")
    options: dict[str, Any] = {"crop": 64, "limit": None, "cutoffs": [0.3], "bandwidths": None, "command": ""}
    quick = replace(SETTINGS, steps=1)
    text = evaluate_folder(*places, model, quick, Degradation(), **options)
    return [np.frombuffer(text.encode(), np.uint8)]


Run = Callable[[dict[str, Path], np.ndarray, str], list[np.ndarray]]
RUNS: list[tuple[Run, str]] = [
    (of_super_resolution, "ldm"),
    (of_super_resolution, "upscaler"),
    (of_inpainting, "filler"),
    (of_inpainting, "inpainter"),
    (of_the_bundled_models, ""),
    (of_a_backbone, "diffbir"),
    (of_a_backbone, "seesr"),
    (of_costs, "diffbir"),
    (of_evaluation, ""),
]


@pytest.fixture
def odd() -> Iterator[Callable[[], None]]:
    """Sets the odd defaults; they are undone afterwards."""

    def switch() -> None:
        torch.set_default_dtype(torch.float64)
        torch.set_default_device("meta")

    yield switch
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)


@pytest.mark.parametrize(("run", "kind"), RUNS, ids=lambda value: getattr(value, "__name__", value))
def test_odd_defaults_change_nothing(
    run: Run,
    kind: str,
    photo: np.ndarray,
    tmp_path: Path,
    tiny_folder: Path,
    upscaler_folder: Path,
    hole_filler_folder: Path,
    inpainter_folder: Path,
    odd: Callable[[], None],
) -> None:
    folders = {"ldm": tiny_folder, "upscaler": upscaler_folder, "filler": hole_filler_folder}
    folders |= {"inpainter": inpainter_folder, "new": tmp_path}
    expected = run(folders, photo, kind)
    odd()
    for value, other in zip(run(folders, photo, kind), expected, strict=True):
        assert value.dtype == other.dtype
        assert np.array_equal(value, other)
    assert torch.get_default_dtype() == torch.float64
    assert torch.get_default_device() == torch.device("meta")
