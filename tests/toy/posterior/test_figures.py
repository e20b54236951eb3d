"""What a reader of the figures needs: every column and row of the plane has its name."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("matplotlib")
from toy.posterior.plane import posteriors
from toy.posterior.plane_figures import PLANE_COLUMNS, draw_plane


def test_the_plane_names_its_columns_and_rows() -> None:
    number = {"mean": 1.0}
    line = {
        "shown": np.zeros((2, 10, 2)).tolist(),
        "answers": {"random": {"error_over_least": number, "log_density": number}},
    }
    figure = draw_plane({"plane, exact": {name: dict.fromkeys(PLANE_COLUMNS, line) for name in posteriors()}})
    axes = np.reshape(figure.axes, (len(posteriors()), len(PLANE_COLUMNS)))
    assert [ax.get_title() for ax in axes[0]] == list(PLANE_COLUMNS.values())
    assert [ax.get_ylabel() for ax in axes[:, 0]] == list(posteriors())
