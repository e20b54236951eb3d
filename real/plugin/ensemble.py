"""From the rows of a pipeline's batch to ensembles of particles, and back.

diffusers knows one batch axis; KDS Eq. 7 (v1) needs images x particles, and per location the particles of one image
alone. `Ensemble` is that reordering: a view of the rows on which `kds_ref.steer` and `kds_ref.select_particle` work.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

__all__ = ["LAYOUTS", "Ensemble", "repeat_for_particles"]

LAYOUTS = ("grouped", "tiled")


@dataclass(frozen=True)
class Ensemble:
    """How rows and axes of a batch are meant.

    Attributes:
        num_particles: N.
        layout: "grouped": row b * N + i is particle i of image b. "tiled": row i * B + b is.
        axes: One letter for each axis of a row: C channels, H and W space, L tokens or time, F frames, K predictions
            at once. Frames and K are ensembles of their own; L with the channels behind it is a set of tokens.
    """

    num_particles: int
    layout: str
    axes: str

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
                f"the batch has {count} rows (sample of shape {tuple(rows.shape)}), which num_particles="
                f"{self.num_particles} does not divide; give every image num_particles rows, e.g. with "
                "num_images_per_prompt"
            )
        images = count // self.num_particles
        if self.layout == "grouped":
            return rows.unflatten(0, (images, self.num_particles))
        return rows.unflatten(0, (self.num_particles, images)).transpose(0, 1)

    def join(self, ensembles: torch.Tensor) -> torch.Tensor:
        """The way back from `split`."""
        return (ensembles if self.layout == "grouped" else ensembles.transpose(0, 1)).flatten(0, 1)

    def to_steer(self, rows: torch.Tensor) -> torch.Tensor:
        """(B * N, *axes) -> (B, frames..., N, C, H, W) or (..., N, C, L)."""
        x = self.split(rows).permute(0, *self._order())
        return x if self.axes.strip("FK") != "C" else x.unsqueeze(-1)  # one vector is one location

    def from_steer(self, x: torch.Tensor) -> torch.Tensor:
        """The way back from `to_steer`."""
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
    letters = set(axes)
    plain = letters - {"F", "K", "C"}
    if len(letters) != len(axes) or "C" not in letters or plain not in (set(), {"H", "W"}, {"L"}):
        raise ValueError(
            f"axes is {axes!r}; it needs one letter for each axis of a row: C (channels) and either H and W (space), "
            "L (tokens or time) or nothing, and F for frames, e.g. 'CHW', 'LC', 'FCHW'"
        )


def repeat_for_particles(value: object, num_particles: int) -> object:
    """Repeat a pipeline's input for the particles of each image, in the grouped layout.

    Pipelines with image conditions repeat those over the batch in another order (tiled) than prompts (grouped), so
    that two images with `num_images_per_prompt=2` get each other's masks. Repeating every input here and leaving
    `num_images_per_prompt` at 1 keeps them together: row b * N + i is particle i of image b.

    Args:
        value: A tensor (B, ...), a list with one entry an image (prompts, pictures), or one prompt or picture.
        num_particles: N.

    Returns:
        A tensor (B * N, ...), or a list of B * N entries.

    Raises:
        TypeError: If value is None, a number or a mapping.
        ValueError: If num_particles is less than 1.

    Example:
        >>> repeat_for_particles(["a cat", "a dog"], 2)
        ['a cat', 'a cat', 'a dog', 'a dog']
    """
    if isinstance(num_particles, bool) or not isinstance(num_particles, int) or num_particles < 1:
        raise ValueError(f"num_particles is {num_particles!r}; give a whole number of at least 1")
    if isinstance(value, torch.Tensor):
        return value.repeat_interleave(num_particles, dim=0)
    if isinstance(value, list | tuple):
        return [entry for entry in value for _ in range(num_particles)]
    if value is None or isinstance(value, int | float | dict):
        raise TypeError(f"value is a {type(value).__name__}; pass a tensor, a list, one prompt or one picture")
    return [value] * num_particles
