"""Peak memory of a piece of work: of the GPU's allocator, or of the whole process under Linux."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType

import torch

__all__ = ["PeakMemory", "clock"]

_CLEAR, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


def clock(device: torch.device) -> float:
    """Seconds on a clock, once the device is idle."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


class PeakMemory:
    """Context manager; afterwards `gigabytes` is the peak (10^9 bytes), or None where it cannot be measured.

    On "cuda" what torch's allocator held at most. On the CPU of a Linux machine the largest resident set of the process
    while the block ran, the libraries (some hundred megabytes) and what ran before and was not given back included: an
    upper bound. Elsewhere None.

    Args:
        device: Device on which the work runs.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.gigabytes: float | None = None
        self._works = device.type == "cuda"

    def __enter__(self) -> PeakMemory:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        elif self.device.type == "cpu":
            try:
                _CLEAR.write_text("5", encoding="ascii")  # sets the peak back to what is resident now
                self._works = True
            except OSError:
                self._works = False
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._works:
            return
        if self.device.type == "cuda":
            self.gigabytes = torch.cuda.max_memory_allocated(self.device) / 1e9
        else:
            self.gigabytes = _largest_resident_set()


def _largest_resident_set() -> float | None:
    lines = dict(line.split(":", 1) for line in _STATUS.read_text(encoding="utf-8").splitlines() if ":" in line)
    return 1024 * int(lines["VmHWM"].split()[0]) / 1e9 if "VmHWM" in lines else None
