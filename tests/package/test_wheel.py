"""The wheel holds the three packages with the weights, and nothing else."""

import subprocess
import zipfile
from email import message_from_bytes
from pathlib import Path, PurePosixPath

import pytest

import kds_ref

ALLOWED_SUFFIXES = {"kds_ref": {".py"}, "toy": {".py"}, "real": {".py", ".pyi"}}
WEIGHT_SUFFIXES = {".safetensors", ".json", ".md"}
DATA = {PurePosixPath("real/bench/paper_tables.csv"), PurePosixPath("toy/posterior/patch_prior.npz")}


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built in this process: no index is asked."""
    builders = pytest.importorskip("hatchling.builders.wheel", reason="hatchling comes with the test extra")
    folder = tmp_path_factory.mktemp("wheel")
    (path,) = builders.WheelBuilder(str(root)).build(directory=str(folder), versions=["standard"])
    return zipfile.ZipFile(path)


def packaged(wheel: zipfile.ZipFile) -> list[PurePosixPath]:
    names = [PurePosixPath(name) for name in wheel.namelist()]
    return [name for name in names if not name.parts[0].endswith(".dist-info")]


def test_nothing_but_code_types_and_weights(wheel: zipfile.ZipFile) -> None:
    for path in packaged(wheel):
        assert path.parts[0] in ALLOWED_SUFFIXES, f"{path} is not of a package"
        if path.name == "py.typed" or path in DATA:
            continue
        if path.parts[:2] == ("real", "weights"):
            assert path.suffix in WEIGHT_SUFFIXES, f"{path} is no weight file"
        else:
            assert path.suffix in ALLOWED_SUFFIXES[path.parts[0]], f"{path} does not belong in the wheel"


def test_every_committed_file_of_a_package_is_in(wheel: zipfile.ZipFile, root: Path) -> None:
    command = ["git", "-C", str(root), "ls-files", "-z", "--", "kds_ref", "toy", "real"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("not a git checkout: nothing to compare the wheel with")
    committed = {name for name in done.stdout.split("\0") if name and (root / name).exists()}
    assert committed
    assert committed <= set(wheel.namelist())


def test_the_weights_are_in(wheel: zipfile.ZipFile) -> None:
    weights = [path for path in packaged(wheel) if path.parts[:2] == ("real", "weights")]
    assert {path.suffix for path in weights} == WEIGHT_SUFFIXES


def test_metadata_and_commands(wheel: zipfile.ZipFile) -> None:
    (folder,) = {name.split("/")[0] for name in wheel.namelist() if ".dist-info/" in name}
    metadata = message_from_bytes(wheel.read(f"{folder}/METADATA"))
    assert metadata["Name"] == "kds-ref"
    assert metadata["Version"] == kds_ref.__version__
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert f"{folder}/licenses/LICENSE" in wheel.namelist()
    scripts = wheel.read(f"{folder}/entry_points.txt").decode()
    assert "kds-toy = toy.__main__:main" in scripts
    assert "kds-restore = real.__main__:main" in scripts
