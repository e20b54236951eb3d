"""Where parts are looked for: on the disk, in the hub's cache, on the hub; nothing is fetched that may not be read."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
import huggingface_hub  # noqa: E402
from huggingface_hub import constants  # noqa: E402

from real.backbones.recipes import RECIPES  # noqa: E402
from real.backbones.sources import find_file, find_folder, find_seesr  # noqa: E402
from real.errors import UserError  # noqa: E402

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path / "hub"


def put(cache: Path, name: str, folder: Path) -> None:
    repository = cache / f"models--{name.replace('/', '--')}"
    shutil.copytree(folder, repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)


def test_files_on_the_disk_and_in_the_cache(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "v2.safetensors").write_text("x")
    file = tmp_path / "weights" / "v2.safetensors"
    assert find_file(str(file), argument="control") == (file, str(file))
    put(cache, "some/model", tmp_path / "weights")
    path, place = find_file("some/model/v2.safetensors", argument="control")
    assert (path.read_text(), place) == ("x", f"some/model/v2.safetensors@{COMMIT}")
    assert find_file(f"some/model/v2.safetensors@{COMMIT}", argument="control")[1] == place
    for name, named in (
        ("some/model", "control must be a file, or OWNER/NAME/FILE on the hub, got 'some/model', which is not there"),
        ("v3.safetensors", "got 'v3.safetensors', which is not there"),
        (str(tmp_path), "which is a folder"),
        ("./some/v3.safetensors", "which is not there"),
        ("other/model/v2.safetensors", "control: 'other/model' is neither.* HF_HUB_OFFLINE is set"),
    ):
        with pytest.raises(UserError, match=named):
            find_file(name, argument="control")


def test_a_pickle_is_refused_before_it_is_fetched(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    asked: list[str] = []

    def hub(url: str, *, timeout: float) -> Any:
        asked.append(url)
        raise ConnectionRefusedError("no network")

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", hub)
    with pytest.raises(UserError, match=r"control must be safetensors, got 'v2\.pth', a pickle"):
        find_file(RECIPES["diffbir"].weights, argument="control")
    assert not asked
    with pytest.raises(
        UserError, match=r"control: .*cannot be reached \(no network\).*hf download lxq007/DiffBIR-v2"
    ):
        find_file(RECIPES["diffbir"].weights, argument="control", pickled_weights=True)
    assert len(asked) == 1
    assert "lxq007/DiffBIR-v2/resolve/main/v2.pth" in asked[0]


def test_a_folder_that_goes_away_half_way_is_one_line(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    answer = type("Metadata", (), {"commit_hash": COMMIT})
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", lambda url, *, timeout: answer)

    def broken(*arguments: Any, **options: Any) -> Any:
        raise ConnectionResetError("connection reset")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", broken)
    with pytest.raises(UserError, match=r"control: cannot fetch v2\.pth .*connection reset"):
        find_file("some/model/v2.pth", argument="control", pickled_weights=True)


def test_a_base_may_name_its_revision(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "model_index.json").write_text("{}")
    put(cache, "some/base", tmp_path / "base")
    source = find_folder(f"some/base@{COMMIT}", argument="base")
    assert (source.name, source.revision, source.commit, source.argument) == ("some/base", COMMIT, COMMIT, "base")
    with pytest.raises(UserError, match="base: 'some/base' at 'v9' is neither"):
        find_folder("some/base@v9", argument="base")
    assert find_folder(str(tmp_path / "base"), argument="base").is_folder


def test_seesrs_folder_is_whole(cache: Path, seesr_folder: Path, tmp_path: Path) -> None:
    assert find_seesr(str(seesr_folder)) == (seesr_folder, str(seesr_folder))
    put(cache, "CSWRY/SeeSR", seesr_folder)
    folder, place = find_seesr("CSWRY/SeeSR")
    assert place == f"CSWRY/SeeSR@{COMMIT}"
    assert json.loads((folder / "controlnet" / "config.json").read_text())
    half = tmp_path / "half"
    shutil.copytree(seesr_folder, half)
    weights = half / "controlnet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(UserError, match=r"seesr must have controlnet/.* without it.*`pickled_weights=True` allows"):
        find_seesr(str(half))
    assert find_seesr(str(half), pickled_weights=True)[0] == half
    (half / "controlnet" / "config.json").unlink()
    with pytest.raises(UserError, match=r"must be SeeSR's folder, got .* without controlnet/config\.json"):
        find_seesr(str(half))
