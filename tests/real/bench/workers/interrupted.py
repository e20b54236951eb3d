"""Studies that are interrupted at random moments: `interrupted.py MODEL PHOTOS FOLDER COUNT`, prints JSON.

Everything is imported once; each attempt is a fork of this process.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import torch

from real.__main__ import main
from real.bench import plots  # noqa: F401
from real.cli import evaluation  # noqa: F401  what the command imports late

ROUNDS = 6
STUDIES = ("fig4", "table8", "table12", "fig6", "table6")
QUICK = ["--crop", "64", "--steps", "6", "--particles", "3", "--bandwidth", "2", "--device", "cpu"]


def start(study: str, model: str, photos: str, folder: Path) -> int:
    """The process that runs a study."""
    process = os.fork()
    if process:
        return process
    status = 1
    try:
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        status = main(["bench", study, "--model", model, "--photos", photos, "--output", str(folder), *QUICK])
    except KeyboardInterrupt:  # before the command was there to handle it
        status = 130
    finally:
        os._exit(status)


def finish(process: int) -> int:
    """Wait for it: its exit status, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def interrupt(process: int, seconds: float, number: int) -> int:
    """Send the signal after some time; as `finish`."""
    time.sleep(seconds)
    os.kill(process, number)
    return finish(process)


def run(model: str, photos: str, folder: Path, count: int) -> dict[str, object]:
    """Interrupt `count` times, then let every study that was begun come to its end.

    A study that ends before its interruption makes room for the next one, with less time: the first ones are slow.
    """
    rng, ends, begun, share = np.random.default_rng(0), [], [], 0.9
    seconds: dict[str, float] = {}  # of whole studies
    for number in range(ROUNDS * len(STUDIES)):
        study = STUDIES[number % len(STUDIES)]
        if study not in seconds:
            started = time.monotonic()
            assert finish(start(study, model, photos, folder / f"{study}-whole")) == 0
            seconds[study] = time.monotonic() - started
        broken = folder / f"{study}-{number}"
        begun.append((study, broken.name))
        while len(ends) < count:
            how = (signal.SIGINT, signal.SIGKILL)[int(rng.integers(2))]
            end = interrupt(start(study, model, photos, broken), float(rng.uniform(0, share * seconds[study])), how)
            if end == 0:
                share *= 0.8
                break
            ends.append(end)
        assert finish(start(study, model, photos, broken)) == 0
        if len(ends) == count:
            break
    return {"ends": ends, "studies": begun}


if __name__ == "__main__":
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job would ignore it
    print(json.dumps(run(sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))))
