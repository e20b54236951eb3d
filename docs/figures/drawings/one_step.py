"""The schematic of one steered step, of README, the method page and tutorial 4: nothing in it is drawn by hand.

    python docs/figures/drawings/one_step.py

writes docs/assets/one_step.png. The photo comes with scikit-image, the model is the exact posterior of the toy's patch
prior, and the step is the last steered one of DDIM with ten particles and the paper's settings, three of them shown.
The crop is that with the most contrast of 24, and the place is the pixel at which the particles differ most.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import ConnectionPatch, Rectangle

import kds_ref
from toy.posterior.degradations import degradations
from toy.posterior.methods import SCHEDULE, Steering, steer_cases
from toy.posterior.patches import measure_photos
from toy.posterior.photos import from_patches, load_photos
from toy.posterior.prior import load_prior

PICTURE = Path(__file__).parents[2] / "assets" / "one_step.png"
N, SHOWN, H = 10, 3, 0.3
CROPS, SIDE = 24, 32
BEFORE, AFTER = 300, 280  # the step, in training timesteps
PURPLE, GREEN, INK, QUIET = "#6a2c91", "#17802f", "#22262b", "#555f69"


def states() -> dict[str, Any]:
    """Pictures (N, 32, 32) on the way of one step, the small photo, and the place (row, column) that is looked at."""
    prior = load_prior()
    measured = measure_photos(prior, load_photos(None), degradations()["average"], pictures=CROPS, seed=0)
    x = np.ascontiguousarray(measured.noise[:N].swapaxes(0, 1)).astype(float)
    steer = steer_cases(Steering(bandwidth=H))

    levels = [(t, SCHEDULE.alpha_bar(t)) for t in range(980, AFTER - 1, -20)]
    for (t, here), (_, there) in itertools.pairwise(levels):
        eps = measured.posterior.eps(x, alpha_bar=here)
        x0 = (x - (1 - here) ** 0.5 * eps) / here**0.5
        steered, _ = steer(x0, t)
        eps_steered = (x - here**0.5 * steered) / (1 - here) ** 0.5
        before, x = x, there**0.5 * steered + (1 - there) ** 0.5 * eps_steered
    assert t == BEFORE

    truths = pictures(measured.truth[:, None])[:, 0]
    crop = int(truths.std((1, 2)).argmax())
    blocks = truths[crop].reshape(8, 4, 8, 4).mean((1, 3))
    found = {"z_t": before, "x0": x0, "steered": steered, "z_s": x}
    shown = {name: pictures(patches)[crop] for name, patches in found.items()}
    place = np.unravel_index(int(shown["x0"].std(0).argmax()), (SIDE, SIDE))
    return shown | {"photo": blocks.repeat(4, 0).repeat(4, 1), "place": place}


def pictures(patches: np.ndarray) -> np.ndarray:
    """(crops * 16, n, 64) -> (crops, n, 32, 32), in the prior's units."""
    by_crop = patches.reshape(CROPS, 16, -1, 64).swapaxes(1, 2)
    return from_patches(by_crop.reshape(-1, 16, 64), 8).reshape(CROPS, -1, SIDE, SIDE)


def numbers() -> dict[str, Any]:
    """What the picture shows at its pixel: ten predictions, and each after 0.3 of its mean shift."""
    return at_the_place(states())


def at_the_place(found: dict[str, Any]) -> dict[str, Any]:
    """The two lists of `numbers`."""
    row, column = found["place"]
    return {name: np.round(found[name][:, row, column], 3).tolist() for name in ("x0", "steered")}


