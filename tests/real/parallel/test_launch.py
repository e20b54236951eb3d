"""The command under torchrun: the files of one process, and one message and the end of all where one goes wrong."""

import json
import re
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
if not torch.distributed.is_available():
    pytest.skip("torch was built without torch.distributed", allow_module_level=True)

from real.__main__ import main  # noqa: E402
from real.errors import UserError  # noqa: E402
from real.parallel.launch import device_of_process, launched, launcher  # noqa: E402

LOST = Path(__file__).parent / "workers" / "lost_process.py"
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
QUICK = ["--steps", "4", "--particles", "4", "--cutoff", "0", "--bandwidth", "30", "--device", "cpu"]
ERROR = re.compile(r"^kds-restore: error: (.*)$", re.MULTILINE)


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image).astype(float)


@pytest.mark.parametrize("compared", [False, True])
def test_two_processes_write_what_one_writes(
    compared: bool, run_all: Any, tmp_path: Path, photo_file: Path, tiny_folder: Path, capsys: pytest.CaptureFixture
) -> None:
    """The same choice and picture; bits may differ, as the network runs on two rows at a time and not on four."""
    options = ["sr", str(photo_file), "--model", str(tiny_folder), *QUICK, *(["--degrade"] if compared else [])]
    assert main([*options, "--output", str(tmp_path / "one")]) == 0
    alone = capsys.readouterr().out
    ((status, text),) = run_all([[*TORCHRUN, "-m", "real", *options, "--output", tmp_path / "two"]])
    assert status == 0, text
    one, two = tmp_path / "one", tmp_path / "two"
    assert {p.name for p in two.iterdir()} == {"restored.png", "comparison.png", "spread.png", "result.json"}
    assert np.abs(pixels(two / "restored.png") - pixels(one / "restored.png")).mean() < 0.05  # of 255
    results = [json.loads((folder / "result.json").read_text()) for folder in (one, two)]
    assert [result["processes"] for result in results] == [1, 2]
    commands = [result["command"].split(" sr ")[0] for result in results]
    assert commands == ["python -m real", "torchrun --nproc-per-node 2 -m real"]
    for same in ("settings", "chosen", "device", "model"):
        assert results[0][same] == results[1][same]
    for row, other in zip(results[0]["trace"], results[1]["trace"], strict=True):
        assert row == pytest.approx(other, rel=1e-3)
        assert row["effective_particles"] > 1.05
    for method, scores in results[0].get("scores", {}).items():
        assert scores == pytest.approx(results[1]["scores"][method], rel=1e-3)
    # the first process alone prints and shows progress
    assert len(re.findall(r"\b0/\d+ \[", text)) == 1
    assert "Warning" not in text
    for line in alone.splitlines():
        first_word = line.split()[0].replace("/one/", "/two/")
        assert text.count(first_word) == alone.replace("/one/", "/two/").count(first_word)


def test_a_process_that_dies_is_an_error_on_the_others(run_all: Any, tmp_path: Path) -> None:
    (first, text), (second, _) = run_all([[sys.executable, LOST, "dies", rank, tmp_path / "store"] for rank in (0, 1)])
    assert second == 7
    assert first != 0  # 3, unless a thread of Gloo's aborts the process for its lost connection
    found = re.match(r"RankError after (\d+) s: a process of the group ended or did not answer .*\n", text)
    assert found is not None, text
    assert int(found.group(1)) < 50  # it did not wait for the timeout


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("stalls", ["rank 0 of 2", "did not answer", "--rank-timeout is 10 s"]),
        ("fails", ["IMAGE: it cannot be read (rank 1 of 2)"]),
    ],
)
def test_what_goes_wrong_in_one_process_is_one_message(what: str, words: list[str], run_all: Any) -> None:
    ((status, text),) = run_all([[*TORCHRUN, LOST, what]])
    assert status != 0
    messages = ERROR.findall(text)
    assert len(messages) == 1, text
    assert all(word in messages[0] for word in words)


def test_a_mistake_that_all_processes_meet_is_one_message(run_all: Any, tmp_path: Path) -> None:
    command = [*TORCHRUN, "-m", "real", "sr", "nothing.png", "--output", tmp_path / "out", "--device", "cpu"]
    ((status, text),) = run_all([command])
    assert status != 0
    messages = ERROR.findall(text)
    assert len(messages) == 1, text
    assert all(word in messages[0] for word in ("of 2", "nothing.png"))
    assert not list(tmp_path.glob("out/*"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sr", "photo.png", "--steps", "many"], "--steps"),
        (["evaluate", "--photos", "."], "evaluate runs in one process, and 2 were started"),
    ],
)
def test_the_first_of_two_processes_alone_tells_a_mistake(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """What is found before the processes need each other: each in turn, with the environment of torchrun."""
    told = []
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        try:
            status = main([*arguments, "--output", str(tmp_path / "out"), "--device", "cpu"])
        except SystemExit as leaving:
            status = int(str(leaving.code))
        assert status == 2
        told.append(capsys.readouterr().err)
    assert words in told[0].strip().splitlines()[-1]
    assert told[1] == ""
    assert not list(tmp_path.glob("out/*"))


def test_the_processes_divide_the_particles(
    tmp_path: Path, photo_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr("real.cli.sr.launched", lambda **_: nullcontext(SimpleNamespace(size=2, rank=0)))
    assert main(["sr", str(photo_file), *QUICK, "--particles", "3", "--output", str(tmp_path / "out")]) == 2
    assert "--particles must be a multiple of the 2 processes, got 3" in capsys.readouterr().err
    assert not list(tmp_path.glob("out/*"))


def test_one_process_is_no_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "1")
    with launched(device="cpu", timeout=1) as ranks:
        assert ranks is None
    assert launcher() == "python -m"


def test_half_an_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with pytest.raises(UserError, match="MASTER_ADDR"), launched(device="cpu", timeout=1):
        pass


def test_processes_that_do_not_come_together(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"WORLD_SIZE": "2", "RANK": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match="did not come together in 1 s"), launched(device="cpu", timeout=1):
        pass


def test_every_process_takes_a_device_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert [device_of_process(device) for device in ("auto", "cuda", "cpu")] == ["cuda:1", "cuda:1", "cpu"]
    assert taken == [1, 1]
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(UserError, match="device must have a CUDA device for each process, got 2"):
        device_of_process("cuda")
    with pytest.raises(UserError, match="cuda:0"):
        device_of_process("cuda:0")
