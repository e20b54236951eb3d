"""Means over photos of which some have no finite number: by hand."""

import numpy as np
import pytest

pytest.importorskip("torch")
from real.records.finite import finite_photos, not_finite
from real.records.provenance import mean_with_error

VALUES = {
    "bicubic": {"psnr": np.array([20.0, np.inf, 30.0]), "ssim": np.array([0.5, 1.0, 0.7])},
    "kds": {"psnr": np.array([22.0, 40.0, np.nan]), "ssim": np.array([0.6, 0.9, 0.8])},
}


def test_a_photo_counts_where_every_line_is_finite() -> None:
    kept = finite_photos(VALUES)
    assert kept["psnr"].tolist() == [True, False, False]
    assert kept["ssim"].all()


def test_what_is_left_out_is_named() -> None:
    assert not_finite(VALUES, ["a", "b", "c"]) == [
        {"photo": "b", "metric": "psnr", "lines": ["bicubic"]},
        {"photo": "c", "metric": "psnr", "lines": ["kds"]},
    ]


def test_the_mean_of_what_is_finite() -> None:
    assert mean_with_error(np.array([1.0, np.inf, 3.0])) == {"mean": 2.0, "standard_error": 1.0}
    assert mean_with_error(np.array([np.nan])) == {"mean": None, "standard_error": None}
