"""The autoencoder as it is trained: white latents around diffusers' `VQModel`, folded into the plain model at the end.

How it is trained, and why this way, is in `autoencoder`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import VQModel

from real.errors import UserError

__all__ = ["AutoencoderSettings", "NormalisedVQModel", "Whitening", "joined", "parted"]


@dataclass(frozen=True)
class AutoencoderSettings:
    """Architecture and task of the autoencoder."""

    channels: tuple[int, int, int] = (16, 32, 128)
    layers: int = 1
    groups: int = 1
    codes: int = 16384
    crop: int = 64
    batch: int = 8
    latent_noise: float = 0.05  # of the latents' standard deviation
    predictability: float = 0.008
    mixed: int = 4  # crops of a batch that are decoded a second time, from mixed latents
    mixed_weight: float = 0.25
    mosaic: float = 0.5  # share of the steps that join four crops to one picture
    quantised_from: float = 0.85

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        for count in self.channels:
            if count < 1 or count % self.groups:
                why = f"must be positive multiples of {self.groups}, got {self.channels}"
                raise UserError(why, argument="channels")
        if self.mixed_weight < 0.0:
            raise UserError(f"must be a number of at least 0, got {self.mixed_weight}", argument="mixed_weight")


class Whitening(torch.nn.Module):
    """Zero mean and the identity as the covariance of the channels, by the inverse Cholesky factor of the latter.

    The statistics are the batch's while training, and their moving averages otherwise, as in a batch norm.
    """

    mean: torch.Tensor
    covariance: torch.Tensor

    def __init__(self, channels: int, *, momentum: float = 0.02, eps: float = 1e-5) -> None:
        super().__init__()
        self.momentum, self.eps = momentum, eps
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("covariance", torch.eye(channels))

    def factor(self, covariance: torch.Tensor) -> torch.Tensor:
        """Lower triangular L with L L^T = covariance + eps I."""
        factor: torch.Tensor = torch.linalg.cholesky(covariance + self.eps * torch.eye(len(covariance)).to(covariance))
        return factor

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) float32 -> the same shape, whitened."""
        # (C, B H W): the statistics are over the batch and all places.
        rows = h.transpose(0, 1).flatten(1)
        mean, covariance = self.mean, self.covariance
        if self.training:
            mean = rows.mean(1)
            centred = rows - mean[:, None]
            covariance = (centred[:, None] * centred[None]).mean(2)  # no matmul: autocast would do that in bfloat16
            with torch.no_grad():
                self.mean.lerp_(mean, self.momentum)
                self.covariance.lerp_(covariance, self.momentum)
        white = torch.linalg.solve_triangular(self.factor(covariance), rows - mean[:, None], upper=False)
        return white.view(h.shape[1], h.shape[0], *h.shape[2:]).transpose(0, 1)


