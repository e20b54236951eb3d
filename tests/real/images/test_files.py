"""Files that are written whole: JSON of the standard, UTF-8 whatever the locale, errors with a path."""

import json
import os
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
from real.errors import UserError  # noqa: E402
from real.images.files import read_json, write_atomically, write_json, write_text  # noqa: E402


def test_json_has_neither_nan_nor_infinity(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"x": [float("nan"), (float("inf"), 1.5)], "ü": "写真"})
    content = json.loads((tmp_path / "a.json").read_bytes(), parse_constant=pytest.fail)
    assert content == {"x": [None, [None, 1.5]], "ü": "写真"}


def test_text_is_utf_8_with_names_that_are_no_text(tmp_path: Path) -> None:
    write_text(tmp_path / "a.md", "ü " + os.fsdecode(b"\xff.png"))
    assert (tmp_path / "a.md").read_bytes().startswith("ü ".encode())


def test_a_refusal_of_the_system_names_the_file(tmp_path: Path) -> None:
    def fill(path: Path) -> None:
        raise OSError(28, "No space left on device")  # as a write does it: without a file name

    with pytest.raises(UserError, match=r"cannot write '.*a\.png' \(No space left on device\); make room"):
        write_atomically(tmp_path / "a.png", fill)
    with pytest.raises(UserError, match=r"cannot write '.*nothing/a\.json'"):
        write_json(tmp_path / "nothing" / "a.json", {})
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a full device")
def test_torchs_words_for_a_full_disk_name_the_file_too(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot write '.*checkpoint\.pt'"):
        write_atomically(tmp_path / "checkpoint.pt", lambda path: torch.save({"x": torch.zeros(1 << 20)}, "/dev/full"))
    with pytest.raises(RuntimeError, match="another"):
        write_atomically(tmp_path / "checkpoint.pt", lambda path: (_ for _ in ()).throw(RuntimeError("another")))


def test_damaged_json_is_named(tmp_path: Path) -> None:
    for content in (b"", b"[]", b"\xff"):
        (tmp_path / "a.json").write_bytes(content)
        with pytest.raises(UserError, match=r"a\.json' must be a JSON object.*; make it again"):
            read_json(tmp_path / "a.json", remedy="make it again")


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that goes down in between must not leave an empty file under the name."""
    seen: list[str] = []
    sync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (seen.append("on the disk"), sync(handle))[1])

    def renamed(self: Path, target: Path) -> Path:
        seen.append("named")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", renamed)
    write_text(tmp_path / "a.txt", "text")
    assert seen == ["on the disk", "named"]
    assert (tmp_path / "a.txt").read_text() == "text"
