"""What the studies' lines are made with: an ensemble, an ending, and names for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from real.bench.plan import EnsemblePlan, Line
from real.bench.unsampled import UNSAMPLED, unsampled_for
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

    def of(
        self,
        kind: str,
        key: str,
        label: str,
        settings: Settings,
        ending: str = "one",
        *,
        paper: Mapping[str, str] = NONE,
        group: str = "",
        at: float = 0.0,
    ) -> Line:
        """A line of an ensemble of any kind; see `Line`."""
        return Line(key, label, EnsemblePlan(kind, settings, self.degradation), ending, paper, group, at)

    def plain(
        self,
        key: str,
        label: str,
        settings: Settings,
        ending: str = "random",
        *,
        paper: Mapping[str, str] = NONE,
        group: str = "",
        at: float = 0.0,
    ) -> Line:
        """A line without steering; see `Line`."""
        return self.of("plain", key, label, settings, ending, paper=paper, group=group, at=at)

    def kds(
        self,
        key: str,
        label: str,
        settings: Settings,
        ending: str = "choice",
        *,
        paper: Mapping[str, str] = NONE,
        group: str = "",
        at: float = 0.0,
    ) -> Line:
        """A line with steering; see `Line`."""
        return self.of("kds", key, label, settings, ending, paper=paper, group=group, at=at)

    def bicubic(self, settings: Settings) -> Line:
        """Bicubic interpolation, without a model."""
        return self._unsampled("bicubic", "bicubic", settings, group="")

    def baselines(self, settings: Settings) -> list[Line]:
        """Bicubic interpolation, and the regression network where it knows the degradation."""
        names = [name for name in unsampled_for(self.degradation) if name in ("bicubic", "regression")]
        return [self._unsampled(name, name, settings, group="") for name in names]

    def unsampled(self, settings: Settings, *, suffix: str = "", group: str = "") -> list[Line]:
        """A line of everything that restores such photos without sampling; see `real.bench.unsampled`."""
        names = unsampled_for(self.degradation)
        return [self._unsampled(name, f"{name}{suffix}", settings, group=group) for name in names]

    def _unsampled(self, name: str, key: str, settings: Settings, *, group: str) -> Line:
        way = UNSAMPLED[name]
        plan = EnsemblePlan(name, settings, self.degradation, depends=way.depends())
        return Line(key, way.label, plan, "one", group=group)


def sampler_name(sampler: str) -> str:
    """How reports write a sampler."""
    return {"ddim": "DDIM", "dpmpp-2s": "DPM-Solver++ 2S"}[sampler]


def name_of(bandwidth: float | str) -> str:
    """A bandwidth or the name of a rule, as keys and labels have it."""
    return bandwidth if isinstance(bandwidth, str) else f"{bandwidth:g}"
