"""What a page of claims may say: yes, no, no difference that matters, or open.

All comparisons of a page are judged together. Both tests of each, that there is a difference and that there is none
that matters, are corrected for the number of comparisons by Holm's method.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from real.bench.statistics import equivalence, holm

__all__ = ["MARGINS", "VERDICTS", "MeasuredDifference", "judge", "together"]

MARGINS = {"psnr_rgb": 0.05, "hole_psnr_rgb": 0.05, "lpips_hed": 0.003}  # of the plan, not read off results
VERDICTS = ("yes", "no", "no difference that matters", "open")
ALPHA = 0.05


@dataclass(frozen=True)
class MeasuredDifference:
    """A paired difference of a report and what a claim says of it.

    Attributes:
        metric: Metric of the report.
        sign: 1 if the claim says that it is positive, -1 if negative.
        mean: Mean over the photos.
        standard_error: Standard error of the mean; None for one photo.
        p: p-value of the two-sided test; None for one photo.
        photos: How many.
    """

    metric: str
    sign: int
    mean: float
    standard_error: float | None
    p: float | None
    photos: int

    def equivalence(self) -> float:
        """The p of the test that no difference matters; 1 for metrics without a margin."""
        margin = MARGINS.get(self.metric)
        if margin is None or self.standard_error is None:
            return 1.0
        return equivalence(self.mean, self.standard_error, self.photos, margin=margin)


def judge(differences: Sequence[MeasuredDifference]) -> list[str]:
    """A verdict on each of all comparisons of a page.

    "yes" and "no": there is a difference, on the claimed side or on the other, and it is not shown to be too small to
    matter. "no difference that matters": it is shown to lie inside the margin, whether or not it is zero. Else "open".
    """
    different = holm([1.0 if one.p is None else one.p for one in differences])
    equal = holm([one.equivalence() for one in differences])
    verdicts = []
    for one, p_different, p_equal in zip(differences, different, equal, strict=True):
        if p_equal < ALPHA:
            verdicts.append("no difference that matters")
        elif p_different < ALPHA:
            verdicts.append("yes" if one.sign * one.mean > 0 else "no")
        else:
            verdicts.append("open")
    return verdicts


def together(verdicts: Sequence[str]) -> str:
    """The verdict on a claim that says all of several things: "yes" asks for all, one "no" is enough.

    Raises:
        ValueError: There is none.
    """
    if not verdicts:
        raise ValueError("verdicts must hold at least one, got none")
    for decisive in ("no", "no difference that matters", "open"):
        if decisive in verdicts:
            return decisive
    return "yes"
