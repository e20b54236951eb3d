"""From command-line options to a recipe and to hints; what does not belong to the model is refused by its name."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from real.backbones.hints import HintPlaces, check_hints
from real.backbones.recipes import RECIPES, Recipe
from real.cli.backbone_options import BACKBONE_OPTIONS
from real.errors import UserError

__all__ = ["hint_places_of", "recipe_of"]

HINTS = ("cleaned", "tags", "image_tokens")
WEIGHTS = ("control", "seesr")  # both are the recipe's weights
TEXTS = ("prompt", "negative_prompt")


def recipe_of(options: argparse.Namespace) -> Recipe | None:
    """The recipe that the options ask for; None if the model is neither DiffBIR nor SeeSR.

    Args:
        options: Options of a command; those of `real.cli.backbone_options.add_backbones` may be missing.

    Raises:
        UserError: An option belongs to another model, or is out of range.
    """
    given = {name: getattr(options, name, None) for name in BACKBONE_OPTIONS}
    given = {name: value for name, value in given.items() if value is not None}
    for name in given:
        if options.model not in BACKBONE_OPTIONS[name]:
            models = " or ".join(f"`model={model}`" for model in BACKBONE_OPTIONS[name])
            raise UserError(f"must be left out except with {models}, got {given[name]!r}", argument=name)

    recipe = RECIPES.get(options.model)
    if recipe is None:
        return None
    changes: dict[str, Any] = {name: value for name, value in given.items() if name not in (*HINTS, *WEIGHTS)}
    if weights := [given[name] for name in WEIGHTS if name in given]:
        changes["weights"] = weights[0]
    if changes.get("tile") == 0:
        changes["tile"] = None
    for name in (*TEXTS, "colour_fix"):
        if getattr(options, name, None) is not None:
            changes[name] = getattr(options, name)
    return replace(recipe, **changes)


def hint_places_of(options: argparse.Namespace, recipe: Recipe) -> HintPlaces:
    """Places of the hints, as the options name them.

    Raises:
        UserError: One is missing or belongs to the other model.
    """
    places = HintPlaces(cleaned=options.cleaned, tags=options.tags, image_tokens=options.image_tokens)
    check_hints(recipe.family, recipe.cleaner, places)
    return places
