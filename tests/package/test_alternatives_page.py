"""The page "What to use when" states the committed reports, and what it says of them is so."""

import runpy
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
RENDER = runpy.run_path(str(DOCS / "alternatives" / "render.py"))
REPORTS = RENDER["load"]()
SR, HOLES = RENDER["sr_scores"](REPORTS), RENDER["hole_scores"](REPORTS)
AGAIN = "run `python docs/alternatives/render.py`, and read the page again"


def test_the_page_is_that_of_the_reports() -> None:
    text = (DOCS / "how-to" / "what-to-use-when.md").read_text(encoding="utf-8")
    assert RENDER["page"](REPORTS) == text, AGAIN
    assert "{{" not in text


def test_models_and_alternatives_saw_the_same_photos() -> None:
    """After a new evaluation of a model run its commands on the page again, for as many photos."""
    assert REPORTS["sr alternatives"]["photos"] == REPORTS["sr"]["variants"][0]["photos"]
    assert REPORTS["hole alternatives"]["photos"] == REPORTS["holes"]["photos"]
    for metric in ("psnr_rgb", "ssim_rgb", "lpips_hed"):
        ours = REPORTS["sr alternatives"]["sr"]["bicubic"][metric]["mean"]
        assert ours == pytest.approx(SR_BICUBIC[metric]["mean"], abs=1e-4)


SR_BICUBIC = REPORTS["sr"]["variants"][0]["methods"]["bicubic"]


def psnr(name: str) -> float:
    return float({**SR, **HOLES}[name]["psnr_rgb"])


def distance(name: str) -> float:
    return float({**SR, **HOLES}[name]["lpips_hed"])


def test_enlarging() -> None:
    assert max(SR, key=psnr) == "mmse"
    assert min(SR, key=distance) == "real-esrgan"
    assert psnr("real-esrgan") < psnr("ddim_mean")
    order = ["ddim_mean", "ddim_choice", "kds_choice", "to the end", "ddim_average"]
    assert sorted(order, key=psnr) == order
    assert sorted(order, key=distance, reverse=True) == order


def test_filling() -> None:
    classical = ("biharmonic", "fast-marching", "navier-stokes")
    one, choice, kds = (psnr(f"{name}-center-box-ddim") for name in ("plain", "choice", "kds"))
    assert kds - one == pytest.approx(1.3, abs=0.05)
    assert kds - choice == pytest.approx(0.1, abs=0.05)  # nearly all of it is choosing's
    assert all(psnr(name) > kds for name in classical)
    assert all(distance(name) < distance("kds-center-box-ddim") for name in classical)
