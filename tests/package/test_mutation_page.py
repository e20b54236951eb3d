"""The page on mutation tests states the committed verdicts; every survivor has a reason."""

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

RESULTS = Path(__file__).resolve().parents[1] / "mutation" / "results.json"
pytestmark = pytest.mark.skipif(not RESULTS.exists(), reason="no results of tests/mutation are committed yet")


@pytest.fixture(scope="module")
def report(root: Path) -> dict[str, Any]:
    return runpy.run_path(str(root / "tests" / "mutation" / "report.py"))


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8"))
    return found


def test_the_page_states_the_verdicts(root: Path, report: dict[str, Any], results: dict[str, Any]) -> None:
    page = (root / "docs" / "explanation" / "mutation.md").read_text(encoding="utf-8")
    assert report["page"](results) == page
    assert all(f"\n{command}\n" in page for command in results["commands"])
    assert f"mutmut {results['mutmut']}" in page


def test_nineteen_of_twenty_mutants_are_killed(report: dict[str, Any], results: dict[str, Any]) -> None:
    assert report["score"](results["modules"]) >= 0.95


def test_every_survivor_has_a_reason(results: dict[str, Any]) -> None:
    assert [one["mutant"] for one in results["survivors"] if len(one["reason"]) < 10] == []
    for module, counts in results["modules"].items():
        noticed = counts.get("killed", 0) + counts.get("timeout", 0)
        listed = [one for one in results["survivors"] if one["function"].split(".")[0] == module]
        assert counts["mutants"] - noticed == len(listed)


def test_every_reason_is_that_of_a_survivor(report: dict[str, Any], results: dict[str, Any]) -> None:
    assert {one["why"] for one in report["read_reasons"]()} == {one["reason"] for one in results["survivors"]}


def test_modules_that_were_not_judged_again_keep_their_verdicts(report: dict[str, Any]) -> None:
    def results(**counts: int) -> dict[str, Any]:
        modules = {name: {"mutants": count, "survived": 1} for name, count in counts.items()}
        return {"modules": modules, "survivors": [{"function": f"{name}.f", "mutant": str(counts)} for name in counts]}

    found = report["updated"](results(b=2, a=1), results(c=4, b=3))
    assert {name: one["mutants"] for name, one in found["modules"].items()} == {"a": 1, "b": 3, "c": 4}
    old, new = str({"b": 2, "a": 1}), str({"c": 4, "b": 3})
    listed = [(one["function"], one["mutant"]) for one in found["survivors"]]
    assert listed == [("a.f", old), ("b.f", new), ("c.f", new)]
    assert "not since: `a`." in found["note"]
    assert "note" not in report["updated"](results(a=1), results(a=2))


def test_every_module_with_functions_was_judged(sources: dict[str, list[Path]], results: dict[str, Any]) -> None:
    with_functions = {path.stem for path in sources["kds_ref"] if "\n    return " in path.read_text(encoding="utf-8")}
    assert with_functions <= results["modules"].keys()
