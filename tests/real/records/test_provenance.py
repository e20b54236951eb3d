"""The digest of a model's weights: every network that a result depends on is in it."""

from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")
from real.records.provenance import describe, weights_digest  # noqa: E402
from real.settings import Settings  # noqa: E402

NETWORKS = ("unet", "controlnet", "vae", "vqvae", "text_encoder", "cleaner")


def model(**changed: float) -> Any:
    """Stands in for a model: six networks of one number each."""
    networks = {name: torch.nn.Linear(1, 1, bias=False) for name in NETWORKS}
    for name, network in networks.items():
        network.weight.data.fill_(changed.get(name, 0.0))
    networks["cleaner"] = SimpleNamespace(model=networks["cleaner"])  # as spandrel gives it
    return SimpleNamespace(commit=None, **networks)


@pytest.mark.parametrize("name", NETWORKS)
def test_another_network_is_another_digest(name: str) -> None:
    assert weights_digest(model()) == weights_digest(model())
    assert weights_digest(model(**{name: 1.0})) != weights_digest(model())


def test_a_network_of_a_pipeline_counts_too() -> None:
    first, second = (SimpleNamespace(commit=None, pipe=model(unet=value)) for value in (0.0, 1.0))
    assert weights_digest(first) != weights_digest(second)  # type: ignore[arg-type]


def test_a_commit_says_it_already() -> None:
    known = model()
    known.commit = "abc"
    assert weights_digest(known) is None


def test_settings_are_recorded_as_they_were_used(tiny: Any) -> None:
    used = describe(Settings(), tiny, "c")["settings"]
    assert (used["bandwidth"], used["spacing"], used["cutoff"]) == (tiny.bandwidth, tiny.timestep_spacing, 0.3)
    assert describe(Settings(spacing="leading"), tiny, "c")["settings"]["spacing"] == "leading"
    assert describe(Settings(sampler="dpmpp-2s"), tiny, "c")["settings"]["spacing"] is None
    pipeline = SimpleNamespace(bandwidth=0.2, packages=(), describe=dict)
    assert describe(Settings(), pipeline, "c")["settings"]["spacing"] is None  # its scheduler has it
    by_noise = describe(Settings(cutoff_nsr=1.0), tiny, "c")["settings"]
    assert (by_noise["cutoff"], by_noise["cutoff_nsr"]) == (None, 1.0)
