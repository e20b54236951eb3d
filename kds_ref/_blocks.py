"""Block sizes for looping over pairs of points: the one place that asks on which device arrays are."""

from __future__ import annotations

from kds_ref._arrays import Array, Namespace, on_accelerator

# On an accelerator it is the number of operations that costs: blocks are bounded by memory alone. Two or three tensors
# of this many bytes are in use at a time.
_ACCELERATOR_BYTES = 2**28


def most_elements(x: Array, on_cpu: int, xp: Namespace) -> int:
    """Largest number of elements like those of x in a block: by the cache on a CPU, by the memory elsewhere."""
    return _ACCELERATOR_BYTES * 8 // int(xp.finfo(x.dtype).bits) if on_accelerator(x) else on_cpu
