"""Sizes that networks see, as the authors' code makes them."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
from real import Settings, super_resolve  # noqa: E402
from real.backbones.hints import Hints  # noqa: E402
from real.backbones.pictures import enlarge_in_steps  # noqa: E402
from real.backbones.restorer import BackboneRestorer  # noqa: E402
from real.bench.cost import random_model  # noqa: E402


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("size", "steps"),
    [
        ((125, 90), [(177, 128), (708, 512), (704, 512)]),  # int(128 / 90 * 125) = 177
        ((128, 130), [(512, 520)]),
        ((150, 133), [(600, 532), (600, 528)]),
    ],
)
def test_seesr_enlarges_in_the_authors_steps(size: tuple[int, int], steps: list[tuple[int, int]]) -> None:
    low = noise(*size)
    image = Image.fromarray(low)
    for height, width in steps:
        image = image.resize((width, height))  # Pillow's default is bicubic
    seen = enlarge_in_steps(low, least=512)
    assert np.array_equal((seen[0].permute(1, 2, 0) * 255).round().byte().numpy(), np.asarray(image))


def test_seesr_sees_them_and_the_result_has_four_times_the_size() -> None:
    low = noise(13, 18)
    model = random_model("seesr", dtype="float32", channels=32, side=64)
    hints = Hints(tags="", image_tokens=torch.zeros(1, 5, 512))
    problem = BackboneRestorer(low, model, hints=hints)
    assert torch.equal(problem.colour_reference, enlarge_in_steps(low, least=64))
    assert problem.decode(problem.latent)[0].shape == (52, 72, 3)


@pytest.mark.parametrize(
    ("size", "tile", "latents"),
    [
        ((20, 18), None, (16, 16)),  # 80 x 72 pixels, padded to 128 x 128
        ((20, 18), 8, (10, 9)),  # in tiles: to multiples of eight, which they are
        ((20, 16), 8, (10, 8)),
        ((40, 20), 16, (24, 16)),  # 160 x 80 pixels: too small for tiles along one side
    ],
)
def test_diffbir_pads_less_where_it_works_in_tiles(
    size: tuple[int, int], tile: int | None, latents: tuple[int, int]
) -> None:
    model = random_model("diffbir", dtype="float32", channels=32, side=64)
    model = replace(model, recipe=replace(model.recipe, tile=tile))
    problem = BackboneRestorer(noise(*size), model)
    assert problem.latent.shape[-2:] == latents
    if tile and latents == (10, 9):
        settings = Settings(particles=2, steps=2)
        assert super_resolve(noise(*size), model=model, settings=settings).image.shape == (80, 72, 3)
