"""The page of schedulers holds what the code holds."""

from pathlib import Path

import pytest

pytest.importorskip("torch")
from real.plugin.schedulers import REFUSED, SUPPORTED
from real.plugin.table import main, refused_table, supported_table, updated

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "schedulers.md"


def test_the_page_is_up_to_date() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert updated(text) == text, "run: python -m real.plugin.table docs/reference/schedulers.md"
    assert supported_table() in text
    assert refused_table() in text
    assert supported_table().count("\n") == len(SUPPORTED) + 2
    assert refused_table().count("\n") == len(REFUSED) + 2


def test_the_command_brings_a_page_up_to_date(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.md"
    text = PAGE.read_text(encoding="utf-8")
    page.write_text(text.replace("| `DDIMScheduler` |", "| `Old` |"), encoding="utf-8")
    assert main([str(page)]) == 0
    assert page.read_text(encoding="utf-8") == text
    assert main([]) == 2
    assert "usage" in capsys.readouterr().err
    with pytest.raises(ValueError, match="no block"):
        updated("a page without marks")
