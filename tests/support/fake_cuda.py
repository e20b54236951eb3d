"""CUDA tensors without a GPU: they say that they are on "cuda", meet no tensor of the CPU, and count what is run.

A `FakeCuda` is a context. Inside it `torch.ones(3, device="cuda")` and `x.to("cuda")` give tensors whose `device` is
"cuda:0". Their values lie in the memory of the CPU, so that loops end where they should and results can be compared; or
nowhere (torch's "meta" device), so that networks of any size cost nothing. torch's own FakeTensorMode is not used: it
knows no values, and a CPU build of torch refuses to index its CUDA tensors.

What is counted is what a GPU would be asked to do. An operation below autograd that is no view is one launch. That is a
proxy: a CUDA build splits some operations (a sort, a sum over few long rows) and fuses hardly any.
"""

from __future__ import annotations

import collections
import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves, tree_map

__all__ = ["Counts", "CudaTensor", "FakeCuda"]

CUDA = torch.device("cuda", 0)
VIEWS = {  # nothing is launched for these: strides change, or memory is taken and not written
    *("alias", "as_strided", "detach", "diagonal", "expand", "lift_fresh", "permute", "select", "slice", "split"),
    *("split_with_sizes", "squeeze", "t", "transpose", "unbind", "unfold", "unsqueeze", "view", "_reshape_alias"),
    *("_unsafe_view", "unsafe_split", "unsafe_chunk", "empty", "empty_like", "empty_strided", "new_empty"),
    *("new_empty_strided", "_local_scalar_dense", "_fused_sdp_choice", "is_same_size"),
}
READS = {"_local_scalar_dense", "nonzero", "masked_select", "_unique2", "unique_dim", "unique_consecutive", "equal"}
NOT_ON_CUDA = {"numpy", "__array__", "__dlpack__"}  # errors there, too
ROOT = Path(__file__).parents[2]
OURS = tuple(str(ROOT / name) + "/" for name in ("kds_ref", "real"))
DIFFUSERS = "/diffusers/"


class CudaTensor(torch.Tensor):
    """A tensor that lies on a GPU as far as Python can see; made by a `FakeCuda`."""

    device = property(lambda self: CUDA)
    is_cuda = property(lambda self: True)
    is_cpu = property(lambda self: False)
    is_meta = property(lambda self: False)

    def get_device(self) -> int:
        return 0

    def __repr__(self, **_: Any) -> str:
        return f"CudaTensor({tuple(self.shape)}, {self.dtype})"


@dataclass
class Counts:
    """What a piece of code asks of the GPU, by operation and, but for launches, the line that does it.

    Attributes:
        launches: Operations that are no views.
        bytes: Read and written by them.
        waits: Where the program waits for the GPU: a value is read, or a tensor is copied to the CPU.
        uploads: Copies of tensors of the CPU to the GPU.
        float64: Operations on float64 tensors of the GPU, which not every device has.
    """

    launches: collections.Counter[str] = field(default_factory=collections.Counter)
    bytes: int = 0
    waits: collections.Counter[str] = field(default_factory=collections.Counter)
    uploads: collections.Counter[str] = field(default_factory=collections.Counter)
    float64: collections.Counter[str] = field(default_factory=collections.Counter)

    @property
    def clean(self) -> bool:
        """Whether the program neither waits, nor sends tensors, nor needs float64."""
        return not (self.waits or self.uploads or self.float64)


class FakeCuda:
    """Context in which "cuda" is a device.

    Attributes:
        counts: What was asked of it since the context was entered; see `count` for a part.
    """

    def __init__(self) -> None:
        self.counts = Counts()
        self._modes = contextlib.ExitStack()

    def __enter__(self) -> FakeCuda:
        self._modes.enter_context(_Operations(self))
        self._modes.enter_context(_Functions(self))
        return self

    def __exit__(self, *error: object) -> None:
        self._modes.close()

    @contextlib.contextmanager
    def count(self) -> Iterator[Counts]:
        """Context manager: gives the `Counts` of what happens inside."""
        outside, self.counts = self.counts, Counts()
        try:
            yield self.counts
        finally:
            self.counts = outside

    def upload(self, x: torch.Tensor) -> Any:
        """The tensor on the GPU, not counted; one of the "meta" device stays without values."""
        with torch._C.DisableTorchFunction(), _disable_current_modes():
            return x.detach().clone().as_subclass(CudaTensor)

    def download(self, x: torch.Tensor) -> torch.Tensor:
        """The values on the CPU, not counted."""
        with torch._C.DisableTorchFunction(), _disable_current_modes():
            return x.detach().clone().as_subclass(torch.Tensor)

    def network(self, network: torch.nn.Module) -> Any:
        """Move a network's weights, in place and without gradients."""
        for module in network.modules():
            for own in (module._parameters, module._buffers):
                own.update({name: self.upload(x) for name, x in own.items() if x is not None})
        return network.eval()