class NormalisedVQModel(torch.nn.Module):
    """A `VQModel` whose latents are whitened; `folded` gives the plain model that does the same."""

    def __init__(self, settings: AutoencoderSettings) -> None:
        super().__init__()
        self.vq = VQModel(
            down_block_types=("DownEncoderBlock2D",) * 3,
            up_block_types=("UpDecoderBlock2D",) * 3,
            block_out_channels=settings.channels,
            layers_per_block=settings.layers,
            latent_channels=3,
            num_vq_embeddings=settings.codes,
            vq_embed_dim=3,
            norm_num_groups=settings.groups,
            mid_block_add_attention=False,
            sample_size=settings.crop,
            scaling_factor=1.0,
        )

        self.norm = Whitening(3)
        self.predictor = _predictor(64)
        self.quantised: torch.Tensor  # 1 once the codebook is fitted; a buffer, so that checkpoints carry it
        self.register_buffer("quantised", torch.tensor(0))

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 3, 4H, 4W) in [-1, 1] -> latents (B, 3, H, W) of standard deviation 1, float32."""
        white: torch.Tensor = self.norm(self.vq.quant_conv(self.vq.encoder(x)).float())
        return white

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        """Latents (B, 3, H, W), as they are (no quantisation here) -> (B, 3, 4H, 4W)."""
        image: torch.Tensor = self.vq.decoder(self.vq.post_quant_conv(z))
        return image

    def mixed(self, z: torch.Tensor, predicted: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
        """Predicted latents plus `share` (n, 1, 1, 1) of what the prediction misses elsewhere, for the first n crops.

        Elsewhere: in the crop before, mirrored, so that detail and place have nothing to do with each other.
        """
        missed = (z - predicted).roll(1, 0).flip(-1)
        return predicted[: len(share)] + share * missed[: len(share)]

    def start_from(self, vqvae: VQModel) -> None:
        """Take over the weights of a trained `VQModel`.

        Its latents may have another scale, and it may have fewer channels: then they become the first ones here, and
        see nothing of the others at first.
        """
        with torch.no_grad():
            weights = self.vq.state_dict()
            for name, former in vqvae.state_dict().items():
                if not name.startswith("quantize."):  # the codebook is fitted anew
                    _grow(weights[name], former)
            self.norm.covariance.copy_(vqvae.quantize.embedding.weight.T.cov())  # codes follow the latents
            weight = self.vq.post_quant_conv.weight
            former = self.norm.factor(self.norm.covariance)
            weight.copy_((weight[:, :, 0, 0] @ former)[:, :, None, None])

    def folded(self) -> VQModel:
        """The plain `VQModel`, with the whitening inside `quant_conv`."""
        with torch.no_grad():
            inverse = torch.linalg.inv(self.norm.factor(self.norm.covariance))
            weight, bias = self.vq.quant_conv.weight, self.vq.quant_conv.bias
            weight.copy_((inverse @ weight[:, :, 0, 0])[:, :, None, None])
            bias.copy_(inverse @ (bias - self.norm.mean))
        return self.vq


def _grow(weight: torch.Tensor, former: torch.Tensor) -> None:
    """Write `former` into the first entries of `weight`; its outputs take nothing from the further inputs."""
    if any(new < old for new, old in zip(weight.shape, former.shape, strict=True)):
        raise UserError(
            f"must be at least the former network's, got a weight {tuple(weight.shape)} for one {tuple(former.shape)}",
            argument="channels",
        )
    if former.ndim > 1:
        weight[: len(former), former.shape[1] :] = 0.0
        weight[: len(former), : former.shape[1]] = former
    else:
        weight[: len(former)] = former


def joined(crops: torch.Tensor) -> torch.Tensor:
    """Every four crops as one picture: (4B, C, H, W) -> (B, C, 2H, 2W)."""
    number, channels, height, width = crops.shape
    square = crops.view(number // 4, 2, 2, channels, height, width).permute(0, 3, 1, 4, 2, 5)
    return square.reshape(number // 4, channels, 2 * height, 2 * width)


def parted(pictures: torch.Tensor) -> torch.Tensor:
    """The inverse of `joined`: (B, C, 2H, 2W) -> (4B, C, H, W)."""
    number, channels, height, width = pictures.shape
    square = pictures.view(number, channels, 2, height // 2, 2, width // 2).permute(0, 2, 4, 1, 3, 5)
    return square.reshape(4 * number, channels, height // 2, width // 2)


def _predictor(width: int) -> torch.nn.Sequential:
    """Low-resolution photo -> latents; each latent pixel depends on 11x11 pixels of the photo."""
    sizes = ((3, width, 5), (width, width, 3), (width, width, 3), (width, 3, 3))
    layers: list[torch.nn.Module] = []
    for inputs, outputs, size in sizes:
        layers += [torch.nn.Conv2d(inputs, outputs, size, padding=size // 2, padding_mode="replicate"), torch.nn.SiLU()]
    return torch.nn.Sequential(*layers[:-1])
