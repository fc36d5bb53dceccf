"""Real images and fakes go through the discriminator together, in turns in which no penalty is due.

Both passes then take about as many calls as one. Where a discriminator scores each sample alone, the scores are those
of two passes, up to rounding. Spectral normalization is then advanced once per turn and not twice.
"""

import torch
from torch import Tensor, nn

from lightning_gan.compat import is_torch_batch_norm
from lightning_gan.layers.batch_norm import BatchNorm
from lightning_gan.layers.normalization import ClassStddev, MinibatchStddev
from lightning_gan.tensors.shapes import FakeImages, FakeLabels, Images, Labels


def check_scores_alone(discriminator: nn.Module) -> None:
    """Check that a discriminator has no layer of torch or of this package in which the samples of a batch meet.

    Args:
        discriminator: discriminator that shall get real images and fakes together.

    Raises:
        ValueError: if it has batch normalization or a minibatch standard deviation.
    """
    for name, layer in discriminator.named_modules():
        if isinstance(layer, BatchNorm | ClassStddev | MinibatchStddev) or is_torch_batch_norm(layer):
            raise ValueError(
                f"training.one_pass=true, but the samples of a batch meet in the discriminator's layer {name} "
                f"({type(layer).__name__}), so that real images and fakes would change each other's scores; leave "
                "training.one_pass out"
            )


def together(
    images: Images, labels: Labels | None, fake: FakeImages, fake_labels: FakeLabels | None
) -> tuple[Tensor, Tensor | None]:
    """Real images and fakes one behind the other, with their labels.

    Args:
        images: real images, `batch channels height width`.
        labels: their labels, if there are classes.
        fake: fakes, `fakes channels height width`.
        fake_labels: their labels, if there are classes.

    Returns:
        Images, `batch+fakes channels height width`, and labels, `batch+fakes`; None without classes.
    """
    joined = torch.cat([images, fake])
    if labels is None or fake_labels is None:
        return joined, None
    return joined, torch.cat([labels, fake_labels])
