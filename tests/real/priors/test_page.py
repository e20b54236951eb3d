"""The committed numbers of FFDNet as a prior: the report is made of the rows, and the page states it."""

import json
from pathlib import Path
from typing import Any

import pytest

from real.priors.report import page, summarise, tables

DOCS = Path(__file__).resolve().parents[3] / "docs"


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DOCS / "priors" / "report.json").read_text(encoding="utf-8"))
    return found


def test_the_report_is_made_of_the_rows(report: dict[str, Any]) -> None:
    lines = (DOCS / "priors" / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    assert all(json.loads(line)["digest"] for line in lines)  # without it nobody can go on with the study
    again = json.loads(json.dumps(summarise(map(json.loads, lines))))
    assert again.keys() == report["measurements"].keys()
    for kind, result in again.items():
        for way, columns in result["ways"].items():
            for column, value in columns.items():
                before = report["measurements"][kind]["ways"][way][column]
                assert value["mean"] == pytest.approx(before["mean"], abs=1e-9)


def test_the_pages_state_the_report(report: dict[str, Any]) -> None:
    assert (DOCS / "priors" / "report.md").read_text(encoding="utf-8") == page(report)
    text = (DOCS / "denoiser.md").read_text(encoding="utf-8")
    noise = tables({"measurements": {"noise": report["measurements"]["noise"]}}).removeprefix("## A noisy photo\n\n")
    assert noise.strip() in text, "paste the tables of docs/priors/report.md into docs/denoiser.md, and read it again"
