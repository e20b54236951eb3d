"""From the options of `python -m real bench` to requests: what is missing or does not fit is said here."""

from __future__ import annotations

import argparse
from dataclasses import replace

from real.backbones.hints import HintPlaces
from real.backbones.recipes import Recipe
from real.bench.loading import SMALLEST, check_crop, load
from real.bench.paper import paper_rows
from real.bench.photo_sets import DEGRADATIONS, HOLES, Photo, find_pairs, find_photos
from real.bench.plan import Grid, Study, fill_grid
from real.bench.request import StudyRequest
from real.bench.studies import ORDER, STUDIES
from real.cli.backbones import hint_places_of, recipe_of
from real.errors import UserError, blaming
from real.settings import Settings

__all__ = ["request_of", "requests_of"]

NOISE_PHOTOS = 8


def requests_of(options: argparse.Namespace, command: str) -> list[StudyRequest]:
    """What the options ask for: one study, several, or all of them, each with the values that are given.

    Args:
        options: Options of `python -m real bench`, parsed.
        command: Command line, for the record.

    Raises:
        UserError: An option is missing or does not fit the study or the model; there is no such study.
    """
    names = list(dict.fromkeys(options.study))
    if names != ["all"]:
        asked = [request_of(options, name, command) for name in names or [""]]
        return asked if len(asked) == 1 else [_as_far_as_planned(one) for one in asked]
    if options.pairs is not None or options.degradation is not None:
        name = "pairs" if options.degradation is None else "degradation"
        accepted = "must be left out with all studies, each of which degrades good photos in its way"
        raise UserError(f"{accepted}, got {str(getattr(options, name))!r}; give `photos` alone", argument=name)

    # A model that was named does super-resolution; inpainting has the bundled one.
    names = [name for name in ORDER if options.model is None or STUDIES[name].task == "sr"]
    return [_as_far_as_planned(request_of(options, name, command)) for name in names]


def _as_far_as_planned(request: StudyRequest) -> StudyRequest:
    """No more photos than the study asks for: one that is named alone takes all that there are."""
    planned = request.study.photos
    return replace(request, limit=min(planned, request.limit or planned))


def request_of(options: argparse.Namespace, name: str, command: str) -> StudyRequest:
    """What the options ask of one study, by its name; see `requests_of`."""
    if name not in STUDIES:
        studies = f"must be the name of a study, one of {', '.join(STUDIES)}, or all"
        raise UserError(f"{studies}, got {name!r}; `list=True` shows them", argument="study")

    recipe = recipe_of(options)
    study = _with_paper(STUDIES[name], None if recipe is None else recipe.paper, options.dataset)
    if options.output is None:
        raise UserError("must be given, got None; name a folder, which is made if it is not there", argument="output")
    check_crop(options.crop, least=SMALLEST)

    grid = fill_grid(study, vars(options))
    # A recipe has its authors' guidance; a study that goes through weights keeps its own.
    if recipe is not None and options.guidance is None and grid.guidance == Grid().guidance:
        grid = replace(grid, guidance=(recipe.guidance,))

    names = HOLES if study.task == "inpaint" else DEGRADATIONS
    if unknown := [name for name in grid.degradation if name not in names]:
        accepted = f"must be one of {', '.join(names)} for this study"
        raise UserError(f"{accepted}, got {unknown[0]!r}", argument="degradation")

    if options.photos is None and options.pairs is None:
        raise UserError("must be given, got None; name a folder of photos, or of pairs with `pairs`", argument="photos")
    # The low-resolution photos of pairs are given, so no study can choose how they are made.
    if options.pairs is not None:
        if options.degradation or "degradation" in study.sweeps or study.task == "inpaint":
            accepted = "must be left out with a study or an option that needs photos as they are"
            why = f"{accepted}, got {str(options.pairs)!r}, which are degraded already; give `photos`"
            raise UserError(why, argument="pairs")
        grid = replace(grid, degradation=("pairs",))

    hints = None if recipe is None else hint_places_of(options, recipe)
    _check_cleaned(options, hints)
    return StudyRequest(
        name,
        study,
        grid,
        Settings(strength=options.strength),
        find_pairs(options.pairs) if options.photos is None else find_photos(options.photos),
        crop=options.crop,
        limit=options.limit,
        metrics=tuple(options.metrics),
        command=command,
        noise_photos=_noise_photos(options),
        hints=hints,
        noise_level=options.noise_level,
        **_text(options, recipe),
    )


def _noise_photos(options: argparse.Namespace) -> tuple[Photo, ...]:
    """The first photos on which the fixed noise is picked; those that are judged may not be among them."""
    if options.noise_photos is None:
        return ()
    if options.photos is not None and options.photos.resolve() == options.noise_photos.resolve():
        same = f"{str(options.noise_photos)!r}, and a noise picked on the photos that judge it proves nothing"
        why = f"must be other photos than those of `photos`, got {same}; give others"
        raise UserError(why, argument="noise_photos")
    photos = find_photos(options.noise_photos)[:NOISE_PHOTOS]
    for photo in photos:  # now, not after hours, when the noise is picked
        with blaming("noise_photos"):
            load(photo, crop=options.crop, seed=0)
    return tuple(photos)


def _text(options: argparse.Namespace, recipe: Recipe | None) -> dict[str, str]:
    """Prompts that are given and not empty; those of DiffBIR and SeeSR are in the recipe."""
    given = {name: getattr(options, name) for name in ("prompt", "negative_prompt")}
    return {} if recipe is not None else {name: value for name, value in given.items() if value}


def _with_paper(study: Study, backbone: str | None, dataset: str | None) -> Study:
    """The study, compared with the paper's rows of this backbone and this set, as far as its table has them."""
    wanted = {name: value for name, value in (("backbone", backbone), ("dataset", dataset)) if value is not None}
    paper = {**study.paper, **wanted}
    known = any(all(row.columns[name] == value for name, value in paper.items()) for row in paper_rows())
    if not known and dataset is not None:
        why = f"must be in the paper's table, got {' on '.join(wanted.values())}; leave it out"
        raise UserError(why, argument="dataset")
    return replace(study, paper=paper) if study.paper and known else study


def _check_cleaned(options: argparse.Namespace, hints: HintPlaces | None) -> None:
    """Cleaned photos are of low-resolution photos as they lie on the disk."""
    if hints is not None and hints.cleaned is not None and (options.pairs is None or options.crop is not None):
        accepted = "must be left out except with whole photos of `pairs`, without `crop`"
        why = f"{accepted}, got {hints.cleaned!r}; or give `cleaner`"
        raise UserError(why, argument="cleaned")
