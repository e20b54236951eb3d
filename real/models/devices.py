"""Where networks run, and in which precision."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from real.errors import UserError

__all__ = ["DTYPES", "pick_device", "pick_dtype", "usual_defaults"]

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@contextlib.contextmanager
def usual_defaults() -> Iterator[None]:
    """Context manager: torch's own default dtype and device, whichever the user has set, for libraries that go by them.

    What is made here names both instead.
    """
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        with torch.device("cpu"):
            yield
    finally:
        torch.set_default_dtype(before)


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
        torch.zeros(1, dtype=torch.float32, device=name).cpu()  # "meta" holds no numbers
    except (RuntimeError, AssertionError) as error:
        text = str(error).split("\n")[0][:120]
        raise UserError(
            f"must be a device that works here, got {name!r} ({text}); give cpu, cuda, mps or auto", argument="device"
        ) from error
    return name


def pick_dtype(name: str, device: str) -> str:
    """The precision of a name: "auto" is half precision where the device computes in it, "float32" elsewhere.

    Args:
        name: "auto", "float32", "bfloat16" or "float16".
        device: Device on which the networks are to run, as `pick_device` returns it.

    Returns:
        "bfloat16" on a CPU with instructions for it, on CUDA "bfloat16" or on older cards "float16", else "float32";
        any other name as it is.

    Raises:
        UserError: There is no such precision.
    """
    if name != "auto":
        if name not in DTYPES:
            raise UserError(f"must be one of auto, {', '.join(DTYPES)}, got {name!r}", argument="dtype")
        return name
    if device.startswith("cuda"):
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"
    return "bfloat16" if device == "cpu" and _cpu_has_bfloat16() else "float32"


def _cpu_has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 itself: emulated, it is slower than float32."""
    capabilities = getattr(torch.cpu, "get_capabilities", None)  # since torch 2.11
    if capabilities is None:
        return bool(getattr(torch.cpu, "_is_avx512_bf16_supported", bool)())
    found = capabilities()
    return any(found.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))
