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
        report = REPORTS[name]
        assert (report["model"], report["crop"], report["left_out"]) == ("bundled", 128, {})
        assert re.match(rf"python -m real bench ({name}|all) --photos BSD100 ", report["command"])
        assert report["settings"]["strength"] == 0.3


def values_of(name: str) -> set[float]:
    """The mean PSNR of every ensemble, N and ending over the photos and seeds of a study, from the rows.

    Rows lie beside the report, or in the store of all studies of its task, where other studies have more photos.
    """
    places = [FOLDER / folder / "rows.jsonl" for folder in (name, "sr", "inpaint")]
    rows = [json.loads(line) for path in places if path.exists() for line in path.read_text("utf-8").splitlines()]
    photos = sorted({row["photo"] for row in rows})[: REPORTS[name]["photos"]]
    assert len(photos) == REPORTS[name]["photos"]

    psnr: dict[tuple[str, str, str], list[float]] = {}
    for row in rows:
        ensemble, _, seed = row.get("ensemble", row["run"]).partition(" seed=")
        if row["photo"] not in photos or int(seed or 0) not in REPORTS[name]["grid"]["seed"]:
            continue
        for n, endings in row.get("outcomes", row.get("scores", {})).items():
            for ending, scores in endings.items():
                psnr.setdefault((ensemble, n, ending), []).append(scores["psnr_rgb"])
    return {round(sum(values) / len(values), 6) for values in psnr.values()}


@pytest.mark.parametrize("name", STUDIES)
def test_a_report_is_that_of_its_rows(name: str) -> None:
    render = pytest.importorskip("real.bench.markdown", exc_type=ImportError).render
    report = REPORTS[name]
    assert render(report) == (FOLDER / name / "report.md").read_text(encoding="utf-8")
    assert (FOLDER / name / f"{name}.png").stat().st_size > 10_000
    assert {round(one["scores"]["psnr_rgb"]["mean"], 6) for one in report["lines"]} <= values_of(name)


def test_the_table_names_every_table_and_figure_of_the_paper_with_numbers() -> None:
    sources = " ".join(claim["source"] for claim in CLAIMS["claims"])
    for number in (1, 2, 3, 4, 5, 6, 8, 12, 13, 14):
        assert re.search(rf"Tables? (\d+ and )?{number}\b", sources), number
    for number in (2, 4, 6, 7):
        assert re.search(rf"Figures? (\d+ and )?{number}\b", sources), number


def test_what_the_page_says_of_the_front() -> None:
    """Three sentences, each of the lines that are best at a budget."""
    report = REPORTS["front"]
    text = RENDER["advice"](report)
    assert text in (FOLDER / "index.md").read_text(encoding="utf-8")
    assert text.count("evaluations a photo take") == 3
    for budget in (report["budgets"][0], report["budgets"][-1]):
        for metric, sign in (("psnr_rgb", 1), ("lpips_hed", -1)):
            within = [line for line in report["lines"] if 0 < line["evaluations"] <= budget["evaluations"]]
            best = max(within, key=lambda line: sign * line["scores"][metric]["mean"])
            assert f"*{best['label']}*" in text


def front_of(best: tuple[str, str]) -> dict[str, object]:
    scores = {"psnr_rgb": {"mean": 21.0}, "lpips_hed": {"mean": 0.25}}
    lines = [{"key": key, "label": f"line {key}", "scores": scores} for key in ("KDS-500", "early-50", "KDS-50")]
    wide = {"mean": -0.1234, "low": -0.2, "high": -0.05}
    pairs = [
        {"a": "early-50", "b": "KDS-500", "scores": {"psnr_rgb": wide, "lpips_hed": {**wide, "low": None}}},
        {"a": "KDS-50", "b": "early-50", "scores": {}},
    ]
    found = {"evaluations": 500, "best": dict(zip(("psnr_rgb", "lpips_hed"), best, strict=True))}
    return {"lines": lines, "pairs": pairs, "budgets": [{**found, "evaluations": 50}, found]}


def test_advice_and_cheaper_forms_by_hand() -> None:
    same, two = front_of(("early-50", "early-50")), front_of(("KDS-500", "early-50"))
    assert RENDER["advice"](same).startswith(
        "With 50 evaluations a photo take *line early-50*: no line has more PSNR (21.00 dB) or less LPIPS-HED. "
    )
    assert RENDER["advice"](two).endswith(
        "With 500 evaluations a photo take *line KDS-500* for PSNR (21.00 dB) and *line early-50* for LPIPS-HED "
        "(0.250)."
    )
    text = RENDER["cheaper"](same)
    assert text.startswith("At 50 evaluations, minus KDS at 500:")
    assert text.endswith("| line early-50 | -0.12 [-0.20, -0.05] dB | -0.123 |")
    assert RENDER["cheaper"]({**same, "pairs": []}) == ""


