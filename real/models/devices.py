"""Where networks run."""

from __future__ import annotations

import torch

from real.errors import UserError

__all__ = ["pick_device"]


def pick_device(name: str = "auto") -> str:
    """The device of a name, if it can be used here.

    Args:
        name: "cpu", "cuda", "cuda:1", "mps", or "auto": the first of cuda, mps and cpu that this machine has.

    Raises:
        UserError: This machine or this build of torch has no such device.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError) as error:
        text = str(error).split("\n")[0][:120]
        raise UserError(f"--device: {name!r} cannot be used here ({text}); give cpu, cuda, mps or auto") from error
    return name
