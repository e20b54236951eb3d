"""What is known of a loaded model, whichever family it is of, and what every loader gets."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import torch

if TYPE_CHECKING:
    from real.models.hub import Source

__all__ = ["PAPER_BANDWIDTH", "LoadOptions", "Model", "ModelFamily"]

PAPER_BANDWIDTH = 0.3


@dataclass(frozen=True, kw_only=True)
class Model(ABC):
    """A loaded model.

    Attributes:
        name: Folder or id on the hub; "bundled" for those that the package carries; or "diffbir", "seesr".
        family: Family of the model, a name in `real.opening.FAMILIES`.
        bandwidth: h that fits the scale of its latents (`kds.json` in its folder); the paper's where it names none.
        device: Device of the networks.
        revision: Revision of an id, as it was asked for.
        commit: Commit of an id, where it is known.
        packages: Packages besides torch and diffusers whose version a result depends on.
    """

    packages: ClassVar[tuple[str, ...]] = ()

    name: str
    family: str
    bandwidth: float
    device: torch.device
    revision: str | None = None
    commit: str | None = None

    @property
    @abstractmethod
    def dtype(self) -> torch.dtype:
        """Precision of the denoiser."""

    @property
    @abstractmethod
    def num_train_timesteps(self) -> int:
        """T of the noise schedule."""

    @property
    def recommended_guidance(self) -> float:
        """Weight of classifier-free guidance that the authors recommend; 1: none."""
        return 1.0

    def describe(self) -> dict[str, Any]:
        """What a result file says of the model, ready for JSON."""
        return {
            "model": self.name,
            "revision": self.revision,
            "commit": self.commit,
            "device": str(self.device),
            "dtype": str(self.dtype).removeprefix("torch."),
        }


@dataclass(frozen=True, kw_only=True)
class LoadOptions:
    """How a model is loaded and run; `real.opening.open_model` says what each means.

    Attributes:
        device: Device on which the networks run.
        dtype: Precision of the denoiser: "float32", "bfloat16" or "float16".
        pickled_weights: Whether pickles are accepted.
        max_batch: Most rows that go through the denoiser at once; None: as many as the family takes by default.
        vae_tiling: Whether to encode and decode in tiles.
        cpu_offload: Whether each network is on the device only while it works.
    """

    device: str = "cpu"
    dtype: str = "float32"
    pickled_weights: bool = False
    max_batch: int | None = None
    vae_tiling: bool = False
    cpu_offload: bool = False


@dataclass(frozen=True, kw_only=True)
class ModelFamily:
    """Models of one shape: how they are recognised, loaded and used. `real.opening.FAMILIES` lists all families.

    Attributes:
        name: Name in `result.json`.
        task: "sr" or "inpaint": the command that takes it.
        what: Description in words, for messages.
        restorer: (photo, model, options by name) -> a `real.restorers.base.Restorer`; for inpainting the photo and the
            mask come first.
        options: Options that the restorer takes, with their defaults; None: the model's own, or none.
        latent: Whether the core's samplers drive the networks themselves; else diffusers does.
        load: Function that loads a model that `real.models.families.recognise` found; None for a family that has a
            name instead of one place (DiffBIR, SeeSR).
        pipeline: Class in `model_index.json`; None: diffusers has none, and the folder no such file.
        fits: (configuration of the denoiser, of the autoencoder) -> whether they have the family's shape.
        denoiser: Folder of the denoiser.
        second: Folder of a denoiser of this family in a folder of another one, whose autoencoder it shares; None: none.
        autoencoder: Folder of the autoencoder's configuration.
    """

    name: str
    task: str
    what: str
    restorer: Callable[..., Any]
    options: Mapping[str, object] = field(default_factory=dict)
    latent: bool = False
    load: Callable[[Source, ModelFamily, LoadOptions], Model] | None = None
    pipeline: str | None = None
    fits: Callable[[Mapping[str, Any], Mapping[str, Any]], bool] = lambda unet, vae: False
    denoiser: str = "unet"
    second: str | None = None
    autoencoder: str = "vae"