@pytest.mark.parametrize(("study", "two"), [("table1", {"0", "4"}), ("table3", {"0", "8"})])
def test_nearly_always_one_of_two_particles_is_chosen(study: str, two: set[str]) -> None:
    rows = [json.loads(line) for line in (FOLDER / study / "rows.jsonl").read_text(encoding="utf-8").splitlines()]
    chosen = [str(row["picked"]["10"]["choice"]) for row in rows if row["picked"]]
    assert sum(index in two for index in chosen) >= 0.95 * len(chosen) >= 38


def test_every_claim_says_why() -> None:
    for claim in CLAIMS["claims"]:
        assert len(claim["why"]) > 20, claim["claim"]
        card = RENDER["card"](claim, "yes", REPORTS)
        assert claim["why"] in card
        assert "The paper:" in card, claim["claim"]  # its numbers, or what it shows
    for question in CLAIMS["questions"]:
        assert len(question["reading"]) > 20, question["question"]


def test_nothing_that_only_a_substitute_measures_gets_a_verdict() -> None:
    found = RENDER["verdicts"](CLAIMS["claims"], REPORTS)
    for claim, verdict in zip(CLAIMS["claims"], found, strict=True):
        decides = any(part.get("signs") for part in claim.get("parts", ()))
        assert (verdict != "not testable here") == decides, claim["claim"]
        assert not any("lpips_hed" in part.get("signs", {}) for part in claim.get("parts", ()))  # it is not LPIPS
    (of_table4,) = (v for claim, v in zip(CLAIMS["claims"], found, strict=True) if claim["source"] == "Table 4")
    assert of_table4 == "not testable here"


def test_substitutes_change_no_verdict() -> None:
    without = [
        {**claim, "parts": [{**part, "substitutes": {}} for part in claim.get("parts", ())]}
        for claim in CLAIMS["claims"]
    ]
    assert RENDER["verdicts"](without, REPORTS) == RENDER["verdicts"](CLAIMS["claims"], REPORTS)


def test_what_the_page_says_of_few_steps() -> None:
    """It names the PSNR of one sample for both solvers, by evaluations: few steps do not win with every one."""
    text = RENDER["few_steps"](REPORTS["front"])
    assert text in (FOLDER / "index.md").read_text(encoding="utf-8").replace("\n", " ")
    for part, solver in zip(text.split("; "), ("DDIM has ", "DPM-Solver++ 2S has "), strict=True):
        assert part.startswith(solver)
        cost = [int(found) for found in re.findall(r"dB with (\d+)", part)]
        assert len(cost) >= 4
        assert cost == sorted(set(cost))


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
    df2k = {"table": "8", "dataset": "DF2K"}
    for name, sampler in (("DDIM", "ddim50"), ("DPM-Solver++", "dpm-solver++ 2S")):
        both = (gain("psnr", sampler=sampler, **df2k), gain("lpips", sampler=sampler, **df2k))
        text = "{}: PSNR {:+.2f} dB, LPIPS {:+.3f}".format(name, *both)
        assert text in typed["It holds for other samplers and degradations"]
    texts = (typed["A bandwidth by the median rule beats one sample, too"],)
    assert f"PSNR {difference(auto, plain, 'psnr'):+.2f} dB" in texts[0]
    assert f"LPIPS {difference(auto, plain, 'lpips'):+.3f}" in texts[0]
    (text,) = (text for claim, text in typed.items() if claim.startswith("with a little less PSNR"))
    assert text == f"PSNR {difference(auto, hand, 'psnr'):+.2f} dB, LPIPS {difference(auto, hand, 'lpips'):+.3f}"


def test_a_claim_of_no_difference_is_right_where_none_matters() -> None:
    def of(sign: int) -> object:
        return Difference("psnr_rgb", sign, 0.2, 0.1, 0.3, 0.05, 0.001, 30)

    assert [of(0).read(v) for v in ("no difference that matters", "yes", "no", "open")] == ["yes", "no", "no", "open"]
    assert [of(1).read(v) for v in ("no difference that matters", "yes")] == ["no difference that matters", "yes"]
    assert of(0).measured.mean == 0.2


def test_numbers_as_they_are_written() -> None:
    one = Difference("psnr_rgb", 1, 0.2, 0.1, 0.3, 0.05, 0.001, 30)
    assert RENDER["describe"](one) == "PSNR +0.20 [+0.10, +0.30] dB"
    assert RENDER["describe"](Difference("ssim_rgb", 1, 0.2, None, None, None, None, 1)) == "SSIM +0.200"
