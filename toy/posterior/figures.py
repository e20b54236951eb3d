"""The figures of the study on photos, and the plane of distortion and perception."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from toy.figure import GREEN, INK, PURPLE
from toy.posterior.bound import GAMMAS
from toy.posterior.plane_figures import BLUE, ORANGE, blank_figure, draw_errors
from toy.posterior.theory import best_error

__all__ = ["draw_bound", "draw_photos", "draw_rest"]

ANSWERS = {"random": "o", "chosen": "s", "chosen_by_patch": "D", "average": "X", "halfway": "P"}
BOUND_ANSWERS = {"random": "o", "chosen": "s", "average": "X"}
COLOURS = {
    "exact samples": INK,
    "plain": PURPLE,
    "KDS h=0.3 to 0.3": "#8fd6a0",
    "KDS h=0.3 to 0": GREEN,
    "KDS h=1 to 0.3": "#9cc4e8",
    "KDS h=1 to 0": BLUE,
    "KDS h=3 to 0, patch 8": "#0f3d66",
    "HDS below 0.3": ORANGE,
    "renoised mean at 0.3": "#b8860b",
}


def draw_rest(results: dict[str, Any]) -> dict[str, Figure]:
    """Return the figures that need the whole study, by file name."""
    return {
        "posterior_errors.png": draw_errors(results),
        "posterior_photos.png": draw_photos(results),
        "posterior_bound.png": draw_bound(results),
    }


def draw_photos(results: dict[str, Any]) -> Figure:
    """Draw error against density, steps, and what choosing is worth, for 4x averaging of photos."""
    average = results["average"]
    figure = blank_figure(11, 8.4)
    (plane, steps), (counts, choosing) = figure.subplots(2, 2)
    for name, colour in COLOURS.items():
        for answer, marker in ANSWERS.items():
            if name in average and answer in average[name]["answers"]:
                row = average[name]["answers"][answer]
                plane.scatter(row["psnr_truth"], row["log_density"]["mean"], c=colour, marker=marker, s=34, zorder=3)

    # No answer has a smaller error on average than the posterior's mean.
    bound = average["exact mean"]["answers"]["mean"]
    plane.scatter(bound["psnr_truth"], bound["log_density"]["mean"], c=INK, marker="*", s=130, zorder=3)

    plane.set_title("4x averaging: ○ random, □ chosen, ◇ by patch, × average, + halfway", fontsize=10)
    plane.set(xlabel="PSNR against the truth, dB", ylabel="log p(x | y), nats a patch")
    for name, colour in COLOURS.items():
        plane.scatter([], [], c=colour, label=name)
    plane.scatter([], [], c=INK, marker="*", label="exact mean")
    plane.legend(fontsize=7, loc="upper left")

    _steps(steps, average)
    _counts(counts, average)
    for name, found in results["choosing"].items():
        places = [row["places"] for row in found["rows"]]
        part = [row["part_of_the_way"] for row in found["rows"]]
        error = np.array([[p["mean"] - p["low"], p["high"] - p["mean"]] for p in part]).T
        choosing.errorbar(places, [p["mean"] for p in part], error, color=COLOURS[name], marker="o", label=name)
    choosing.set(xlabel="independent places in a picture (8 x 8 patches)", xscale="log", ylim=(0, 1))
    choosing.set_xticks(places, labels=[str(n) for n in places])
    choosing.minorticks_off()
    title = "part of the way from a random particle to the average\nthat choosing goes (squared error)"
    choosing.set_title(title, fontsize=10)
    choosing.legend(fontsize=8)
    return figure


def draw_bound(results: dict[str, Any]) -> Figure:
    """Draw the plane of distortion and perception, for a Gaussian posterior and for the mixture's."""
    figure = blank_figure(11, 5)
    titles = {
        "bound, Gaussian": "one Gaussian as prior: exact distance",
        "bound, mixture": "the mixture: sliced distance",
    }

    for ax, (part, title) in zip(figure.subplots(1, 2), titles.items(), strict=True):
        lines = results[part]
        exact = lines["exact samples"]
        least = exact[_moved(0.0)]["error"]  # the exact mean, reached from samples
        distance = np.linspace(0, 1.25 * np.sqrt(least), 100)
        ax.plot(distance, best_error(least, distance), color=INK, linewidth=1, label="the optimum")

        curve = [exact[_moved(gamma)] for gamma in GAMMAS] + [exact["random"]]
        ax.plot([p["distance"] for p in curve], [p["error"] for p in curve], ".", color=INK, label="from exact samples")

        for name, colour in COLOURS.items():
            for answer, marker in BOUND_ANSWERS.items():
                point = lines.get(name, {}).get(answer)
                if point:
                    ax.scatter(point["distance"], point["error"], c=colour, marker=marker, s=36)
            ax.scatter([], [], c=colour, label=name)

        ax.set(xlabel="distance to the posterior (2-Wasserstein)", xlim=(0, None))
        ax.set_title(f"{title}\n○ random, □ chosen, × average", fontsize=10)

    figure.axes[0].set_ylabel("expected squared error of a pixel")
    figure.axes[0].legend(fontsize=7)
    return figure


