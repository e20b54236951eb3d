"""What the studies' lines are made with: a plain or a steered run, an outcome, and names for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from real.bench.plan import Line, StudyRun
from real.settings import Settings

__all__ = ["NONE", "Lines", "name_of", "sampler_name"]

NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Lines:
    """Makes lines under one degradation.

    Attributes:
        degradation: How the photos of the lines are made low-resolution.
    """

    degradation: str

    def plain(
        self,
        key: str,
        label: str,
        settings: Settings,
        outcome: str = "random",
        *,
        paper: Mapping[str, str] = NONE,
        group: str = "",
        at: float = 0.0,
    ) -> Line:
        """A line without steering; see `Line`."""
        return Line(key, label, StudyRun("plain", settings, self.degradation), outcome, paper, group, at)

    def kds(
        self,
        key: str,
        label: str,
        settings: Settings,
        outcome: str = "choice",
        *,
        paper: Mapping[str, str] = NONE,
        group: str = "",
        at: float = 0.0,
    ) -> Line:
        """A line with steering; see `Line`."""
        return Line(key, label, StudyRun("kds", settings, self.degradation), outcome, paper, group, at)

    def bicubic(self, settings: Settings) -> Line:
        """Bicubic interpolation, without a model."""
        return Line("bicubic", "bicubic interpolation", StudyRun("bicubic", settings, self.degradation), "one")


def sampler_name(sampler: str) -> str:
    """How reports write a sampler."""
    return {"ddim": "DDIM", "dpmpp-2s": "DPM-Solver++ 2S"}[sampler]


def name_of(bandwidth: float | str | None) -> str:
    """A bandwidth or the name of a rule, as keys and labels have it."""
    return bandwidth if isinstance(bandwidth, str) else f"{bandwidth:g}"
