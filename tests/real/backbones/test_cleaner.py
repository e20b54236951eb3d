"""DiffBIR's first stage: spandrel's side is played by a stand-in, since its torchvision does not install everywhere."""

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
from safetensors.torch import save_file  # noqa: E402

from real.backbones.cleaner import clean, load_cleaner  # noqa: E402
from real.backbones.hints import Hints  # noqa: E402
from real.backbones.restorer import BackboneRestorer  # noqa: E402
from real.errors import UserError  # noqa: E402
from real.opening import open_model  # noqa: E402


class Network:
    """What spandrel calls an ImageModelDescriptor: a network with a scale, here a factor and nearest neighbours."""

    input_channels = output_channels = 3

    def __init__(self, scale: int, factor: Any) -> None:
        self.scale, self.factor, self.sizes = scale, factor, []

    def eval(self) -> "Network":
        return self

    @torch.inference_mode()
    def __call__(self, image: Any) -> Any:
        self.sizes.append(tuple(image.shape))
        return torch.nn.functional.interpolate(image, scale_factor=self.scale) * self.factor


@pytest.fixture
def spandrel(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    class Loader:
        def __init__(self, device: str) -> None:
            self.device = device

        def load_from_state_dict(self, state: dict[str, Any]) -> Any:
            if "factor" not in state:
                raise RuntimeError("no architecture is known by\nthese keys")
            return stand_in.kind(int(state["scale"]), state["factor"])

    stand_in = SimpleNamespace(
        canonicalize_state_dict=lambda state: {name.removeprefix("module."): v for name, v in state.items()},
        ModelLoader=Loader,
        ImageModelDescriptor=Network,
        kind=Network,
    )
    monkeypatch.setitem(sys.modules, "spandrel", stand_in)
    return stand_in


def weights(folder: Path, scale: int) -> Path:
    path = folder / f"x{scale}.safetensors"
    save_file({"module.scale": torch.tensor(float(scale)), "module.factor": torch.tensor(0.5)}, path)
    return path


@pytest.mark.parametrize(("scale", "seen"), [(4, (1, 3, 16, 20)), (1, (1, 3, 64, 80))])
def test_it_sees_the_photo_or_the_enlarged_photo(
    scale: int, seen: tuple[int, ...], spandrel: Any, tmp_path: Path, recipes: Any
) -> None:
    recipe = replace(recipes["diffbir"], cleaner=str(weights(tmp_path, scale)))
    model = open_model("diffbir", recipe=recipe, device="cpu")
    assert model.places["cleaner"] == recipe.cleaner
    low = np.full((16, 20, 3), 200, dtype=np.uint8)
    restorer = BackboneRestorer(low, model)
    assert model.cleaner.sizes == [seen]
    torch.testing.assert_close(restorer.colour_reference, torch.full((1, 3, 64, 80), 100 / 255), atol=1e-6, rtol=0)
    given = BackboneRestorer(low, replace(model, recipe=recipes["diffbir"]), hints=Hints(cleaned=np.repeat(
        np.repeat(low // 2, 4, axis=0), 4, axis=1
    )))  # fmt: skip
    torch.testing.assert_close(given.latent, restorer.latent, atol=1e-5, rtol=0)


def test_large_photos_go_through_it_in_tiles(spandrel: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("real.backbones.cleaner.TILE", 16)
    monkeypatch.setattr("real.backbones.cleaner.OVERLAP", 4)
    network = load_cleaner(weights(tmp_path, 4))
    low = torch.rand(1, 3, 20, 30, generator=torch.Generator().manual_seed(0))
    result = clean(network, low, torch.zeros(1, 3, 80, 120))
    assert len(network.sizes) == 6
    torch.testing.assert_close(result, torch.nn.functional.interpolate(low, scale_factor=4) / 2)


def test_what_is_no_such_network_is_refused(
    spandrel: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tokens_file: Path
) -> None:
    with pytest.raises(UserError, match=r"cleaner must be a network that .* known by these keys.*`cleaned`"):
        load_cleaner(tokens_file)
    monkeypatch.setattr(Network, "input_channels", 1)
    with pytest.raises(UserError, match="cleaner must be a network from RGB to RGB, got"):
        load_cleaner(weights(tmp_path, 4))
    (tmp_path / "a.pth").touch()
    with pytest.raises(UserError, match=r"cleaner must be safetensors, got .*, a pickle.*`pickled_weights=True`"):
        load_cleaner(tmp_path / "a.pth")
    (tmp_path / "a.safetensors").write_bytes(b"no")
    with pytest.raises(UserError, match=r"cleaner must be weights that can be read, got .*a\.safetensors"):
        load_cleaner(tmp_path / "a.safetensors")


def test_without_spandrel_or_its_torchvision_the_error_says_what_else_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "spandrel", None)
    with pytest.raises(UserError, match=r"spandrel cannot be imported; pip install .*kds-ref\[cleaner\].* `cleaned`"):
        load_cleaner(weights(tmp_path, 4))
    monkeypatch.delitem(sys.modules, "spandrel")
    (tmp_path / "spandrel.py").write_text("import torchvision\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(UserError, match="spandrel needs torchvision, which cannot be imported"):
        load_cleaner(weights(tmp_path, 4))
