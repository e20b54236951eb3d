"""The numbers an image gets by name: right inputs to the networks, and clear errors where those cannot be had."""

import json
import sys
from collections.abc import Callable
from types import ModuleType
from urllib.error import URLError

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from real.__main__ import main  # noqa: E402
from real.bench import sets  # noqa: E402
from real.bench.metrics import REPORTED  # noqa: E402
from real.bench.sets import SetFeatures, set_scores  # noqa: E402
from real.errors import UserError  # noqa: E402
from real.metrics.distortion import distortion  # noqa: E402
from real.metrics.lpips_hed import frechet_distance  # noqa: E402
from real.metrics.published import PUBLISHED, PublishedMetric, inception_features  # noqa: E402
from real.metrics.score import METRICS, make_score  # noqa: E402

IMAGE = np.zeros((12, 16, 3), np.uint8)
IMAGE[..., 0] = 255  # red
TRUTH = np.full((12, 16, 3), 51, np.uint8)


class Network(torch.nn.Module):
    """Stands for a network: says what it was given, and answers with a number that can be told."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[torch.Tensor] = []

    def forward(self, *images: torch.Tensor) -> torch.Tensor:
        self.given = list(images)
        return torch.tensor([[0.25]])


def install(monkeypatch: pytest.MonkeyPatch, name: str, make: Callable[..., Network]) -> dict[str, object]:
    """Put a library in place of the one that the metric comes from; returns the options that it was called with."""
    options: dict[str, object] = {}

    def called(*arguments: object, **keywords: object) -> Network:
        options.update(enumerate(arguments), **keywords)
        return make()

    places = {
        "lpips": ("torchmetrics.image.lpip", "LearnedPerceptualImagePatchSimilarity"),
        "dists": ("torchmetrics.functional.image.dists", "DISTSNetwork"),
    }
    module_name, function = places.get(name, ("pyiqa", "create_metric"))
    parts = module_name.split(".")
    for end in range(1, len(parts) + 1):
        monkeypatch.setitem(sys.modules, ".".join(parts[:end]), ModuleType(".".join(parts[:end])))
    setattr(sys.modules[module_name], function, called)
    return options


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_metric_gets_images_in_its_range(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network()
    options = install(monkeypatch, name, lambda: network)
    assert PublishedMetric(name)(IMAGE, TRUTH) == 0.25
    assert len(network.given) == (2 if name in ("lpips", "dists") else 1)
    assert all(x.shape == (1, 3, 12, 16) for x in network.given)
    assert network.given[0][0, :, 0, 0].tolist() == [1.0, 0.0, 0.0]  # RGB from 0 to 1, the image first
    if len(network.given) == 2:
        assert network.given[1].unique().tolist() == pytest.approx([0.2])
    if name == "lpips":
        assert options == {"net_type": "alex", "normalize": True}  # normalize: it is given 0 to 1
    elif name != "dists":
        assert options == {0: name, "device": torch.device("cpu")}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_missing_library_is_named_with_the_command_that_installs_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("torchmetrics", "pyiqa"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=rf"metrics: {name}: .* is not installed; pip install .kds-ref\[real,metrics"):
        PublishedMetric(name)


@pytest.mark.parametrize("when", ["loading", "scoring"])
@pytest.mark.parametrize("error", [URLError("no route to host"), RuntimeError("hash mismatch")])
def test_weights_that_cannot_be_had_are_an_error_and_no_number(
    when: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(Network):
        def __init__(self) -> None:
            super().__init__()
            if when == "loading":
                raise error

        def forward(self, *images: torch.Tensor) -> torch.Tensor:
            raise error

    install(monkeypatch, "nima", Broken)

    def score() -> float:
        return PublishedMetric("nima")(IMAGE, TRUTH)

    with pytest.raises(
        UserError, match=r"metrics: the network of nima could not be loaded \(.*(route|hash).*TORCH_HOME"
    ):
        score()


def test_memory_that_does_not_suffice_is_not_taken_for_a_missing_network(monkeypatch: pytest.MonkeyPatch) -> None:
    class Large(Network):
        def forward(self, *images: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")

    install(monkeypatch, "nima", Large)
    with pytest.raises(RuntimeError, match="allocate memory") as caught:
        PublishedMetric("nima")(IMAGE, TRUTH)
    assert not isinstance(caught.value, UserError)


def test_scores_are_psnr_and_ssim_and_what_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "maniqa-pipal", Network)
    assert make_score()(IMAGE, TRUTH) == distortion(IMAGE, TRUTH)
    assert make_score(["maniqa-pipal"])(IMAGE, TRUTH) == {**distortion(IMAGE, TRUTH), "maniqa_pipal": 0.25}


def test_every_metric_is_written_by_the_reports() -> None:
    assert {name.replace("-", "_") for name in METRICS} <= set(REPORTED)


def test_an_unknown_metric_is_refused() -> None:
    with pytest.raises(UserError, match=r"metrics must be one of lpips-hed, brisque, lpips, .*, got 'psnr'"):
        make_score(["psnr"])
    with pytest.raises(ValueError, match=r"name must be one of lpips, .*, got 'fid'"):
        PublishedMetric("fid")


@pytest.mark.parametrize("pixels", [IMAGE.astype(np.float32), IMAGE[:8], IMAGE[..., 0]])
def test_bad_images_are_refused(pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "lpips", Network)
    with pytest.raises(ValueError, match="image must be uint8"):
        PublishedMetric("lpips")(pixels, TRUTH)


def test_inception_features_are_those_of_uint8_images(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[torch.Tensor] = []

    class Inception(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            given.append(x)
            return x.flatten(2).float().mean(2)

    class Distance:
        def __init__(self, *, feature: int) -> None:
            assert feature == 2048
            self.inception = Inception()

    for name in ("torchmetrics", "torchmetrics.image", "torchmetrics.image.fid"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setattr(sys.modules["torchmetrics.image.fid"], "FrechetInceptionDistance", Distance, raising=False)
    features = inception_features()([IMAGE, TRUTH])
    assert features.tolist() == [[255.0, 0.0, 0.0], [51.0, 51.0, 51.0]]
    assert [x.dtype for x in given] == [torch.uint8] * 2


def test_features_of_sets_survive_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    photos = [rng.integers(0, 256, (3, 16, 16, 3), dtype=np.uint8) for _ in range(5)]

    class Means:
        def __init__(self, *, device: str) -> None: ...

        def features(self, images: list[np.ndarray]) -> np.ndarray:
            return np.stack([image.mean((0, 1)) for image in images])

    monkeypatch.setattr(sets, "FidLite0", Means)
    make = SetFeatures(["fid-lite0"], device="cpu")
    rows = [
        json.loads(json.dumps({"features": make.row({(2, "choice"): a, (2, "average"): b}, truth)}))
        for a, b, truth in photos
    ]
    means = np.stack([[image.mean((0, 1)) for image in photo] for photo in photos])
    for i, outcome in enumerate(("choice", "average")):
        expected = frechet_distance(means[:, i], means[:, 2])
        assert set_scores(rows, "2", outcome) == {"fid_lite0": pytest.approx(expected, rel=1e-4)}
    assert set_scores(rows[:1], "2", "choice") == {}  # one photo is no set
    assert set_scores([{}, {}], "2", "choice") == {}


def test_the_commands_say_it_in_one_line(tmp_path, capsys: pytest.CaptureFixture[str], tiny_folder) -> None:
    for command in (["evaluate"], ["bench", "table1"]):
        options = ["--photos", str(tmp_path), "--model", str(tiny_folder), "--output", str(tmp_path / "out")]
        from PIL import Image

        Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / "a.png")
        assert main([*command, *options, "--metrics", "sharpness"]) == 2
        last = capsys.readouterr().err.splitlines()[-1]
        assert "--metrics must be one of lpips-hed, brisque, lpips" in last
        assert "got 'sharpness'" in last
