"""A page in the browser to play with KDS on your own photo: `python -m real app`."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import threading
from collections.abc import Callable, Sequence

import torch

from real.api import open_model
from real.app.runs import check_model
from real.cli.options import given, threads
from real.cli.run import run_command, say
from real.errors import UserError
from real.models.base import Model

__all__ = ["main"]

INSTALL = 'pip install "kds-ref[real,app]"'


def build_parser() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(prog="real.app", description=__doc__)
    parser.add_argument(
        "--host", type=given, default="127.0.0.1", help="address to listen on (default: this machine alone)"
    )
    parser.add_argument("--port", type=int, help="port (default: the first free one from 7860)")
    parser.add_argument("--model", type=given, metavar="FOLDER_OR_HUB_ID", help="for photos four times as large")
    parser.add_argument("--inpainting-model", type=given, metavar="FOLDER_OR_HUB_ID", help="for holes")
    parser.add_argument("--device", type=given, default="auto", help="cpu, cuda, mps or auto (default)")
    parser.add_argument(
        "--dtype", choices=("auto", "float32", "bfloat16", "float16"), default="auto", help="as for sr (default auto)"
    )
    parser.add_argument("--threads", type=threads, help="CPU threads (default: torch's choice)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = build_parser().parse_args(list(sys.argv[1:] if argv is None else argv))
    return run_command(lambda: _run(options), prog="real.app", options=vars(options))


def _run(options: argparse.Namespace) -> int:
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # before it is imported
    if importlib.util.find_spec("gradio") is None:
        raise UserError(f"gradio is not installed: {INSTALL}")
    from real.app.server import serve

    if options.threads:
        torch.set_num_threads(options.threads)
    places = {"sr": options.model, "inpaint": options.inpainting_model}
    open_for = opener(places, device=options.device, dtype=options.dtype)
    for task in places:  # what is wrong with a model is said now, and not on the page
        open_for(task)
    try:
        page = serve(open_for, host=options.host, port=options.port)
        say(f"The page is at {page.local_url} until you press Ctrl-C.")
        page.block_thread()
    except OSError as error:
        got = "none from 7860 on" if options.port is None else options.port
        raise UserError(f"must be a free port, got {got} ({error}); give another", argument="port") from error
    return 0


def opener(places: dict[str, str | None], *, device: str, dtype: str) -> Callable[[str], Model]:
    """Task -> its model, which is opened once."""
    opened: dict[str, Model] = {}
    lock = threading.Lock()

    def open_for(task: str) -> Model:
        with lock:
            if task not in opened:
                model = open_model(places[task], task=task, device=device, dtype=dtype)
                check_model(model)
                opened[task] = model
            return opened[task]

    return open_for


if __name__ == "__main__":
    sys.exit(main())