class _Functions(TorchFunctionMode):
    """What Python asks for: tensors on a device, copies between devices, and values as Python numbers."""

    def __init__(self, fake: FakeCuda) -> None:
        super().__init__()
        self.fake = fake

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, name = dict(kwargs or {}), getattr(func, "__name__", "")
        here = any(isinstance(x, CudaTensor) for x in tree_leaves((args, kwargs)))
        if here and name in NOT_ON_CUDA:
            raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy it first")
        if here and name == "tolist":
            self.fake.counts.waits[f"tolist {_line()}"] += 1
        if name in ("to", "cpu", "cuda"):
            return self._copy(func, name, args, kwargs)
        if not _is_cuda(device := kwargs.get("device")):
            made = func(*args, **kwargs)
            return self.fake.download(made) if here and _is_device(device) else made  # one like it, on the CPU

        kwargs["device"] = "meta" if any(_without_values(x) for x in tree_leaves(args)) else "cpu"
        made = func(*args, **kwargs)
        if not here and not name.startswith("empty"):
            counted = self.fake.counts.uploads if name in ("tensor", "as_tensor", "asarray") else None
            if counted is None:
                self.fake.counts.launches[name] += 1
            else:
                counted[f"{name} {_line()}"] += 1
        return made.as_subclass(CudaTensor)

    def _copy(self, func: Any, name: str, args: Any, kwargs: dict[str, Any]) -> Any:
        """`Tensor.to`, `cpu` and `cuda`: the device is ours to change, the rest torch's."""
        x, *rest = args
        asked = [*rest, *kwargs.values(), *([name] if name != "to" else [])]
        places = [a for a in asked if _is_device(a) or isinstance(a, torch.Tensor)]
        on_cuda = [isinstance(a, CudaTensor) or _is_cuda(a) for a in places]
        if not on_cuda or not (on_cuda[0] or isinstance(x, CudaTensor)):
            return func(*args, **kwargs)

        flags = [*(a for a in rest if isinstance(a, bool)), False, False]
        dtype = next((getattr(a, "dtype", a) for a in asked if isinstance(a, torch.dtype | torch.Tensor)), x.dtype)
        form = {"copy": flags[1], "memory_format": torch.preserve_format, **kwargs}
        form = {key: form[key] for key in ("copy", "memory_format")}
        if on_cuda[0] and isinstance(x, CudaTensor):
            return x.to(dtype, **form)
        if isinstance(x, CudaTensor):
            if not kwargs.get("non_blocking", flags[0]):
                self.fake.counts.waits[f"copy to cpu {_line()}"] += 1
            return self.fake.download(x).to(dtype, **form)
        self.fake.counts.uploads[f"copy {_line()}"] += 1
        if dtype == torch.float64:
            self.fake.counts.float64[f"copy {_line()}"] += 1
        return self.fake.upload(x.to(dtype, **form))  # torch, too, converts on the CPU


class _Operations(TorchDispatchMode):
    """Below autograd, where composite functions are their parts: counts, and refuses to mix devices."""

    def __init__(self, fake: FakeCuda) -> None:
        super().__init__()
        self.fake = fake

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, name = dict(kwargs or {}), func._schema.name.split("::")[1]
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
        if not any(isinstance(x, CudaTensor) for x in tensors):
            return func(*args, **kwargs)
        if name == "_fused_sdp_choice":
            return 0  # attention by its formula
        self._check(name, tensors)
        if not any(_without_values(x) for x in tensors):
            out = func(*args, **kwargs)
        else:  # with one of them there is none in the result; torch computes its shape in Python, and asks for devices
            given, named = tree_map(_forget, (args, kwargs))
            out = func(*given, **named)
            out = args[0] if name.endswith("_") else out
        self._count(name, tensors, [x for x in tree_leaves(out) if isinstance(x, torch.Tensor)])
        return tree_map(lambda x: x.as_subclass(CudaTensor) if isinstance(x, torch.Tensor) else x, out)

    def _check(self, name: str, tensors: list[torch.Tensor]) -> None:
        strangers = [x for x in tensors if not isinstance(x, CudaTensor) and x.ndim]
        if strangers and name == "copy_":
            self.fake.counts.uploads[f"copy_ {_line()}"] += 1
        elif strangers:
            shape = tuple(strangers[0].shape)
            raise RuntimeError(f"{name}: a tensor of the CPU, {shape}, meets one of cuda ({_line()})")
        picks = name in ("index", "index_put", "index_put_") and any(
            x.dtype in (torch.bool, torch.uint8) for x in tensors[1:]
        )
        if name in READS or picks:
            self.fake.counts.waits[f"{name} {_line()}"] += 1
        if name in READS and any(_without_values(x) for x in tensors):
            raise RuntimeError(f"{name}: the value of a tensor without values is read ({_line()})")

    def _count(self, name: str, tensors: list[torch.Tensor], out: list[torch.Tensor]) -> None:
        if name in VIEWS or name.removesuffix("_") in VIEWS:
            return
        moved, counts = [x for x in tensors if isinstance(x, CudaTensor)] + out, self.fake.counts
        counts.launches[name] += 1
        counts.bytes += sum(x.numel() * x.element_size() for x in moved)
        if any(x.dtype == torch.float64 for x in moved):
            counts.float64[f"{name} {_line()}"] += 1


def _is_device(value: object) -> bool:
    return isinstance(value, torch.device | str)


def _is_cuda(value: Any) -> bool:
    return _is_device(value) and torch.device(value).type == "cuda"


def _without_values(x: object) -> bool:
    return isinstance(x, CudaTensor) and torch.Tensor.is_meta.__get__(x)


def _forget(x: Any) -> Any:
    """Of a tensor of the GPU its shape alone, on torch's device for that."""
    if not isinstance(x, CudaTensor):
        return torch.device("meta") if _is_cuda(x) else x
    with torch._C.DisableTorchFunction():
        bare = x.as_subclass(torch.Tensor)
        return bare if bare.is_meta else torch.empty_like(bare, device="meta")


def _line() -> str:
    """The innermost line of ours, or of diffusers, that is at work."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(OURS):
            return f"{file[len(str(ROOT)) + 1 :]}:{frame.f_lineno}"
        if DIFFUSERS in file:
            return f"{file[file.rindex(DIFFUSERS) + 1 :]}:{frame.f_lineno}"
        frame = frame.f_back
    return "elsewhere"
