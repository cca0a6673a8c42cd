"""What a generator and a discriminator minimise, from the discriminator's outputs."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Tensor letters: B batch, C channels, H height, W width.

Loss = Literal["non_saturating", "lsgan", "wgan_gp"]


def discriminator_loss(loss: Loss, real: Tensor, fake: Tensor, label_smoothing: float) -> Tensor:
    """The discriminator's loss, () float32.

    Source: non_saturating: Goodfellow et al. 2014 (arXiv 1406.2661), eq. 1; lsgan: Mao et al. 2016
    (arXiv 1611.04076), eq. 9 (a = 0, b = c = 1); wgan_gp without its penalty: Gulrajani et al. 2017
    (arXiv 1704.00028), eq. 3; one-sided smoothing: Salimans et al. 2016 (arXiv 1606.03498), section 3.4.

    Args:
        loss: Which one.
        real: (B, 1) float32 outputs for real images, in any range.
        fake: (B, 1) float32 outputs for generated images.
        label_smoothing: What is taken off the target 1 of real images, in [0, 1); 0 for wgan_gp.
    """
    match loss:
        case "non_saturating":
            # Cross entropy with the targets 1 - label_smoothing and 0: softplus(x) = softplus(-x) + x.
            real_loss = F.softplus(-real) + label_smoothing * real
            return real_loss.mean() + F.softplus(fake).mean()
        case "lsgan":
            return ((real - (1 - label_smoothing)).square().mean() + fake.square().mean()) / 2
        case "wgan_gp":
            return fake.mean() - real.mean()


def generator_loss(loss: Loss, fake: Tensor) -> Tensor:
    """The generator's loss, () float32, from (B, 1) outputs for its images; sources as above."""
    match loss:
        case "non_saturating":
            return F.softplus(-fake).mean()
        case "lsgan":
            return (fake - 1).square().mean() / 2
        case "wgan_gp":
            return -fake.mean()


def gradient_penalty(discriminator: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """How far the discriminator's slope is from 1 between real and generated images, () float32.

    Source: Gulrajani et al. 2017 (arXiv 1704.00028), algorithm 1, lines 4 to 7, without the weight.
    In fp32 whatever the precision around it: the gradient of a gradient loses too many digits in bf16.

    Args:
        discriminator: Must treat each example on its own: no batch norm.
        real: (B, C, H, W) float.
        fake: (B, C, H, W) float without a graph.
    """
    with torch.autocast(real.device.type, enabled=False):
        share = torch.rand(real.shape[0], 1, 1, 1, device=real.device)
        between = torch.lerp(real.float(), fake.float(), share).requires_grad_()
        (slope,) = torch.autograd.grad(discriminator(between).sum(), between, create_graph=True)
        return (slope.flatten(1).norm(dim=1) - 1).square().mean()
