"""Real images of the discriminator's turns that transforms replace by generated ones, such as APA's (arXiv:2111.06849).

The latents of the generated images and the chances of a replacement are drawn for the whole turn by position, so that
results do not depend on ranks or slices, and are the same after a resume.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from lightning_gan.layers.buffers import unmoved_buffers
from lightning_gan.loop.draws import Draws, Reals, Rows
from lightning_gan.loop.transforms import RealTransform
from lightning_gan.tensors.draws_by_position import with_same_draws
from lightning_gan.tensors.seeds import derived_seed
from lightning_gan.tensors.shapes import Images, Labels, Latents, PerSample


@dataclass(frozen=True, kw_only=True)
class Replacements(Rows):
    """What real images may be replaced with, one row for each.

    Attributes:
        draws: latents and labels of the generated images.
        chances: uniform numbers in [0, 1), `batch`.
    """

    draws: Draws
    chances: PerSample


def drawn_replacements(
    draws: Draws, reals: Reals, *, seed: int, images_seen: int, turn: int, rank: int, ranks: int
) -> Replacements:
    """The replacements of this rank's real images of a turn, which have the labels of the real images.

    Args:
        draws: draws that no other turn has, as many as there are real images.
        reals: real samples of the turn.
        seed: seed of the training.
        images_seen: number of images that training has used before the batch.
        turn: number of the turn within its batch, from 0.
        rank: number of this process.
        ranks: number of processes, with equally many real images each.
    """
    count, device = len(reals), reals.images.device
    random = torch.Generator(device).manual_seed(derived_seed(seed, "replacements", images_seen, turn))
    chances = torch.rand(count * ranks, generator=random, device=device)
    return Replacements(draws=replace(draws, labels=reals.labels), chances=chances[rank * count : (rank + 1) * count])


def with_replacements(
    reals: Reals,
    replacements: Replacements,
    *,
    transforms: Sequence[RealTransform],
    generator: nn.Module,
    generate: Callable[[Latents, Labels | None], Images],
) -> Reals:
    """Real samples whose images have gone through transforms of real images.

    The further pass of the generator changes neither its buffers nor the random numbers that are drawn after it, so
    that a transform that replaces no image leaves the training as it is, bit for bit.

    Args:
        reals: real samples.
        replacements: what their images may be replaced with.
        transforms: transforms of real images, which are applied in their order.
        generator: network that makes the images, whose buffers are kept.
        generate: function from latents and labels to its images.
    """
    images = reals.images
    with torch.no_grad(), unmoved_buffers(generator):
        generated = with_same_draws(generate)(replacements.draws.latents, replacements.draws.labels)
        for transform in transforms:
            images = transform(images, generated, replacements.chances)
        # In the memory format of the real images, on which the order of sums, and so their rounding, depends.
        images = images if images.stride() == reals.images.stride() else torch.empty_like(reals.images).copy_(images)
    return replace(reals, images=images)