def draw(found: dict[str, Any]) -> plt.Figure:
    """Six columns, from the small photo to the next noise level."""
    figure = plt.figure(figsize=(10, 4.5), dpi=160)
    titles = (
        ("a small photo", "the condition"),
        ("N particles", "noisy, $z_t$"),
        ("clean estimates", r"model: $\epsilon \rightarrow \hat{z}_0$"),
        ("one place, N values", r"shift: $\hat{z}_0 + \delta\,m$"),
        ("steered estimates", r"$\hat{z}_0^{\rm KDS}$"),
        ("the next level", r"$\epsilon' \rightarrow z_s$"),
    )
    lefts, width = (0.012, 0.172, 0.332, 0.505, 0.705, 0.865), 0.123
    for left, (title, below), wide in zip(lefts, titles, (0, 0, 0, 0.025, 0, 0), strict=True):
        figure.text(left + (width + wide) / 2, 0.94, title, ha="center", fontsize=11, fontweight="bold", color=INK)
        figure.text(left + (width + wide) / 2, 0.035, below, ha="center", fontsize=11, color=INK)

    middle = _image(figure, (lefts[0], 0.36, width), found["photo"], GREEN)
    columns = {
        name: [_image(figure, (left, 0.64 - 0.275 * i, width), found[name][i], colour) for i in range(SHOWN)]
        for name, left, colour in (
            ("z_t", lefts[1], PURPLE),
            ("x0", lefts[2], PURPLE),
            ("steered", lefts[4], GREEN),
            ("z_s", lefts[5], GREEN),
        )
    }
    row, column = found["place"]
    for ax in (*columns["x0"], *columns["steered"]):
        ax.add_patch(Rectangle((column - 1, row - 1), 2, 2, fill=False, edgecolor="#ff8c1a", linewidth=1.6))

    density = figure.add_axes((lefts[3], 0.13, width + 0.025, 0.75))
    _density(density, found)
    for start, end in ((middle, columns["z_t"][1]), (columns["z_t"][1], columns["x0"][1])):
        _arrow(figure, start, end)
    _arrow(figure, columns["x0"][1], density)
    _arrow(figure, density, columns["steered"][1])
    _arrow(figure, columns["steered"][1], columns["z_s"][1])
    return figure


def _image(figure: plt.Figure, place: tuple[float, float, float], values: np.ndarray, colour: str) -> plt.Axes:
    left, bottom, width = place
    ax = figure.add_axes((left, bottom, width, width * 10 / 4.5))
    ax.imshow(values, cmap="gray", vmin=-2.2, vmax=2.2)
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set(edgecolor=colour, linewidth=1.5)
    return ax


def _density(ax: plt.Axes, found: dict[str, Any]) -> None:
    """The values of one pixel upright: density to the right, shifts as arrows."""
    row, column = found["place"]
    values = found["x0"][:, row, column]
    shift = kds_ref.mean_shift(values[:, None], values[:, None], bandwidth=H)[:, 0]
    line = np.linspace(values.min() - 0.8, values.max() + 0.8, 200)
    height = np.exp(kds_ref.log_density(line[:, None], values[:, None], bandwidth=H))

    ax.fill_betweenx(line, 0.0, height, color="#cad4dd")
    at = np.exp(kds_ref.log_density(values[:, None], values[:, None], bandwidth=H))
    ax.plot(at, values, "o", color=PURPLE, markersize=4.5)
    beside = at + 0.09 * height.max()  # where no point hides an arrow
    size = {"width": 0.02, "headwidth": 3, "headlength": 3, "headaxislength": 3, "minlength": 0}
    ax.quiver(beside, values, 0 * shift, shift, angles="xy", scale_units="xy", scale=1, color=GREEN, **size)
    ax.set(xticks=[], yticks=[], xlim=(0, 1.25 * height.max()), ylim=(line[0], line[-1]))
    ax.set_xlabel("their density; arrows: full $m$", fontsize=9, color=QUIET)
    for spine in ax.spines.values():
        spine.set(edgecolor="#ff8c1a", linewidth=1.6)


def _arrow(figure: plt.Figure, start: plt.Axes, end: plt.Axes) -> None:
    y = 0.505
    a, b = start.get_position().x1 + 0.004, end.get_position().x0 - 0.004
    style = {"arrowstyle": "-|>", "mutation_scale": 14, "color": INK, "linewidth": 1.5}
    figure.add_artist(ConnectionPatch((a, y), (b, y), figure.transFigure, figure.transFigure, **style))


def main() -> None:
    """Compute, draw, write."""
    found = states()
    description = json.dumps(at_the_place(found))
    draw(found).savefig(PICTURE, dpi=160, metadata={"Software": None, "Description": description})


if __name__ == "__main__":
    main()
