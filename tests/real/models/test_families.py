"""Which models are taken, told by their configuration alone; and where they are found, at once or not at all."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
import huggingface_hub  # noqa: E402
from huggingface_hub import constants  # noqa: E402
from huggingface_hub.errors import (  # noqa: E402
    EntryNotFoundError,
    GatedRepoError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from real import open_model  # noqa: E402
from real.errors import UserError  # noqa: E402
from real.models.base import ModelFamily  # noqa: E402
from real.models.families import recognise as recognise_among  # noqa: E402
from real.models.hub import Source, locate, read_config  # noqa: E402
from real.opening import FAMILIES  # noqa: E402


def recognise(source: Source, *, task: str) -> ModelFamily:
    return recognise_among(source, tuple(FAMILIES.values()), task=task)


COMMIT = "0123456789abcdef0123456789abcdef01234567"


def write(folder: Path, index: Any, unet: Any = None, vae: Any = None) -> Source:
    for name, content in (("model_index.json", index), ("unet/config.json", unet), ("vae/config.json", vae)):
        if content is not None:
            (folder / name).parent.mkdir(exist_ok=True, parents=True)
            (folder / name).write_text(json.dumps(content))
    return Source(str(folder), is_folder=True)


INPAINT = {"_class_name": "StableDiffusionInpaintPipeline", "unet": ["diffusers", "UNet2DConditionModel"]}


def test_each_family_is_known_by_its_folder(tiny_folder: Path, upscaler_folder: Path, inpainter_folder: Path) -> None:
    tasks = {tiny_folder: ("sr", "ldm-sr"), upscaler_folder: ("sr", "x4-upscaler")}
    for folder, (task, name) in {**tasks, inpainter_folder: ("inpaint", "sd-inpaint")}.items():
        source = Source(str(folder), is_folder=True)
        assert recognise(source, task=task).name == name
        with pytest.raises(UserError, match=f"for '{task}'"):
            recognise(source, task="sr" if task == "inpaint" else "inpaint")


def test_without_an_index_the_folders_of_ldm_sr_tell_it(tiny_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_folder, tmp_path / "model")
    (tmp_path / "model" / "model_index.json").unlink()
    assert open_model(str(tmp_path / "model"), device="cpu", dtype="float32").family == "ldm-sr"


@pytest.mark.parametrize(
    ("index", "unet", "named"),
    [
        (None, None, "model_index.json"),
        ({"_class_name": "FluxPipeline"}, None, "FluxPipeline"),
        ({"_class_name": ["pipeline", "Mine"]}, None, "code of its own"),
        ({**INPAINT, "unet": ["my_unet", "MyUNet"]}, None, "code of its own"),
        (INPAINT, None, "unet/config.json"),
        (INPAINT, {"in_channels": 4, "out_channels": 4}, "4 to 4 channels"),
    ],
)
def test_other_models_are_refused_by_their_configuration(tmp_path: Path, index: Any, unet: Any, named: str) -> None:
    source = write(tmp_path, index, unet, {"latent_channels": 4})
    (tmp_path / "my_unet.py").write_text("raise SystemExit('this was run')")
    with pytest.raises(UserError, match=named):
        recognise(source, task="inpaint")


def test_a_configuration_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text("[1]")
    with pytest.raises(UserError, match=r"must have a JSON object in model_index\.json, got a list"):
        recognise(Source(str(tmp_path), is_folder=True), task="sr")
    (tmp_path / "model_index.json").write_text("{")
    with pytest.raises(UserError, match=r"must have a model_index\.json that can be read, got"):
        recognise(Source(str(tmp_path), is_folder=True), task="sr")


def test_paths_that_are_no_model(tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    file.touch()
    for name, named in (
        (str(file), "got the file"),
        ("/no/such/folder", "which can be neither"),
        ("../a/b", "which can be neither"),
    ):
        with pytest.raises(UserError, match=named):
            locate(name)
    with pytest.raises(UserError, match=r"^revision must be a revision of an id on the hub, got 'main' of the folder"):
        locate(str(tmp_path), revision="main")


class Hub:
    """Stands in for the hub's one request; counts."""

    def __init__(self, answer: Any) -> None:
        self.answer, self.asked = answer, []

    def __call__(self, url: str, *, timeout: float) -> Any:
        self.asked.append((url, timeout))
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    return tmp_path / "hub"


def put(cache: Path, name: str, folder: Path) -> None:
    """A model in the cache, as its only commit and the main branch."""
    repository = cache / f"models--{name.replace('/', '--')}"
    shutil.copytree(folder, repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)


def failing(kind: type[Exception]) -> Exception:
    return kind.__new__(kind, "an answer")


@pytest.mark.parametrize(
    ("error", "revision", "named"),
    [
        (failing(RepositoryNotFoundError), None, "withdrawn"),
        (failing(GatedRepoError), None, "hf auth login"),
        (failing(RevisionNotFoundError), "v2", "^revision must be a commit.* got 'v2'"),
        (failing(EntryNotFoundError), None, "no pipeline of diffusers"),
        (ConnectionRefusedError("Name or service not known"), "v2", "hf download some/model --revision v2"),
        (RuntimeError("any other kind"), None, "HF_HOME"),
    ],
)
def test_the_hub_is_asked_once_and_the_error_says_what_to_do(
    error: Exception, revision: str | None, named: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = Hub(error)
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", hub)
    with pytest.raises(UserError, match=named):
        locate("some/model", revision=revision)
    ((url, timeout),) = hub.asked
    assert f"some/model/resolve/{revision or 'main'}/model_index.json" in url
    assert timeout == constants.HF_HUB_ETAG_TIMEOUT


def test_what_the_hub_names_is_what_gets_loaded(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = type("Metadata", (), {"commit_hash": COMMIT})
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", Hub(answer))
    source = locate("some/model", revision="v2")
    assert (source.revision, source.commit, source.offline) == ("v2", COMMIT, False)
    assert source.options == {"revision": COMMIT}  # also if the branch moves meanwhile


@pytest.mark.parametrize("offline", [False, True])
def test_without_a_network_the_cache_serves(
    offline: bool, cache: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = Hub(ConnectionRefusedError("no network"))
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", hub)
    if offline:
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    put(cache, "some/model", tiny_folder)
    source = locate("some/model")
    assert (source.commit, source.offline) == (COMMIT, True)
    assert read_config(source, "kds.json") == {"bandwidth": 0.4}
    assert read_config(source, "nothing.json") is None
    model = open_model("some/model", device="cpu", dtype="float32")
    assert (model.commit, model.revision, model.bandwidth) == (COMMIT, None, 0.4)
    assert len(hub.asked) == (0 if offline else 2)
    with pytest.raises(UserError, match="HF_HUB_OFFLINE" if offline else "no network"):
        locate("another/model")