def _moved(gamma: float) -> str:
    return f"random, {gamma:g} of the way from the exact mean"


def _steps(ax: Axes, average: dict[str, Any]) -> None:
    """PSNR and log density by the number of steps."""
    plain = {50: average["plain"]} | {n: average[f"plain, {n} steps"] for n in (5, 10, 25, 100, 250)}
    for answer, style in (("random", "-"), ("average", ":")):
        values = [plain[n]["answers"][answer]["psnr_truth"] for n in sorted(plain)]
        ax.plot(sorted(plain), values, style, color=PURPLE, marker="o", markersize=4, label=f"PSNR, DDIM, {answer}")

    exact = average["exact samples"]["answers"]["random"]["psnr_truth"]
    ax.axhline(exact, color=INK, linewidth=0.8, label="exact samples, random")

    other = ax.twinx()
    density = [plain[n]["answers"]["random"]["log_density"]["mean"] for n in sorted(plain)]
    other.plot(sorted(plain), density, "--", color=ORANGE, marker="s", markersize=4, label="log p, DDIM, random")
    other.set_ylabel("log p(x | y), nats a patch", color=ORANGE)

    ax.set(xlabel="DDIM steps", ylabel="PSNR against the truth, dB", xscale="log")
    ax.margins(y=0.1)  # so that the line of exact samples, the lowest, does not lie on the frame
    ax.set_xticks(sorted(plain), labels=[str(n) for n in sorted(plain)])
    ax.minorticks_off()
    ax.legend(fontsize=8, loc="center right")
    ax.set_title("plain sampling by steps", fontsize=10)


def _counts(ax: Axes, average: dict[str, Any]) -> None:
    """PSNR by the number of particles."""
    styles = {"plain": PURPLE, "KDS h=0.3 to 0.3": "#8fd6a0", "KDS h=0.3 to 0": GREEN}

    for name, colour in styles.items():
        lines = {n: average[f"{name}, N={n}"] for n in (2, 5, 20)} | {10: average[name]}
        for answer, style in (("random", "-"), ("chosen", "--"), ("average", ":")):
            values = [lines[n]["answers"][answer]["psnr_truth"] for n in sorted(lines)]
            ax.plot(sorted(lines), values, style, color=colour, marker="o", markersize=4)
        ax.plot([], [], color=colour, label=name)

    # Colours and styles are two legends in one: empty lines stand for the styles.
    for answer, style in (("random", "-"), ("chosen", "--"), ("average", ":")):
        ax.plot([], [], style, color=INK, label=answer)

    ax.set(xlabel="particles N", ylabel="PSNR against the truth, dB", xscale="log")
    ax.set_xticks([2, 5, 10, 20], labels=["2", "5", "10", "20"])
    ax.minorticks_off()

    low, high = ax.get_ylim()
    ax.set_ylim(low - 0.4 * (high - low), high)  # room for the legend
    ax.legend(fontsize=8, loc="lower right", ncols=2)
    ax.set_title("by the number of particles", fontsize=10)
