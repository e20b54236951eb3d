"""The table of families: what it says of a restorer's options is what the restorer takes."""

import inspect

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
from real.backbones.recipes import RECIPES  # noqa: E402
from real.models.base import ModelFamily  # noqa: E402
from real.opening import FAMILIES, open_model  # noqa: E402
from real.restorers.base import Restorer  # noqa: E402


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES.keys())
def test_options_and_defaults_are_those_of_the_restorer(family: ModelFamily) -> None:
    assert issubclass(family.restorer, Restorer)
    parameters = inspect.signature(family.restorer).parameters.values()
    options = {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}
    assert options == family.options
    photo = ["low"] if family.task == "sr" else ["image", "mask"]
    assert [p.name for p in parameters if p.kind is not inspect.Parameter.KEYWORD_ONLY] == [*photo, "model"]


def test_a_family_is_recognised_or_has_a_name() -> None:
    assert {name for name, family in FAMILIES.items() if family.load is None} == set(RECIPES)
    assert {family.task for family in FAMILIES.values()} == {"sr", "inpaint"}


def test_fits_tell_the_families_apart() -> None:
    """Shapes of the published models: LDM-SR, LDM's inpainting, the x4 upscaler, Stable Diffusion inpainting."""
    vq = {"latent_channels": 3, "block_out_channels": [128, 256, 512]}
    shapes = {
        "ldm-sr": ({"in_channels": 6, "out_channels": 3}, vq),
        "ldm-inpaint": ({"in_channels": 7, "out_channels": 3}, vq),
        "x4-upscaler": ({"in_channels": 7, "out_channels": 4}, {"latent_channels": 4, "block_out_channels": [1] * 3}),
        "sd-inpaint": ({"in_channels": 9, "out_channels": 4}, {"latent_channels": 4, "block_out_channels": [1] * 4}),
    }
    for name, (unet, vae) in shapes.items():
        assert FAMILIES[name].fits(unet, vae)
        alike = [other for other in shapes if other != name and FAMILIES[other].pipeline == FAMILIES[name].pipeline]
        assert not any(FAMILIES[other].fits(unet, vae) for other in alike)
    assert not FAMILIES["ldm-sr"].fits(*shapes["ldm-inpaint"])
    assert not FAMILIES["ldm-inpaint"].fits(*shapes["ldm-sr"])


def test_the_bundled_models_have_no_place() -> None:
    model = open_model(device="cpu", dtype="float32")
    assert (model.name, model.family, model.revision, model.commit) == ("bundled", "ldm-sr", None, None)
    assert list(model.describe()) == ["model", "revision", "commit", "device", "dtype"]
