"""SeeSR's networks (Wu et al. 2024) in diffusers' classes: after each text transformer there is one for image tokens.

The image tokens come from a tagger (RAM, or SeeSR's DAPE); they travel through diffusers' stock UNet and control net
in `cross_attention_kwargs`, which these classes hand to every transformer.
"""

from __future__ import annotations

import inspect
import json
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from diffusers.models import Transformer2DModel

from real.backbones.control import IMAGE_TOKENS, TOKEN_WIDTH
from real.backbones.seesr_keys import network_weights
from real.backbones.weights import load_exactly, read_weights
from real.errors import UserError

__all__ = ["TOKEN_WIDTH", "add_image_transformers", "build_network", "load_network"]

NETWORKS = {"unet": UNet2DConditionModel, "controlnet": ControlNetModel}
FILES = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")


class TextThenImage(torch.nn.Module):
    """Two transformers in the place of one: the first attends to text, the second to image tokens.

    Args:
        text: diffusers' transformer of that place.
        token_width: Width of image tokens; the second is otherwise made as the first is.
    """

    def __init__(self, text: Transformer2DModel, token_width: int = TOKEN_WIDTH) -> None:
        super().__init__()
        self.text = text
        # not by from_config, which takes what was given by position, the heads, for a default and drops it
        config = {name: value for name, value in text.config.items() if not name.startswith("_")}
        self.image = Transformer2DModel(**{**config, "cross_attention_dim": token_width})

    def forward(
        self,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        cross_attention_kwargs: dict[str, Any] | None = None,
        attention_mask: torch.Tensor | None = None,
        encoder_attention_mask: torch.Tensor | None = None,
        return_dict: bool = False,
    ) -> tuple[torch.Tensor]:
        """Like diffusers' transformer; the image tokens are in `cross_attention_kwargs["image_tokens"]`.

        Raises:
            ValueError: They are not there.
        """
        # diffusers hands these on to every attention block as they are: the way for a second condition.
        others = dict(cross_attention_kwargs or {})
        tokens = others.pop(IMAGE_TOKENS, None)
        if tokens is None:
            raise ValueError(
                f"{IMAGE_TOKENS} must be (B, K, {self.image.config.cross_attention_dim}) for SeeSR, got None; pass "
                f'cross_attention_kwargs={{"{IMAGE_TOKENS}": ...}}'
            )

        after_text = self.text(
            hidden_states,
            encoder_hidden_states=encoder_hidden_states,
            cross_attention_kwargs=others or None,
            attention_mask=attention_mask,
            encoder_attention_mask=encoder_attention_mask,
            return_dict=False,
        )[0]
        return (self.image(after_text, encoder_hidden_states=tokens, return_dict=False)[0],)


def add_image_transformers(network: UNet2DConditionModel | ControlNetModel, token_width: int = TOKEN_WIDTH) -> None:
    """Put an image transformer after every text transformer of a stock network, in place.

    Args:
        network: UNet or control net; it then needs image tokens, see `real.backbones.control.evaluate`.
        token_width: Width of the tokens.
    """
    blocks = [*network.down_blocks, network.mid_block, *getattr(network, "up_blocks", ())]
    for block in blocks:
        if hasattr(block, "attentions"):
            block.attentions = torch.nn.ModuleList(TextThenImage(text, token_width) for text in block.attentions)


def build_network(kind: str, config: dict[str, Any]) -> UNet2DConditionModel | ControlNetModel:
    """A network with image transformers; weights are random.

    Args:
        kind: "unet" or "controlnet".
        config: Content of the authors' `config.json`; entries that diffusers' class does not know (they are about
            training, versions and the image transformers) are passed over.

    Raises:
        ValueError: `kind` is neither.
    """
    if kind not in NETWORKS:
        raise ValueError(f"kind must be one of {', '.join(NETWORKS)}, got {kind!r}")
    known = inspect.signature(NETWORKS[kind].__init__).parameters
    network = NETWORKS[kind](**{name: value for name, value in config.items() if name in known})
    add_image_transformers(network)
    return network


def load_network(
    folder: str | PathLike[str], kind: str, *, dtype: torch.dtype = torch.float32, pickled_weights: bool = False
) -> UNet2DConditionModel | ControlNetModel:
    """SeeSR's UNet or control net from the authors' folder (CSWRY/SeeSR).

    Args:
        folder: Folder with `unet/` and `controlnet/`, each a `config.json` and `diffusion_pytorch_model.safetensors`
            or, where pickles are allowed, `.bin`.
        kind: "unet" or "controlnet".
        dtype: Precision of the network.
        pickled_weights: Whether the file may be a pickle, see `real.backbones.weights.read_weights`.

    Raises:
        ValueError: `kind` is neither.
        UserError: A file is missing, cannot be read, or is another network's.

    Warns:
        UserWarning: If a pickle is read.
    """
    if kind not in NETWORKS:
        raise ValueError(f"kind must be one of {', '.join(NETWORKS)}, got {kind!r}")
    place = Path(folder) / kind
    try:
        config = json.loads((place / "config.json").read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        why = f"must have a config.json that can be read, got {str(place)!r} ({error})"
        raise UserError(why, argument="weights") from error

    # Stock networks of diffusers have configurations too, and would load with the image transformers random.
    if not isinstance(config, dict) or not config.get("use_image_cross_attention"):
        why = f"must be SeeSR's {kind}, got {str(place)!r}, whose config.json does not say use_image_cross_attention"
        raise UserError(why, argument="weights")

    file = next((place / name for name in FILES if (place / name).is_file()), place / FILES[0])
    state = network_weights(read_weights(file, pickled_weights=pickled_weights))
    with torch.device("meta"):
        network = build_network(kind, config)
    load_exactly(network, state, name=str(file), dtype=dtype)
    return network
