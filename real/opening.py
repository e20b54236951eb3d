"""Any model that there is, loaded by one call: bundled, a folder, an id on the hub, or the name of a backbone.

DiffBIR and SeeSR, which are no folders of diffusers, are known by name; `real.backbones.recipes` says what these names
stand for. All others are told by their configuration (`real.models.families`).
"""

from __future__ import annotations

from os import PathLike

from real.backbones.model import BackboneModel, load_backbone
from real.backbones.recipes import RECIPES, Recipe
from real.errors import UserError
from real.models.devices import pick_device, pick_dtype
from real.models.families import recognise
from real.models.hub import locate
from real.models.latent import LatentModel, load_model
from real.models.pipeline import PipelineModel, load_pipeline
from real.settings import Settings

__all__ = ["LDM_SR", "Model", "default_settings", "open_model"]

LDM_SR = {"ldm-sr": "CompVis/ldm-super-resolution-4x-openimages"}  # the name, and what it stands for
Model = LatentModel | PipelineModel | BackboneModel


def open_model(
    model: str | PathLike[str] | None = None,
    *,
    task: str = "sr",
    device: str = "auto",
    dtype: str = "auto",
    revision: str | None = None,
    pickled_weights: bool = False,
    max_batch: int | None = None,
    vae_tiling: bool = False,
    cpu_offload: bool = False,
    recipe: Recipe | None = None,
) -> Model:
    """Load a model for `super_resolve` or `inpaint`; its family is read off its configuration, no code of it runs.

    Args:
        model: A folder as diffusers saves it, or an id on the Hugging Face hub; None: the bundled one of the task. Or
            a name: "diffbir", "seesr", or "ldm-sr" for the public LDM-SR's id; a folder of such a name is "./diffbir".
        task: "sr" (LDM-SR's shape, or the x4 upscaler) or "inpaint" (Stable Diffusion inpainting, 9 channels, or the
            shape that `python -m real.train inpainting` trains, 7 channels).
        device: "cpu", "cuda", "cuda:1", "mps", or "auto": the first of cuda, mps and cpu that there is.
        dtype: "float32", "bfloat16" or "float16": of all networks of a pipeline, of LDM-SR's denoiser, of all but the
            autoencoder of DiffBIR and SeeSR; "auto": half precision where the device computes in it, on a CPU for
            models in LDM's shape alone. Steering computes in float32.
        revision: Commit, tag or branch of an id. What was loaded is in the `commit` of the result.
        pickled_weights: Also accept weights in pickle files. A pickle can run code that its author put into it while it
            is read; torch's restricted unpickler refuses most of that. The public LDM-SR has only pickles.
        max_batch: Most rows that go through the denoiser at once; less memory, the same result up to rounding. A
            particle is one row, with guidance two, except for LDM-SR. None: all, 16 for LDM-SR's shape.
        vae_tiling: Encode and decode in tiles, in smaller ones where large photos are in tiles anyway (DiffBIR, SeeSR);
            not for LDM's shape.
        cpu_offload: Keep each network on the device only while it works (pipelines; needs accelerate).
        recipe: Places and settings of "diffbir" or "seesr": `dataclasses.replace(RECIPES["diffbir"], base=FOLDER)`.

    Returns:
        The model, on the device. `bandwidth` is the h that its `kds.json` names, or the paper's 0.3.

    Raises:
        ValueError: An option is not among those.
        UserError: The model cannot be found, loaded or used for the task, or an option does not fit it or this machine.

    Warns:
        UserWarning: If pickles are allowed.
    """
    if task not in ("sr", "inpaint"):
        raise ValueError(f"task: got {task!r}; known: sr, inpaint")
    name = None if model is None else str(model)
    if name is not None and not name.strip():
        raise ValueError(f"model must be a folder, an id on the hub or a name, got {name!r}; None is the bundled one")
    if name is None and revision is not None:
        raise UserError(f"--revision: only ids on the hub have one, got {revision!r} and no --model; leave it out")
    if max_batch is not None and (isinstance(max_batch, bool) or not isinstance(max_batch, int) or max_batch < 1):
        raise ValueError(f"max_batch: got {max_batch!r}; give a whole number of at least 1")
    if recipe is not None and recipe.family != name:
        raise ValueError(f"recipe: it is of {recipe.family}; the model is {name!r}")
    device = pick_device(device)
    latent_dtype = pick_dtype(dtype, device)
    # The autoencoders of pipelines are half precision as well, which costs quality: on a CPU not unasked.
    dtype = "float32" if (dtype, device) == ("auto", "cpu") else latent_dtype
    if name in RECIPES:
        _refuse_for_backbones(str(name), task=task, revision=revision, cpu_offload=cpu_offload)
        return load_backbone(
            recipe or RECIPES[str(name)],
            device=device,
            dtype=dtype,
            pickled_weights=pickled_weights,
            max_batch=max_batch,
            vae_tiling=vae_tiling,
        )
    name = LDM_SR.get(name, name) if name is not None else None
    source = None if name is None else locate(name, revision=revision)
    family = None if source is None else recognise(source, task=task)
    if source is None or family is None or family.latent:
        for option, given in (("--vae-tiling", vae_tiling), ("--cpu-offload", cpu_offload)):
            if given:
                raise UserError(
                    f"{option}: for pipelines only; models in LDM-SR's shape are small and tile by themselves"
                )
        return load_model(
            name,
            task=task,
            device=device,
            dtype=latent_dtype,
            revision=revision,
            pickled_weights=pickled_weights,
            max_batch=max_batch or 16,
        )
    return load_pipeline(
        source,
        family,
        device=device,
        dtype=dtype,
        pickled_weights=pickled_weights,
        max_batch=max_batch,
        vae_tiling=vae_tiling,
        cpu_offload=cpu_offload,
    )


def _refuse_for_backbones(name: str, *, task: str, revision: str | None, cpu_offload: bool) -> None:
    """What a model of several parts cannot be asked for."""
    if task != "sr":
        raise UserError(f"--model: {name} is for `sr`; `inpaint` takes a folder or an id")
    if revision is not None:
        raise UserError(f"--revision: {name} has several parts; give ID@REVISION where an id is given, as in --base")
    if cpu_offload:
        raise UserError("--cpu-offload: for pipelines only; try --max-batch, --dtype float16 or --vae-tiling")


def default_settings(model: Model) -> Settings:
    """The paper's, with the guidance that the model's authors recommend."""
    return Settings(guidance=model.recipe.guidance) if isinstance(model, BackboneModel) else Settings()
