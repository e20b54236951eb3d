"""All families of models in one table, and one call that loads any model: bundled, a folder, an id, or a name.

A family's entry says how its models are recognised and loaded, which class restores photos with them, and which options
that class takes. DiffBIR and SeeSR, which are no folders of diffusers, are known by name; `real.backbones.recipes` says
what the names stand for.
"""

from __future__ import annotations

from dataclasses import replace
from os import PathLike

from real.backbones.model import load_backbone
from real.backbones.recipes import RECIPES, Recipe
from real.backbones.restorer import DIFFBIR, SEESR
from real.errors import UserError
from real.models.base import LoadOptions, Model
from real.models.devices import pick_device, pick_dtype
from real.models.families import recognise
from real.models.hub import Source, locate
from real.models.latent import BUNDLED
from real.restorers.inpainting import LDM_INPAINT, SD_INPAINT
from real.restorers.latent import LDM_SR
from real.restorers.upscaling import X4_UPSCALER
from real.settings import Settings

__all__ = ["FAMILIES", "NAMES", "default_settings", "open_model"]

FAMILIES = {family.name: family for family in (LDM_SR, X4_UPSCALER, SD_INPAINT, LDM_INPAINT, DIFFBIR, SEESR)}
NAMES = {"ldm-sr": "CompVis/ldm-super-resolution-4x-openimages"}  # names of ids
TASKS = ("sr", "inpaint")  # the model that the package carries has a denoiser for each


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
        pickled_weights: Whether weights in pickle files are accepted, too. A pickle can run code that its author put
            into it while it is read; torch's restricted unpickler refuses most of that. The public LDM-SR has only
            pickles.
        max_batch: Most rows that go through the denoiser at once; less memory, the same result up to rounding. A
            particle is one row, with guidance two, except for LDM-SR. None: all, 16 for LDM-SR's shape.
        vae_tiling: Whether to encode and decode in tiles, in smaller ones where large photos are in tiles anyway
            (DiffBIR, SeeSR); not for LDM's shape.
        cpu_offload: Whether each network is on the device only while it works (pipelines; needs accelerate).
        recipe: Places and settings of "diffbir" or "seesr": `dataclasses.replace(RECIPES["diffbir"], base=FOLDER)`.

    Returns:
        The model, on the device. `bandwidth` is the h that its `kds.json` names, or the paper's 0.3.

    Raises:
        UserError: The model cannot be found, loaded or used for the task, or an option does not fit it or this machine.

    Warns:
        UserWarning: If pickles are allowed.
    """
    if task not in TASKS:
        raise UserError(f"must be one of {', '.join(TASKS)}, got {task!r}", argument="task")
    if model is not None and not str(model).strip():
        raise UserError(f"must be a folder, an id or a name, got {model!r}; None is the bundled one", argument="model")
    if model is None and revision is not None:
        why = f"must be left out except with an id on the hub as `model`, got {revision!r}"
        raise UserError(why, argument="revision")
    if max_batch is not None and (isinstance(max_batch, bool) or not isinstance(max_batch, int) or max_batch < 1):
        raise UserError(f"must be a whole number of at least 1, got {max_batch!r}", argument="max_batch")
    name = None if model is None else str(model)
    if recipe is not None and recipe.family != name:
        raise UserError(f"must be of the model, {name!r}, got one of {recipe.family!r}", argument="recipe")

    # The autoencoders of pipelines are half precision as well, which costs quality: on a CPU only if asked for.
    device = pick_device(device)
    latent_dtype = pick_dtype(dtype, device)
    whole_dtype = "float32" if (dtype, device) == ("auto", "cpu") else latent_dtype
    options = LoadOptions(
        device=device,
        dtype=whole_dtype,
        pickled_weights=pickled_weights,
        max_batch=max_batch,
        vae_tiling=vae_tiling,
        cpu_offload=cpu_offload,
    )

    if name in RECIPES:
        _check_for_recipe(name, task=task, revision=revision)
        return load_backbone(recipe or RECIPES[name], options)

    source = locate(NAMES.get(name, name), revision=revision) if name else Source(str(BUNDLED), is_folder=True)
    family = recognise(source, tuple(FAMILIES.values()), task=task)
    assert family.load is not None  # of all families that are recognised
    loaded = family.load(source, family, replace(options, dtype=latent_dtype) if family.latent else options)
    return loaded if name else replace(loaded, name="bundled")


def _check_for_recipe(name: str, *, task: str, revision: str | None) -> None:
    """Refuse what a model of several parts cannot be asked for."""
    if task != FAMILIES[name].task:
        why = f"must be a folder or an id for {task!r}, got {name!r}, which is for {FAMILIES[name].task!r}"
        raise UserError(why, argument="model")
    if revision is not None:
        accepted = f"must be left out with {name}, which has several parts"
        why = f"{accepted}, got {revision!r}; give ID@REVISION where an id is given, as for `base`"
        raise UserError(why, argument="revision")


def default_settings(model: Model) -> Settings:
    """The paper's, with the guidance that the model's authors recommend."""
    return Settings(guidance=model.recommended_guidance)
