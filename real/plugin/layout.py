"""From the rows of a pipeline's batch to ensembles of particles, and back.

diffusers knows one batch axis; KDS Eq. 7 (v1) needs images x particles, and at each location the particles of one image
alone. `Layout` is that reordering: a view of the rows on which `kds_ref.steer` and `kds_ref.select_particle` work.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

__all__ = ["LAYOUTS", "Layout", "axes_of", "check_axes", "unfolded", "without_variance"]

LAYOUTS = ("grouped", "tiled")


@dataclass(frozen=True)
class Layout:
    """The meaning of the rows and axes of a batch.

    Attributes:
        num_particles: Rows that belong to one image: N, or this process's share of N.
        layout: "grouped": row b * N + i is particle i of image b. "tiled": row i * B + b is.
        axes: One letter for each axis of a row: C channels, H and W space, L tokens or time, F frames, K predictions
            at once. Frames and K are ensembles of their own; L followed by C is a set of tokens.
    """

    num_particles: int
    layout: str
    axes: str

    @property
    def channels(self) -> int:
        """Axis of the channels in the batch."""
        return 1 + self.axes.index("C")

    @property
    def sample_ndim(self) -> int:
        """Number of axes of one sample as `kds_ref.steer` sees it: (C, H, W) or (C, L)."""
        return 3 if "H" in self.axes else 2

    def split(self, rows: torch.Tensor) -> torch.Tensor:
        """(B * N, ...) -> (B, N, ...), a view.

        Raises:
            ValueError: If N does not divide the number of rows.
        """
        count = rows.shape[0]
        if count % self.num_particles:
            raise ValueError(
                f"the batch must have a multiple of num_particles={self.num_particles} rows, got {count} (shape "
                f"{tuple(rows.shape)}); give every image num_particles rows, e.g. with num_images_per_prompt"
            )
        images = count // self.num_particles
        if self.layout == "grouped":
            return rows.unflatten(0, (images, self.num_particles))
        return rows.unflatten(0, (self.num_particles, images)).transpose(0, 1)

    def join(self, ensembles: torch.Tensor) -> torch.Tensor:
        """The way back from `split`."""
        return (ensembles if self.layout == "grouped" else ensembles.transpose(0, 1)).flatten(0, 1)

    def to_ensembles(self, rows: torch.Tensor) -> torch.Tensor:
        """(B * N, *axes) -> (B, frames..., N, C, H, W) or (..., N, C, L)."""
        x = self.split(rows).permute(0, *self._order())
        return x if self.axes.strip("FK") != "C" else x.unsqueeze(-1)  # one vector is one location

    def to_rows(self, x: torch.Tensor) -> torch.Tensor:
        """The way back from `to_ensembles`."""
        x = x if self.axes.strip("FK") != "C" else x.squeeze(-1)
        order = (0, *self._order())
        back = [order.index(axis) for axis in range(len(order))]
        return self.join(x.permute(back))

    def _order(self) -> tuple[int, ...]:
        """Axes of `split` after the images: own ensembles, particles, channels, space or tokens."""
        place = {letter: 2 + i for i, letter in enumerate(self.axes)}
        own = [place[a] for a in "FK" if a in place]
        return (*own, 1, place["C"], *(place[a] for a in "HWL" if a in place))


def check_axes(axes: str) -> None:
    """ValueError unless every letter is known, occurs once, and the axes make a sample."""
    named = axes if isinstance(axes, str) else ""
    letters, plain = set(named), set(named) - {"F", "K", "C"}
    if len(letters) != len(named) or "C" not in letters or plain not in (set(), {"H", "W"}, {"L"}):
        raise ValueError(
            "axes must be one letter for each axis of a row: C (channels) and either H and W (space), L (tokens or "
            f"time) or nothing, and F for frames, e.g. 'CHW', 'LC', 'FCHW', got {axes!r}"
        )


def axes_of(sample: torch.Tensor, axes: str | None, patch_size: int | None) -> str:
    """The axes as they are named, after a look at the sample: ValueError unless each of its axes has a letter."""
    shape = tuple(sample.shape)
    if axes is None or len(axes) != sample.ndim - 1:
        raise ValueError(
            f"axes must name the {sample.ndim - 1} axes of a sample, here of shape {shape[1:]}, got {axes!r}; pass "
            "'CHW' for pictures, 'CFHW' for video with channels first, 'FCHW' for video with frames first, 'CL' for "
            "audio or 'LC' for tokens"
        )

    tokens = "L" in axes and axes.index("L") < axes.index("C")
    if tokens and patch_size not in (1, None):
        raise ValueError(
            f"patch_size must be 1 or None for tokens, which have no neighbours here, got {patch_size} for a sample of "
            f"shape {shape} (axes {axes!r})"
        )
    return axes


def unfolded(
    output: torch.Tensor, sample: torch.Tensor, layout: Layout, count: int
) -> tuple[torch.Tensor, torch.Tensor, Layout]:
    """Give K predictions that follow each other in the channels (the last axis) an axis K of their own before that."""
    output = output.unflatten(-1, (count, sample.shape[-1]))
    return output, sample.unsqueeze(-2).expand_as(output), replace(layout, axes=layout.axes[:-1] + "KC")


def without_variance(
    output: torch.Tensor, sample: torch.Tensor, layout: Layout
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """(the prediction, the learned variance that follows it in the channels, if there is one)."""
    size = sample.shape[layout.channels]
    if output.shape[layout.channels] != 2 * size:
        return output, None
    prediction, variance = output.split(size, dim=layout.channels)
    return prediction, variance
