"""Tensors and small values between the processes of a torch.distributed group, checked before they are sent.

Every exchange is preceded by a short header of fixed size. Processes that are at different places of the program, or
hold batches of different shapes, thus get an error and do not wait for each other. `ranks` is built on it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import torch
from torch import distributed

from kds_ref import Kernel

__all__ = ["RankError", "broadcast", "check_ready", "collect", "fingerprint", "gather", "text_of"]

STAGES = ("settings", "condition", "x0_pred", "early choice", "latents")  # what can be exchanged
_MOST_AXES = 8
_LONGEST = 60  # characters of a value in a message


class RankError(RuntimeError):
    """A process of the group ended, did not answer in time, or is at another place of the program."""


def collect(group: Any, value: Any) -> list[Any]:
    """Any picklable value of every process, in the order of ranks."""
    _meet(group, "settings")
    everyone: list[Any] = [None] * distributed.get_world_size(group)
    _call(group, distributed.all_gather_object, everyone, value)
    return everyone


def broadcast(group: Any, stage: str, x: torch.Tensor) -> torch.Tensor:
    """The tensor of rank 0; that of this process says shape, dtype and device."""
    _meet(group, stage, x)
    sent = x.detach().to(_carrier(group, x)).clone(memory_format=torch.contiguous_format)
    _call(group, distributed.broadcast, sent, 0 if group is None else distributed.get_global_rank(group, 0))
    return sent.to(x.device)


def gather(group: Any, stage: str, x: torch.Tensor, axis: int) -> torch.Tensor:
    """The tensors of all ranks, joined along an axis; gradients do not pass."""
    _meet(group, stage, x)
    sent = x.detach().to(_carrier(group, x)).contiguous()
    parts = [torch.empty_like(sent) for _ in range(distributed.get_world_size(group))]
    _call(group, distributed.all_gather, parts, sent)
    return torch.cat(parts, dim=axis).to(x.device)


def check_ready() -> None:
    """RuntimeError if there is no process group yet."""
    if not distributed.is_available() or not distributed.is_initialized():
        raise RuntimeError("there is no process group; call torch.distributed.init_process_group first")


def _meet(group: Any, stage: str, x: torch.Tensor | None = None) -> None:
    """RankError on all processes unless all exchange the same kind of thing, of the same shape and dtype."""
    check_ready()
    shape = () if x is None else tuple(x.shape)
    if len(shape) > _MOST_AXES:
        raise ValueError(f"{stage} must have at most {_MOST_AXES} axes to be exchanged, got shape {shape}")

    # Fixed in length, so that processes which disagree can still exchange it, and learn that they do.
    kind = hashlib.blake2b(b"" if x is None else str(x.dtype).encode(), digest_size=4).digest()
    padding = [0] * (_MOST_AXES - len(shape))
    header = [STAGES.index(stage), int.from_bytes(kind, "big"), len(shape), *shape, *padding]
    own = torch.tensor(header, dtype=torch.int64, device="cpu")
    own = own.to(_carrier(group, own))

    everyone = [torch.empty_like(own) for _ in range(distributed.get_world_size(group))]
    _call(group, distributed.all_gather, everyone, own)
    headers = [header.tolist() for header in everyone]

    for rank, header in enumerate(headers):
        if header != headers[0]:
            raise RankError(
                f"rank 0 exchanges {_described(headers[0])} while rank {rank} exchanges {_described(header)}; all "
                "processes must make the same steps with batches of the same shape and dtype"
            )


def _described(header: list[int]) -> str:
    stage, _, axes, *shape = header
    return STAGES[stage] + (f" of shape {tuple(shape[:axes])}" if axes else "")


def _carrier(group: Any, x: torch.Tensor) -> torch.device:
    """Where tensors are exchanged: NCCL needs devices, Gloo the processor's memory."""
    backends = distributed.get_backend_config(group)
    if "cpu:" not in backends:
        return x.device if x.is_cuda else torch.device("cuda", torch.cuda.current_device())
    return x.device if x.is_cuda and "cuda:nccl" in backends else torch.device("cpu")


def _call(group: Any, collective: Callable[..., Any], *arguments: Any) -> None:
    try:
        collective(*arguments, group=group)
    except RuntimeError as error:
        reason = str(error).split("\n")[0][:160]
        raise RankError(f"a process of the group ended or did not answer within the timeout ({reason})") from error


def fingerprint(x: torch.Tensor) -> str:
    """A short text that differs between tensors that differ in any bit."""
    raw = x.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
    return hashlib.blake2b(raw, digest_size=8).hexdigest()


def text_of(value: object) -> str:
    """A value for comparison and for a message: short, and the same on all machines."""
    if isinstance(value, torch.Tensor):
        return f"{value.dtype} {tuple(value.shape)} #{fingerprint(value)}"
    if isinstance(value, Kernel):
        return value.name  # its functions print as addresses
    text = str(value)
    if len(text) <= _LONGEST:
        return text
    return f"{text[:_LONGEST]}... #{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}"
