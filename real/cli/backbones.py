"""From command-line options to a recipe and to hints; what does not belong to the model is refused by its name."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from real.backbones.hints import HintPlaces, check_hints
from real.backbones.problem import scheduler_for
from real.backbones.recipes import RECIPES, Recipe
from real.cli.options import BACKBONE_OPTIONS
from real.errors import UserError
from real.settings import Settings

__all__ = ["hint_places_of", "recipe_of", "run_record", "summary"]

HINTS = ("cleaned", "tags", "image_tokens")
WEIGHTS = ("control", "seesr")  # both are the recipe's weights
TEXTS = ("prompt", "negative_prompt")


def recipe_of(options: argparse.Namespace) -> Recipe | None:
    """The recipe that the options ask for; None if the model is none of DiffBIR and SeeSR.

    Args:
        options: Of a command; those of `real.cli.options.add_backbones` may be missing.

    Raises:
        UserError: An option belongs to another model.
        ValueError: An option is out of range.
    """
    given = {name: getattr(options, name, None) for name in BACKBONE_OPTIONS}
    given = {name: value for name, value in given.items() if value is not None}
    for name in given:
        if options.model not in BACKBONE_OPTIONS[name]:
            option = f"--{name.replace('_', '-')}"
            raise UserError(f"{option}: it belongs to --model {' or '.join(BACKBONE_OPTIONS[name])}; leave it out")
    recipe = RECIPES.get(options.model)
    if recipe is None:
        return None
    changes: dict[str, Any] = {name: value for name, value in given.items() if name not in (*HINTS, *WEIGHTS)}
    if weights := [given[name] for name in WEIGHTS if name in given]:
        changes["weights"] = weights[0]
    if changes.get("tile") == 0:
        changes["tile"] = None
    changes |= {name: getattr(options, name) for name in TEXTS if getattr(options, name, None) is not None}
    return replace(recipe, **changes)


def hint_places_of(options: argparse.Namespace, recipe: Recipe) -> HintPlaces:
    """Where the options say that hints are.

    Raises:
        UserError: One is missing or belongs to the other model.
    """
    places = HintPlaces(cleaned=options.cleaned, tags=options.tags, image_tokens=options.image_tokens)
    check_hints(recipe.family, recipe.cleaner, places)
    return places


def run_record(problem: Any, settings: Settings, places: HintPlaces | None) -> dict[str, Any]:
    """What a result file says of a run beside its model: the texts, the timesteps, where the last step ends, hints."""
    scheduler = scheduler_for(problem.model, settings, settings.particles)
    ends = float(scheduler.final_alpha_cumprod) if hasattr(scheduler, "final_alpha_cumprod") else 1.0
    return {
        **problem.describe(),
        "timesteps": [int(t) for t in scheduler.timesteps],
        "last_alpha_bar": round(ends, 6),
        "hints": {} if places is None else places.describe(),
    }


def summary(problem: Any, record: dict[str, Any], settings: Settings) -> str:
    """One line for the terminal."""
    recipe, steps = problem.model.recipe, record["timesteps"]
    return (
        f"{recipe.family}: start {recipe.start}, {len(steps)} timesteps from {steps[0]} to {steps[-1]} "
        f"({recipe.time_grid} grid), last alpha_bar {record['last_alpha_bar']:g}, guidance {settings.guidance:g}, "
        f"colours {recipe.colours}"
    )
