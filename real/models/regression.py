"""The regression network: one guess at the photo, the best in the squared sense, in one evaluation.

A network trained on the squared error of the pixels learns the mean of all photos that the low-resolution photo allows,
E[x | y]. No sample can have a smaller mean squared error, and the average of many samples comes near to it: it is the
baseline that every comparison here needs (`mmse`), and it shows what samples are good for, since a mean is blurred.

The shape is EDSR's (Lim et al. 2017, "Enhanced deep residual networks for single image super-resolution"): residual
blocks without normalisation at the low resolution, then sub-pixel upsampling (Shi et al. 2016). What it predicts is
added to the bicubic interpolation.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from real.degradations.simple import SCALE
from real.images.files import write_json
from real.images.pixels import signed_tensor
from real.models.devices import usual_defaults

__all__ = ["BUNDLED_REGRESSION", "RegressionNetwork", "load_regression", "regress", "save_regression"]

BUNDLED_REGRESSION = Path(__file__).parents[1] / "weights" / "regression"


class RegressionNetwork(torch.nn.Module):
    """Low-resolution photo -> photo four times as large.

    Args:
        width: Channels of the residual blocks.
        blocks: Number of residual blocks.
    """

    def __init__(self, *, width: int = 64, blocks: int = 8) -> None:
        super().__init__()
        self.config = {"width": width, "blocks": blocks}
        self.conv_in = _convolution(3, width)
        self.blocks = torch.nn.ModuleList(_Block(width) for _ in range(blocks))
        self.conv_out = _convolution(width, 3 * SCALE**2)
        torch.nn.init.zeros_(self.conv_out.weight)  # starts as the bicubic interpolation
        assert self.conv_out.bias is not None
        torch.nn.init.zeros_(self.conv_out.bias)

    def forward(self, low: torch.Tensor) -> torch.Tensor:
        """(B, 3, h, w) in [-1, 1] -> (B, 3, 4h, 4w), about in [-1, 1]."""
        features = first = self.conv_in(low)
        for block in self.blocks:
            features = block(features)
        detail = torch.nn.functional.pixel_shuffle(self.conv_out(features + first), SCALE)

        smooth = torch.nn.functional.interpolate(low, scale_factor=SCALE, mode="bicubic")
        return smooth + detail


class _Block(torch.nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv_1, self.conv_2 = _convolution(width, width), _convolution(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = x + self.conv_2(torch.relu(self.conv_1(x)))
        return result


def _convolution(inputs: int, outputs: int) -> torch.nn.Conv2d:
    # Borders are repeated: zeros would be read as mid-grey beyond the photo.
    return torch.nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode="replicate")


def save_regression(model: RegressionNetwork, folder: Path) -> None:
    """Write `config.json`, and `model.safetensors` in half precision."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", model.config)
    weights = {name: value.half().contiguous() for name, value in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors")


def load_regression(folder: Path = BUNDLED_REGRESSION, *, device: str | torch.device = "cpu") -> RegressionNetwork:
    """Read what `save_regression` wrote, as float32, ready for use.

    Raises:
        FileNotFoundError: `folder` holds no such network.
    """
    if not (folder / "config.json").is_file() or not (folder / "model.safetensors").is_file():
        raise FileNotFoundError(f"{str(folder)!r} holds no regression network (config.json and model.safetensors)")
    with usual_defaults():
        model = RegressionNetwork(**json.loads((folder / "config.json").read_text(encoding="utf-8")))
    model.load_state_dict(load_file(folder / "model.safetensors"))
    return model.to(device, torch.float32).requires_grad_(False).eval()


@torch.inference_mode()
def regress(model: RegressionNetwork, low: np.ndarray) -> np.ndarray:
    """The network's guess at the photo: RGB uint8 (h, w, 3) -> RGB uint8 (4h, 4w, 3)."""
    device = model.conv_in.weight.device
    x = signed_tensor(low).to(device)
    pixels = (model(x)[0].permute(1, 2, 0) + 1) * 127.5
    return pixels.round().clamp(0, 255).byte().cpu().numpy()
