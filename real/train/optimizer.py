"""The optimiser of all stages: Muon for the weights of hidden layers, AdamW for everything else.

Muon (Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks") replaces the momentum of every
weight matrix by the nearest semi-orthogonal matrix, found by a few Newton-Schulz iterations. On the autoencoder here it
needed several times fewer steps than AdamW alone. `torch.optim.Muon` takes matrices only, and nearly all weights here
belong to convolutions, which are flattened to (out, in * kh * kw); hence these few lines.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch

__all__ = ["Muon", "split_parameters"]

# Coefficients of the quintic iteration (Jordan et al. 2024): steep at 0, singular values end near 1.
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_OUTER = ("conv_in", "conv_out", "quant", "embedding.weight", "predictor.6")


def split_parameters(
    model: torch.nn.Module,
) -> tuple[list[torch.nn.Parameter], list[torch.nn.Parameter]]:
    """Weights of hidden layers (for Muon), and the rest: first and last layers, biases, norms, codebooks."""
    hidden: list[torch.nn.Parameter] = []
    rest: list[torch.nn.Parameter] = []
    for name, parameter in model.named_parameters():
        outer = parameter.ndim < 2 or any(part in name for part in _OUTER)
        (rest if outer else hidden).append(parameter)
    return hidden, rest


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised.

    Args:
        parameters: Weights of at least two axes; the first is the output's.
        lr: Spectral size of a step.
        momentum: Momentum of the (Nesterov) moving average of the gradient.
    """

    def __init__(self, parameters: Iterable[torch.nn.Parameter], *, lr: float, momentum: float = 0.95) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move every weight that has a gradient."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                average = self.state[weight].setdefault("average", torch.zeros_like(weight))
                average.lerp_(weight.grad, 1 - group["momentum"])
                nesterov = weight.grad.lerp(average, group["momentum"]).flatten(1)
                scale = max(1.0, nesterov.shape[0] / nesterov.shape[1]) ** 0.5
                weight.add_(orthogonalise(nesterov).view_as(weight), alpha=-group["lr"] * scale)


def orthogonalise(matrix: torch.Tensor, *, iterations: int = 5) -> torch.Tensor:
    """Semi-orthogonal matrix near U V^T of the singular value decomposition U S V^T, (m, n) -> (m, n)."""
    a, b, c = _COEFFICIENTS
    tall = matrix.shape[0] > matrix.shape[1]
    # The smaller Gram matrix is the cheaper one. bfloat16 suffices: the result need not be exact.
    x = (matrix.T if tall else matrix).bfloat16()
    x = x / (x.norm() + 1e-7)
    for _ in range(iterations):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.T if tall else x).to(matrix.dtype)
