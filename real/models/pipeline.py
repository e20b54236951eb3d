"""Pipelines of diffusers as models: loaded and put on a device, none of them edited.

The x4 upscaler and Stable Diffusion inpainting are loaded here; `real.restorers.pipeline` runs them.
"""

from __future__ import annotations

import contextlib
import importlib.util
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from real.errors import UserError
from real.models.base import LoadOptions, Model, ModelFamily
from real.models.devices import usual_defaults
from real.models.hub import Source
from real.models.latent import DTYPES, explain, kds_bandwidth, weights_options
from real.plugin.batching import split_batches
from real.settings import Settings

__all__ = ["PipelineModel", "check_packages", "check_text", "load_pipeline", "quiet"]


@dataclass(frozen=True, kw_only=True)
class PipelineModel(Model):
    """A loaded pipeline of diffusers.

    Attributes:
        pipe: The pipeline.
        scheduler: Configuration of the scheduler that it came with: noise schedule, prediction type, clipping.
    """

    packages: ClassVar[tuple[str, ...]] = ("transformers",)

    pipe: Any
    scheduler: Any

    @property
    def unet(self) -> Any:
        """The denoiser."""
        return self.pipe.unet

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the denoiser."""
        dtype: torch.dtype = self.unet.dtype
        return dtype

    @property
    def num_train_timesteps(self) -> int:
        """T of the noise schedule."""
        return int(self.scheduler["num_train_timesteps"])

    def describe(self) -> dict[str, Any]:
        """What a result file says of the model, ready for JSON."""
        return {**super().describe(), "vae_tiling": bool(self.pipe.vae.use_tiling)}


def load_pipeline(source: Source, family: ModelFamily, options: LoadOptions) -> PipelineModel:
    """Load a pipeline; the precision is that of all its networks, and steering computes in float32.

    Args:
        source: Place of the model, from `real.models.hub.locate`.
        family: Family of the model, from `real.models.families.recognise`; it names the class of the pipeline.
        options: How to load and run it. With guidance each particle is two rows of `max_batch`.

    Raises:
        UserError: A package is missing, the device does not fit, or the weights cannot be loaded.

    Warns:
        UserWarning: If pickles are allowed.
    """
    import diffusers

    check_packages(options)
    weights = weights_options(source, pickled_weights=options.pickled_weights)
    weights |= {"torch_dtype": DTYPES[options.dtype], "trust_remote_code": False}
    # diffusers would try this itself, and complain where accelerate is missing.
    weights["low_cpu_mem_usage"] = importlib.util.find_spec("accelerate") is not None
    try:
        with quiet():
            pipe = getattr(diffusers, str(family.pipeline)).from_pretrained(source.name, **weights)
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, AttributeError) as error:
        raise explain(source, error) from error

    pipe.set_progress_bar_config(disable=True)
    pipe.vae.enable_slicing()  # decode one by one: the same pictures in less memory
    if options.vae_tiling:
        pipe.vae.enable_tiling()
    if options.cpu_offload:
        pipe.enable_model_cpu_offload(device=options.device)
    else:
        pipe.to(options.device)
    if options.max_batch is not None:
        split_batches(pipe.unet, options.max_batch)

    return PipelineModel(
        name=source.name,
        family=family.name,
        pipe=pipe,
        scheduler=pipe.scheduler.config,
        bandwidth=kds_bandwidth(source),
        device=torch.device(options.device),
        revision=source.revision,
        commit=source.commit,
    )


def check_text(settings: Settings, negative_prompt: str | None) -> None:
    """Refuse what a pipeline would pass over in silence.

    Raises:
        UserError: A guidance below 1, or a negative prompt without guidance.
    """
    if settings.guidance < 1.0:
        raise UserError(
            f"must be at least 1 for this model (1: no guidance), got {settings.guidance:g}", argument="guidance"
        )
    if negative_prompt and settings.guidance == 1.0:
        accepted = "must be left out without guidance, through which alone it acts"
        why = f"{accepted}, got {negative_prompt!r}; give a `guidance` above 1 too"
        raise UserError(why, argument="negative_prompt")


def check_packages(options: LoadOptions) -> None:
    """Refuse to go on where a package that reads text is missing, or nothing can be offloaded.

    Raises:
        UserError: See above.
    """
    if importlib.util.find_spec("transformers") is None:
        needs = 'this model reads text, which needs transformers: pip install "kds-ref[pipelines]"'
        raise UserError(needs, argument="model")
    if not options.cpu_offload:
        return
    if torch.device(options.device).type == "cpu":
        why = "must be left out on the CPU, where everything is already, got True; give a `device` such as cuda"
        raise UserError(why, argument="cpu_offload")
    if importlib.util.find_spec("accelerate") is None:
        raise UserError("it needs accelerate: pip install accelerate", argument="cpu_offload")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Context manager: without what diffusers and transformers warn of, and with the defaults that they expect."""
    with warnings.catch_warnings(), usual_defaults():
        warnings.simplefilter("ignore")
        yield
