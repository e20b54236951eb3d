"""Two processes of which the second goes wrong: `dies RANK STORE` started twice, `stalls` or `fails` by torchrun."""

import os
import sys
import time
from datetime import timedelta

import torch
from torch import distributed

from real.cli.run import leave, run_command
from real.errors import UserError
from real.parallel.launch import launched
from real.parallel.ranks import Ranks


def steps(ranks: Ranks, go_wrong: str) -> None:
    """A few exchanges; before the third the second process does what it is told."""
    for step in range(5):
        if step == 2 and ranks.rank == 1:
            if go_wrong == "dies":
                os._exit(7)
            if go_wrong == "stalls":
                time.sleep(600)
            if go_wrong == "fails":
                raise UserError("it cannot be read", argument="image")
        ranks.gather("x0_pred", torch.zeros(2, 3), 0)


def by_torchrun(go_wrong: str) -> int:
    with launched(device="cpu", timeout=10 if go_wrong == "stalls" else 60) as ranks:
        assert ranks is not None
        steps(ranks, go_wrong)
    return 0


def by_store(rank: int, store: str, go_wrong: str) -> int:
    wait = timedelta(seconds=60)
    distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2, timeout=wait)
    started = time.monotonic()
    try:
        steps(Ranks(), go_wrong)
    except RuntimeError as error:
        print(f"{type(error).__name__} after {time.monotonic() - started:.0f} s: {error}", flush=True)
        os._exit(3)  # Gloo may abort where it takes down a connection whose other end is gone
    return 0


if __name__ == "__main__":
    what = sys.argv[1]
    if len(sys.argv) > 2:
        sys.exit(by_store(int(sys.argv[2]), sys.argv[3], what))
    leave(run_command(lambda: by_torchrun(what), prog="kds-restore"))
