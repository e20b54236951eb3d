"""One photo, several processes: what `torchrun --nproc-per-node R -m real sr ...` sets up and takes down.

`launched` joins the processes and makes an error of any of them one message and the end of all. `ranks` is what they do
together in between.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
from torch import distributed
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from real.errors import UserError
from real.parallel.environment import ReportedElsewhereError, launched_rank, launched_size, refuse
from real.parallel.ranks import RankError, Ranks

__all__ = ["device_of_process", "launched", "launcher"]


@contextmanager
def launched(*, device: str, timeout: int) -> Iterator[Ranks | None]:
    """The processes that torchrun started, joined for the body of a `with`; None if it started none or one.

    Args:
        device: "cuda", "cpu", "mps" or "auto"; says how tensors travel, by NCCL (CUDA) or Gloo.
        timeout: Seconds after which a process that does not answer is an error.

    Raises:
        UserError: On the first process that meets an error which a user can cause, or that another process is gone.
        ReportedElsewhereError: On the others.
    """
    size, rank = launched_size(), launched_rank()
    if size == 1:
        yield None
        return

    store = _join(device, timeout)
    try:
        yield Ranks()
    except Exception as error:
        if not _first_to_report(store):
            time.sleep(1.0)  # torchrun ends all as soon as one has ended: let the first write its message
            raise ReportedElsewhereError(str(error)) from error
        if isinstance(error, RankError):
            raise UserError(f"rank {rank} of {size}: {error}; `rank_timeout` is {timeout} s") from error
        if isinstance(error, UserError):
            raise UserError(f"{error.message} (rank {rank} of {size})", argument=error.argument) from error
        raise
    # Not after an error: the others may be gone, and the end of this process closes its connections too.
    distributed.destroy_process_group()


def _join(device: str, timeout: int) -> Any:
    """Set up the default group; return the store that the processes have in common."""
    missing = [name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
    if missing or not distributed.is_available():
        why = f"{', '.join(missing)} is not set" if missing else "torch was built without torch.distributed"
        raise UserError(f"WORLD_SIZE is {launched_size()} in the environment but {why}; start with torchrun")

    cuda = device_of_process(device).startswith("cuda")
    wait = timedelta(seconds=timeout)
    try:
        store, rank, size = next(rendezvous("env://", timeout=wait))
        store.set_timeout(wait)
        # Small values always go by Gloo, which notices at once that a process is gone.
        backend = "cpu:gloo,cuda:nccl" if cuda else "gloo"
        distributed.init_process_group(
            backend, store=PrefixStore("kds", store), rank=rank, world_size=size, timeout=wait
        )
    except (RuntimeError, ValueError) as error:
        reason = str(error).split("\n")[0][:160]
        raise UserError(f"the {launched_size()} processes did not come together in {timeout} s ({reason})") from error
    return store


def device_of_process(device: str) -> str:
    """The device of this process: with CUDA the one of its number on this machine.

    Raises:
        UserError: If there are fewer devices than processes, or device names one of them.
    """
    if ":" in device:
        why = f"must be a kind of device, got {device!r}, one for all processes; give cuda: each takes one of its own"
        refuse(why, argument="device")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device != "cuda":
        return device
    number, count = int(os.environ.get("LOCAL_RANK", launched_rank())), torch.cuda.device_count()
    if number >= count:
        why = f"must have a CUDA device for each process, got {count} for process {number} (from 0); start fewer"
        raise UserError(why, argument="device")
    torch.cuda.set_device(number)
    return f"cuda:{number}"


def launcher() -> str:
    """How this command was started, up to the module's name; for result files."""
    if launched_size() == 1:
        return "python -m"
    here = os.environ.get("LOCAL_WORLD_SIZE", str(launched_size()))
    machines = launched_size() // int(here)
    nodes = "" if machines == 1 else f"--nnodes {machines} "
    return f"torchrun {nodes}--nproc-per-node {here} -m"


def _first_to_report(store: Any) -> bool:
    """Whether no other process has met an error before; also where the store is gone with its process."""
    try:
        return bool(store.add("kds/errors", 1) == 1)
    except RuntimeError:
        return True
