"""Posterior samples of your photos by FFDNet, with and without KDS: `python -m real.priors --photos photos`."""

from __future__ import annotations

import argparse
import math
import shlex
import sys
from collections.abc import Sequence

from tqdm import tqdm

from real.bench.photo_sets import Photo, check_known, digest_of, find_photos
from real.cli.options import folder as folder_named
from real.cli.options import whole
from real.cli.run import run_command, say
from real.errors import UserError, blaming
from real.images.photos import center_crop, load_photo
from real.images.seeds import photo_seed
from real.metrics.lpips_hed import LpipsHed
from real.priors.ffdnet import FFDNet, load_ffdnet
from real.priors.measurements import MEASUREMENTS
from real.priors.report import write_picture, write_report
from real.priors.study import PriorSettings, describe_settings, rows_of
from real.records.journal import Rows, locked

BANDWIDTHS = (0.02, 0.05, 0.1)


def build_parser() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(prog="real.priors", description=__doc__)
    parser.add_argument("--photos", type=folder_named, help="folder of photos; without it only the picture is made")
    parser.add_argument(
        "--output", type=folder_named, default="out-priors", help="folder of the results (default: %(default)s)"
    )
    parser.add_argument("--limit", type=whole, metavar="N", help="only this many photos, the first by name")
    parser.add_argument(
        "--measurements", nargs="+", choices=MEASUREMENTS, default=list(MEASUREMENTS), help="what is known of a photo"
    )
    parser.add_argument("--bandwidths", nargs="+", type=float, default=BANDWIDTHS, metavar="H", help="of KDS")

    for name, text in (
        ("particles", "particles per photo"),
        ("steps", "noise levels"),
        ("crop", "side of the centre crop in pixels"),
        ("seed", "of measurement and particles"),
    ):
        parser.add_argument(f"--{name}", type=int, default=getattr(PriorSettings, name), help=text)

    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = build_parser().parse_args(arguments)
    return run_command(lambda: _run(options, arguments), prog="real.priors", options=vars(options))


def _run(options: argparse.Namespace, arguments: list[str]) -> int:
    for name, least in (("particles", 2), ("steps", 1), ("crop", 16), ("seed", 0)):
        if getattr(options, name) < least:
            raise UserError(f"must be a whole number of at least {least}, got {getattr(options, name)}", argument=name)
    widths = options.bandwidths
    if len(set(widths)) < len(widths) or not all(0.0 < h < math.inf for h in widths):
        shown = ", ".join(f"{h:g}" for h in widths)
        raise UserError(f"must be different positive numbers, got {shown}", argument="bandwidths")
    if options.crop % 4:
        why = f"must be a multiple of 4, the scale of the small version, got {options.crop}"
        raise UserError(why, argument="crop")

    settings = PriorSettings(options.particles, options.steps, crop=options.crop, seed=options.seed)
    folder = options.output
    folder.mkdir(parents=True, exist_ok=True)
    network = load_ffdnet()

    # Without photos there is nothing to measure: one picture, of the photo that scikit-image carries.
    if options.photos is None:
        write_picture(network, folder / "picture.png", settings)
        return 0

    photos = find_photos(options.photos)[: options.limit]
    command = "python -m real.priors " + shlex.join(arguments)
    with locked(folder):
        rows = Rows(folder, {**describe_settings(settings)})
        check_known(photos, rows, folder, lambda photo: digest_of([photo.truth]))
        _measure(photos, network, settings, dict.fromkeys(options.measurements, options.bandwidths), rows)
        names = {photo.name for photo in photos}
        say(write_report([row for row in rows if row["photo"] in names], folder, settings, command))
    return 0


def _measure(
    photos: list[Photo], network: FFDNet, settings: PriorSettings, bandwidths: dict[str, tuple[float, ...]], rows: Rows
) -> None:
    distance = LpipsHed()
    for photo in tqdm(photos, unit="photo"):
        with blaming("photos"):
            whole = load_photo(photo.truth)
        with blaming("crop"):
            pixels = center_crop(whole, side=settings.crop)

        new = rows_of(
            network,
            pixels,
            name=photo.name,
            number=photo_seed(settings.seed, pixels),
            settings=settings,
            bandwidths=bandwidths,
            distance=distance,
            done={row["run"] for row in rows if row["photo"] == photo.name},
        )

        for row in new:
            rows.add({**row, "digest": digest_of([photo.truth])})


if __name__ == "__main__":
    sys.exit(main())
