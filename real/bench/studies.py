"""The studies by name. A new one is one more entry: its lines, what is compared, the paper's rows, a plot."""

from __future__ import annotations

from real.bench import beyond, figures, tables
from real.bench.plan import MODELS_BANDWIDTH, Grid, Study

__all__ = ["ORDER", "STUDIES", "list_studies"]

_LDM = {"backbone": "LDM-SR", "dataset": "DIV2K"}

STUDIES: dict[str, Study] = {
    "table1": Study(
        title="super-resolution with and without KDS (Table 1)",
        about="The paper compares one sample with KDS, which steers and chooses; the last pairs take the two apart.",
        lines=tables.table1,
        pairs=tables.table1_pairs,
        paper={"table": "1", **_LDM},
        photos=100,
    ),
    "table2": Study(
        title="the same on photos whose degradation is real (Table 2)",
        about="The paper's sets are RealSR and DRealSR; --dataset says whose numbers stand beside. As in Table 1 the "
        "paper compares one sample with KDS, which steers and chooses; the last pairs take the two apart.",
        lines=tables.table1,
        pairs=tables.table1_pairs,
        paper={"table": "2", "backbone": "LDM-SR", "dataset": "RealSR"},
    ),
    "table3": Study(
        title="inpainting, DDIM and DPM-Solver++ (Table 3)",
        about="A box in the centre with 30% of the area is hidden; the paper does not say whether it means the area or "
        "the side, and its model is another. Scores are of the whole photo, with the known pixels pasted back.",
        lines=tables.table3,
        pairs=tables.table3_pairs,
        grid=Grid(sampler=("ddim", "dpmpp-2s"), degradation=("center-box",)),
        sweeps=frozenset({"sampler", "degradation"}),
        paper={"table": "3"},
        task="inpaint",
        photos=40,
    ),
    "table4": Study(
        title="best of N by a score without truth against KDS, with time and memory (Table 4)",
        about="The paper's score is LIQE, a network. A line 'best of N' picks by a score that --metrics names: liqe or "
        "another that needs no truth; brisque needs no network, either.",
        lines=tables.table4,
        pairs=tables.table4_pairs,
        grid=Grid(particles=(5, 10)),
        sweeps=frozenset({"particles"}),
        paper={"table": "4", "backbone": "DiffBIR", "dataset": "RealSR"},
        timed=True,
    ),
    "table5": Study(
        title="patch sizes 1, 4 and 16, and 4 with more particles (Table 5; Table 14 of the camera-ready)",
        about="h is the same for all sizes, as in the paper, while distances grow with the root of the patch's size: "
        "a long patch sees only itself.",
        lines=tables.table5,
        pairs=tables.table5_pairs,
        grid=Grid(particles=(10, 40), patch_size=(1, 4, 16)),
        sweeps=frozenset({"particles", "patch_size"}),
        paper={"table": "5", **_LDM},
    ),
    "table6": Study(
        title="weights of classifier-free guidance, with and without KDS (Table 6)",
        about="What guidance is measured against is a mid-grey photo, or the negative prompt where a model reads text.",
        lines=tables.table6,
        pairs=tables.against_plain,
        grid=Grid(guidance=(1.0, 2.0, 4.0, 6.0)),
        sweeps=frozenset({"guidance"}),
        plot="curves",
        paper={"table": "6", "backbone": "DiffBIR", "dataset": "DRealSR"},
    ),
    "table8": Study(
        title="two degradations and two samplers, with and without KDS (Table 8 of the camera-ready)",
        about="The paper's second set, DF2K, has no counterpart here: how it was degraded is not said.",
        lines=tables.table8,
        pairs=tables.against_plain,
        grid=Grid(sampler=("ddim", "dpmpp-2s"), degradation=("stable-sr", "real-esrgan")),
        sweeps=frozenset({"sampler", "degradation"}),
        paper={"table": "8", "backbone": "LDM-SR"},
    ),
    "table12": Study(
        title="kernels (Table 12 of the camera-ready)",
        about="All kernels get the same h; the l2 kernel, equal weights for all particles, has none.",
        lines=tables.table12,
        pairs=tables.against_first,
        grid=Grid(kernel=("gaussian", "laplacian", "l2", "epanechnikov")),
        sweeps=frozenset({"kernel"}),
        paper={"table": "12", "backbone": "DiffBIR", "dataset": "RealSR"},
    ),
    "table13": Study(
        title="bandwidths by rule (Table 13 of the camera-ready)",
        about="A rule reads h off the particles, at every step and place anew. The paper's median heuristic has no "
        "formula there; ours is the median distance over the root of two.",
        lines=tables.table13,
        pairs=tables.against_first,
        grid=Grid(bandwidth=(MODELS_BANDWIDTH, "median", "scott", "silverman", "likelihood")),
        sweeps=frozenset({"bandwidth"}),
        paper={"table": "13", "backbone": "DiffBIR", "dataset": "RealSR"},
    ),
    "attribution": Study(
        title="what steering does and what choosing does, and every opponent (not in the paper)",
        about="KDS steers, then chooses; the paper reports the sum. Here each ingredient is alone, too, and beside it "
        "what else ten particles or one can be used for. Each photo's scores are means over the seeds.",
        lines=beyond.attribution,
        pairs=beyond.attribution_pairs,
        grid=Grid(cutoff=(0.3, 0.0), seed=(0, 1, 2)),
        sweeps=frozenset({"cutoff"}),
        photos=100,
    ),
    "front": Study(
        title="distortion against perception at equal model evaluations (not in the paper)",
        about="How a budget is split into particles (N) and steps (S) is fixed beforehand. PSNR rewards blur, so no "
        "conclusion from it alone.",
        lines=beyond.front,
        pairs=beyond.front_pairs,
        grid=Grid(budget=(10, 25, 50, 100, 250, 500)),
        sweeps=frozenset({"budget"}),
        plot="front",
        photos=40,
    ),
    "fig4": Study(
        title="KDS against the worst particle, photo by photo (Figure 4)",
        about="The worst particle is that of lowest PSNR, which takes the truth to know.",
        lines=figures.fig4,
        pairs=figures.fig4_pairs,
        plot="scatter",
        photos=100,
    ),
    "fig6": Study(
        title="number of particles and bandwidth (Figure 6)",
        about="The paper goes through 0.1, 0.3 and 0.6: a third of what it takes elsewhere, that, and twice of it. So "
        "do these, in units of the model's own bandwidth.",
        lines=figures.fig6,
        pairs=figures.fig6_pairs,
        grid=Grid(particles=(1, 5, 10, 15, 20), bandwidth=("model/3", MODELS_BANDWIDTH, "model*2")),
        sweeps=frozenset({"particles", "bandwidth"}),
        plot="curves",
    ),
    "fig7": Study(
        title="bandwidths and the plain average side by side, as pictures (Figure 7)",
        about="The pictures of every photo are in the store's images/; the plot shows the first photos.",
        lines=figures.fig7,
        pairs=figures.fig7_pairs,
        grid=Grid(bandwidth=("model/3", MODELS_BANDWIDTH, "model*2")),
        sweeps=frozenset({"bandwidth"}),
        plot="panels",
        pictures=True,
    ),
}

# `bench all`: what most depends on first, and without the study whose photos a camera took twice.
_FIRST = ("table1", "attribution", "front")
ORDER = (*_FIRST, *(name for name in STUDIES if name not in (*_FIRST, "table2")))


def list_studies() -> str:
    """One line per study, its name and its title, and one for all of them."""
    width = max(map(len, STUDIES))
    named = [*((name, study.title) for name, study in STUDIES.items()), ("all", "all of them but table2")]
    return "\n".join(f"{name:{width}}  {title}" for name, title in named)
