"""The page "What replicates" states the committed reports, and its verdicts follow from them."""

import json
import re
import runpy
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "replication"
RENDER = runpy.run_path(str(FOLDER / "render.py"))
REPORTS, CLAIMS = RENDER["load_reports"](), RENDER["load_claims"]()
STUDIES = sorted(set(REPORTS) - {"toy"})
Difference = RENDER["Difference"]


def test_the_page_is_that_of_the_reports() -> None:
    assert RENDER["page"](CLAIMS, REPORTS) == (FOLDER / "index.md").read_text(encoding="utf-8")


def test_every_study_was_run_that_the_bundled_models_can_run() -> None:
    studies = pytest.importorskip("real.bench.studies", exc_type=ImportError).STUDIES
    assert set(STUDIES) == set(studies) - {"table2"}  # photos that a camera took, twice
    for name in STUDIES:
        report, default = REPORTS[name], studies[name].grid
        assert (report["model"], report["crop"], report["left_out"]) == ("bundled", 128, {})
        assert report["command"].startswith(f"python -m real bench {name} --photos BSD100 ")
        assert report["command"].endswith(f" --output docs/replication/{name}")
        grid = {key: list(value) for key, value in vars(default).items() if key != "bandwidth"}
        assert {key: value for key, value in report["grid"].items() if key != "bandwidth"} == grid
        assert report["settings"]["strength"] == 0.3


@pytest.mark.parametrize("name", STUDIES)
def test_a_report_is_that_of_its_rows(name: str) -> None:
    render = pytest.importorskip("real.bench.markdown", exc_type=ImportError).render
    report = REPORTS[name]
    assert render(report) == (FOLDER / name / "report.md").read_text(encoding="utf-8")
    assert (FOLDER / name / f"{name}.png").stat().st_size > 10_000
    rows = [json.loads(line) for line in (FOLDER / name / "rows.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len({row["photo"] for row in rows}) == report["photos"]
    means = {round(one["scores"]["psnr_rgb"]["mean"], 9) for one in report["lines"]}
    from_rows = set()
    for run in {row["run"] for row in rows}:
        found = [row["outcomes"] for row in rows if row["run"] == run]
        for n, outcomes in found[0].items():
            for outcome in outcomes:
                from_rows.add(round(sum(one[n][outcome]["psnr_rgb"] for one in found) / len(found), 9))
    assert means <= from_rows


def test_the_table_names_every_table_and_figure_of_the_paper_with_numbers() -> None:
    sources = " ".join(claim["source"] for claim in CLAIMS["claims"])
    for number in (1, 2, 3, 4, 5, 6, 8, 12, 13, 14):
        assert re.search(rf"Tables? (\d+ and )?{number}\b", sources), number
    for number in (2, 4, 6, 7):
        assert re.search(rf"Figures? (\d+ and )?{number}\b", sources), number


def test_what_the_page_says_of_the_front() -> None:
    best = [key for budget in REPORTS["front"]["budgets"] for key in map(budget["best"].get, ("psnr_rgb", "lpips_hed"))]
    assert len(best) == 8
    assert all(re.fullmatch(r"plain-[\w-]+-average", key) for key in best)


@pytest.mark.parametrize(("study", "two"), [("table1", {"0", "4"}), ("table3", {"0", "8"})])
def test_nearly_always_one_of_two_particles_is_chosen(study: str, two: set[str]) -> None:
    rows = [json.loads(line) for line in (FOLDER / study / "rows.jsonl").read_text(encoding="utf-8").splitlines()]
    chosen = [str(row["picked"]["10"]["choice"]) for row in rows if row["picked"]]
    assert sum(index in two for index in chosen) >= 0.95 * len(chosen) >= 38


def test_every_claim_says_why() -> None:
    for claim in CLAIMS["claims"]:
        assert len(claim["why"]) > 20, claim["claim"]
        assert "paper" in claim or any("paper" in RENDER["row"](claim, REPORTS)[1] or part for part in claim["parts"])
        assert RENDER["row"](claim, REPORTS)[1], claim["claim"]  # the paper's numbers, or what it shows
    for question in CLAIMS["questions"]:
        assert len(question["reading"]) > 20, question["question"]


def difference(a: dict[str, str], b: dict[str, str], metric: str) -> float:
    paper = pytest.importorskip("real.bench.paper", exc_type=ImportError)
    rows = paper.paper_rows()
    return float(paper.find_row(rows, a).values[metric] - paper.find_row(rows, b).values[metric])


def test_the_papers_numbers_that_are_typed_in_are_the_papers() -> None:
    typed = {claim["claim"]: claim.get("paper", "") for claim in CLAIMS["claims"]}

    def gain(metric: str, **where: str) -> float:
        return difference({"method": "kds", **where}, {"method": "none", **where}, metric)

    one = {"table": "1", "dataset": "DIV2K"}
    metrics = {"fid": "FID", "dists": "DISTS", "nima": "NIMA", "maniqa": "MANIQA", "clipiqa": "CLIPIQA"}
    for metric, label in metrics.items():
        text = f"{label} {gain(metric, backbone='LDM-SR', **one):+.3g}"
        assert text in typed["and FID, DISTS, NIMA, MANIQA and CLIPIQA"]
    gains = [f"{gain('psnr', backbone=backbone, **one):+.2f}" for backbone in ("LDM-SR", "DiffBIR", "SeeSR")]
    assert f"PSNR {', '.join(gains)} dB" in typed["It does so for LDM-SR, DiffBIR and SeeSR alike"]
    for dataset in ("RealSR", "DRealSR"):
        value = gain("psnr", table="2", backbone="LDM-SR", dataset=dataset)
        assert f"{value:+.2f} dB on {dataset}" in typed["and on photos that a camera took"]
    auto, hand = ({"table": "13", "method": f"kds {h}"} for h in ("auto bandwidth", "h=0.3"))
    plain = {"table": "12", "method": "none"}
    texts = (typed["A bandwidth by the median rule beats one sample, too"],)
    assert f"PSNR {difference(auto, plain, 'psnr'):+.2f} dB" in texts[0]
    assert f"LPIPS {difference(auto, plain, 'lpips'):+.3f}" in texts[0]
    (text,) = (text for claim, text in typed.items() if claim.startswith("with a little less PSNR"))
    assert text == f"PSNR {difference(auto, hand, 'psnr'):+.2f} dB, LPIPS {difference(auto, hand, 'lpips'):+.3f}"


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ([(0.1, 0.3)], "yes"),
        ([(-0.1, 0.3)], "no"),
        ([(-0.3, -0.1)], "no"),
        ([(0.0, 0.3)], "no"),
        ([(0.1, 0.3), (-0.1, 0.3)], "in part"),
        ([], "not testable here"),
    ],
)
def test_a_verdict_asks_for_the_whole_interval(ends: list[tuple[float, float]], expected: str) -> None:
    for sign in (1, -1):
        found = [Difference("psnr_rgb", sign, sign * 0.1, *sorted((sign * low, sign * high))) for low, high in ends]
        assert RENDER["verdict"](found) == expected


def test_what_speaks_against_a_claim_is_marked() -> None:
    assert RENDER["describe"](Difference("psnr_rgb", 1, 0.2, 0.1, 0.3)) == "PSNR +0.20 [+0.10, +0.30] dB"
    assert RENDER["describe"](Difference("psnr_rgb", -1, 0.2, 0.1, 0.3)).endswith("dB (**the other way**)")
    assert RENDER["describe"](Difference("ssim_rgb", 1, 0.2, -0.1, 0.3)) == "SSIM +0.200 [-0.100, +0.300] (**open**)"
