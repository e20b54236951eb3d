"""Rows of a folder: damaged files are named, and a folder without rows takes any settings."""

import errno
import json
from pathlib import Path

import pytest

pytest.importorskip("torch")
from real.errors import UserError
from real.records.journal import Rows, locked

ROW = {"photo": "a", "run": "x"}


def test_a_folder_without_rows_takes_other_settings(tmp_path: Path) -> None:
    Rows(tmp_path, {"seed": 1})  # a run that failed before its first row
    Rows(tmp_path, {"seed": 2}).add(ROW)
    assert json.loads((tmp_path / "settings.json").read_text(encoding="utf-8")) == {"seed": 2}
    with pytest.raises(UserError, match="seed was 2 and is 3"):
        Rows(tmp_path, {"seed": 3})


def test_of_what_differs_an_option_is_named_before_a_version(tmp_path: Path) -> None:
    """A metric that is added brings the version of its package with it, which nobody gave."""
    Rows(tmp_path, {"versions": {"torch": "2.13.0"}, "metrics": []}).add(ROW)
    with pytest.raises(UserError, match=r"metrics was \[\] and is \['brisque'\] and 1 more"):
        Rows(tmp_path, {"versions": {"torch": "2.13.0", "brisque": "0.2.0"}, "metrics": ["brisque"]})
    with pytest.raises(UserError, match=r"versions\.torch was '2\.13\.0' and is '2\.14\.0'; "):
        Rows(tmp_path, {"versions": {"torch": "2.14.0"}, "metrics": []})


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe{}", b"[1]"])
def test_damaged_settings_are_named(tmp_path: Path, content: bytes) -> None:
    Rows(tmp_path, {"seed": 1}).add(ROW)
    (tmp_path / "settings.json").write_bytes(content)
    with pytest.raises(UserError, match=r"settings\.json' must be a JSON object.*give another folder"):
        Rows(tmp_path, {"seed": 1})
    (tmp_path / "rows.jsonl").write_bytes(b"")
    assert len(Rows(tmp_path, {"seed": 1})) == 0


def test_rows_that_are_no_text_are_named(tmp_path: Path) -> None:
    Rows(tmp_path, {"seed": 1}).add(ROW)
    with (tmp_path / "rows.jsonl").open("ab") as file:
        file.write(b'{"photo": "\xff", "run": "y"}\n')
    with pytest.raises(UserError, match=r"line 2 of .*rows\.jsonl"):
        Rows(tmp_path, {"seed": 1})


def test_numbers_that_are_not_finite_are_null(tmp_path: Path) -> None:
    rows = Rows(tmp_path, {"seed": 1})
    rows.add({**ROW, "psnr": float("inf"), "more": [float("nan"), {"x": -float("inf")}]})
    assert rows["a", "x"]["psnr"] is None
    line = (tmp_path / "rows.jsonl").read_text(encoding="utf-8")
    assert json.loads(line, parse_constant=pytest.fail) == {**ROW, "psnr": None, "more": [None, {"x": None}]}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a full device")
def test_a_full_disk_names_the_file(tmp_path: Path) -> None:
    rows = Rows(tmp_path, {"seed": 1})
    rows.path.unlink()
    rows.path.symlink_to("/dev/full")
    with pytest.raises(UserError, match=r"cannot write '.*rows\.jsonl' \(No space left on device\); make room"):
        rows.add(ROW)
    assert ("a", "x") not in rows


@pytest.mark.parametrize(
    ("number", "message"),
    [(errno.EWOULDBLOCK, "no other process writes to"), (errno.ENOLCK, r"can be locked, .*local disk")],
)
def test_a_file_system_without_locks_is_not_taken_for_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, message: str
) -> None:
    fcntl = pytest.importorskip("fcntl")

    def refuse(*arguments: object) -> None:
        raise OSError(number, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(UserError, match=message), locked(tmp_path):
        pytest.fail("the folder is not locked")
