"""Measure time and memory of DiffBIR and SeeSR: `python -m real.backbones --help`."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from typing import Any

from real.cli.options import folder, given, whole
from real.cli.run import run_command, say
from real.errors import UserError

__all__ = ["main"]

DESCRIPTION = """\
Measure seconds and memory of DiffBIR or SeeSR at full size, with and without Kernel Density Steering: the columns of
the paper's Table 4. Weights are random, so nothing is downloaded; the pictures are noise. Written to the output folder:

  cost.json    a row for each number of particles, plain and steered; the device, versions, the command, the paper's
               numbers

On a GPU memory is what torch's allocator held at most, without the driver's context.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = _parser().parse_args(arguments)
    return run_command(lambda: _run(options, arguments), prog="real.backbones", options=vars(options))


def _run(options: argparse.Namespace, arguments: list[str]) -> int:
    import torch

    from real.bench.cost import measure_cost, random_model
    from real.bench.paper import paper_rows
    from real.cli.common import StepBar, make_output
    from real.images.files import write_json
    from real.models.devices import pick_device
    from real.records.provenance import describe
    from real.settings import Settings

    # Eight pixels per latent pixel, and UNets that halve the latents three times; group norm has 32 groups.
    if options.side % 64:
        raise UserError(f"must be a multiple of 64 pixels, got {options.side}", argument="side")
    if options.channels % 32:
        raise UserError(f"must be a multiple of 32, got {options.channels}", argument="channels")

    folder, device = make_output(options.output), pick_device(options.device)
    model = random_model(
        options.model,
        device=device,
        dtype=options.dtype,
        channels=options.channels,
        side=options.side,
        max_batch=options.max_batch,
    )

    guidance = model.recipe.guidance if options.guidance is None else options.guidance
    settings = Settings(steps=options.steps, guidance=guidance)
    with StepBar(2 * options.steps * len(options.particles)) as bar:
        rows = measure_cost(model, settings, options.particles, progress=bar)

    record: dict[str, Any] = describe(settings, model, f"python -m real.backbones {shlex.join(arguments)}")
    record["weights"] = "random"  # the cost does not depend on them
    record["parameters"] = {n: sum(p.numel() for p in getattr(model, n).parameters()) for n in ("unet", "controlnet")}
    record["device_name"] = torch.cuda.get_device_name(device) if device.startswith("cuda") else device
    record["latents"] = [options.side // 8, options.side // 8]
    record["rows"] = rows
    record["paper"] = [{**r.columns, "values": dict(r.values)} for r in paper_rows() if r.columns["table"] == "4"]
    write_json(folder / "cost.json", record)

    for row in rows:
        peak = "" if row["peak_gb"] is None else f"  {row['peak_gb']:.2f} GB"
        say(f"N = {row['particles']:3}  {row['kind']:5}  {row['total_seconds']:8.2f} s{peak}")
    say(f"{folder / 'cost.json'} written")
    return 0


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="real.backbones", description=DESCRIPTION, formatter_class=raw)
    parser.add_argument("--model", choices=("diffbir", "seesr"), default="diffbir", help="default diffbir, as Table 4")
    parser.add_argument("--output", required=True, type=folder, metavar="FOLDER", help="made if it is not there")

    parser.add_argument("--particles", type=whole, nargs="+", default=[1, 5, 10], metavar="N", help="default 1 5 10")
    parser.add_argument("--steps", type=whole, default=50, metavar="S", help="default 50")
    parser.add_argument("--guidance", type=float, metavar="W", help="1: none (default: the authors', 4 and 5.5)")

    parser.add_argument(
        "--dtype", choices=("float16", "bfloat16", "float32"), default="float16", help="default float16"
    )
    parser.add_argument("--device", type=given, default="auto", help="cpu, cuda, mps or auto (default)")
    parser.add_argument("--side", type=whole, default=512, metavar="PX", help="of the result (512: latents of 64 x 64)")
    parser.add_argument("--channels", type=whole, default=320, metavar="C", help="of the first level (320: full size)")
    parser.add_argument("--max-batch", type=whole, metavar="M", help="most rows through the networks at once")
    return parser


if __name__ == "__main__":
    sys.exit(main())
