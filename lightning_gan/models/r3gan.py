"""R3GAN, a baseline of residual networks with a regularized loss of pairs (Huang et al. 2024, arXiv:2501.05441).

The paper is "The GAN is dead; long live the GAN! A Modern GAN Baseline". Both networks have no normalization. Their
residual blocks are inverted bottlenecks with grouped 3x3 convolutions, whose last convolution begins at zero. The
generator begins with a learned 4x4 pattern per feature map, multiplied by a linear function of the latent, and the
discriminator ends with one learned 4x4 pattern per feature map. Between resolutions are the filters of StyleGAN2. The
images are not bounded. The loss compares every real image with a fake (`RelativisticStandard`), and `R1` and `R2` are
added in every turn. The layers are those of the authors' code.

Images may be of any ratio of height to width, which is ours: the learned patterns are then those of the first block
that halving both sides gives, such as 4x6 for images of 128x192. The authors' networks are square.

Different from the authors: their two turns have a batch of real images each, while here both turns have the same
real images, so that the data are passed through half as fast. Their augmentation is not part of the model.
"""

from typing import ClassVar

from lightning_gan.layers.image_sizes import ImageSizes
from lightning_gan.layers.widths import widths_or_default
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.hyperparameters import unsaved_arguments
from lightning_gan.loop.settings import Training
from lightning_gan.losses import AdversarialLoss, RelativisticStandard
from lightning_gan.models.r3gan_networks import EXPANSION, Discriminator, Generator, default_widths, widths_of_stages
from lightning_gan.tensors.numbers import check_at_least


def _first_block_and_widths(
    image_size: int, image_width: int | None, *, widest: int
) -> tuple[tuple[int, int], list[int]]:
    """Height and width of the first block, and the numbers of feature maps of all."""
    if image_width is None or image_width == image_size:
        return (4, 4), default_widths(image_size, widest=widest)
    check_at_least(1, image_size=image_size, image_width=image_width)
    sizes = ImageSizes(
        image_height=image_size, image_width=image_width, image_channels=1, channel_base=1, channel_max=1
    )
    return sizes.first, widths_of_stages(sizes.doublings + 1, widest=widest)


def _for_every_stage(value: int | list[int], widths: list[int], *, setting: str, image_size: int) -> list[int]:
    """One number for each of the resolutions, which have these widths."""
    numbers = value if isinstance(value, list) else [value] * len(widths)
    return widths_or_default(numbers, [2] * len(widths), setting=setting, image_size=image_size)


class R3GAN(GAN):
    """R3GAN's networks and loss; add the callbacks `R1` and `R2` in every turn, and `EMA`.

    The authors train with Adam without momentum. Over 20 million images (200 million on ImageNet) the learning rate
    falls from 0.0002 to 0.00005, Adam's second beta rises from 0.9 to 0.99, the gamma of both penalties falls to a
    tenth, and the half-life of the average rises from 0; all follow half a period of a cosine.

    Args:
        image_size: Height of the images in pixels, and their width if `image_width` is not given; a power of two from 8
            for squares.
        image_width: Width of the images in pixels; None is a square. Both sides are halved as long as they are even and
            the shorter one keeps 3 pixels, which gives the first block; its shorter side has 3 to 15 pixels.
        image_channels: Number of channels of the images.
        number_of_classes: Number of classes. 0 trains without labels.
        latent_dim: Size of the latent z, which is not normalized.
        label_dim: Size of the embedding of a label that the generator gets.
        widest: Number of feature maps up to 32x32, which is halved with every doubling after; 768 in the authors'
            settings for CIFAR-10 and FFHQ.
        widths: Numbers of feature maps from 4x4 (from the first block) to the images' size, which replace those of
            `widest`; None takes these.
        blocks_per_stage: Number of residual blocks at every resolution; one number for all, or a list from the first.
        group_width: Number of channels of every group of the 3x3 convolutions, of which there are
            ``2 * width / group_width`` groups; one number for all resolutions, or a list from the first. 16 for
            CIFAR-10 and FFHQ, 32 for ImageNet.
        bf16_stages: Number of resolutions, from that of the images downwards, whose stages both networks compute in
            bf16 on any device; 3 for 32x32 and 4 for larger images in the authors' code. 0 computes all in fp32.

    Raises:
        ValueError: for another image size, a wrong number of widths or blocks, a width that does not divide into
            groups, and more stages in bf16 than there are after the first.
    """

    default_loss: ClassVar[type[AdversarialLoss]] = RelativisticStandard
    gives_same_scores_in_one_pass: ClassVar[bool] = True

    generator: Generator
    discriminator: Discriminator
    generator_ema: Generator

    def __init__(
        self,
        *,
        image_size: int,
        image_width: int | None = None,
        image_channels: int = 3,
        number_of_classes: int = 0,
        latent_dim: int = 64,
        label_dim: int = 64,
        widest: int = 768,
        widths: list[int] | None = None,
        blocks_per_stage: int | list[int] = 2,
        group_width: int | list[int] = 16,
        bf16_stages: int = 0,
        training: Training = Training(),
    ) -> None:
        check_at_least(
            1,
            image_channels=image_channels,
            latent_dim=latent_dim,
            label_dim=label_dim,
            widest=widest,
            group_width=None if isinstance(group_width, list) else group_width,
        )
        check_at_least(0, number_of_classes=number_of_classes, bf16_stages=bf16_stages)
        first, by_rule = _first_block_and_widths(image_size, image_width, widest=widest)
        of_stages = widths_or_default(widths, by_rule, setting="widths", image_size=image_size)
        group_widths = _for_every_stage(group_width, of_stages, setting="group_width", image_size=image_size)
        for width, of_group in zip(of_stages, group_widths, strict=True):
            if EXPANSION * width % of_group:
                raise ValueError(
                    f"widths={of_stages}: a block of {width} feature maps has {EXPANSION * width} inside, which "
                    f"group_width={of_group} does not divide; give widths that are multiples of {of_group}"
                )
        if bf16_stages >= len(of_stages):
            raise ValueError(
                f"bf16_stages={bf16_stages} must be below {len(of_stages)}, the number of resolutions from {first[0]}x"
                f"{first[1]} to {image_size}x{image_width or image_size}, because the first is computed in fp32"
            )
        blocks = _for_every_stage(blocks_per_stage, of_stages, setting="blocks_per_stage", image_size=image_size)
        super().__init__(
            generator=Generator(
                image_channels=image_channels,
                number_of_classes=number_of_classes,
                latent_dim=latent_dim,
                label_dim=label_dim,
                widths=of_stages,
                blocks=blocks,
                group_widths=group_widths,
                bf16_stages=bf16_stages,
                first=first,
            ),
            discriminator=Discriminator(
                image_channels=image_channels,
                number_of_classes=number_of_classes,
                widths=of_stages,
                blocks=blocks,
                group_widths=group_widths,
                bf16_stages=bf16_stages,
                first=first,
            ),
            latent_dim=latent_dim,
            number_of_classes=number_of_classes,
            training=training,
        )
        self.save_hyperparameters(ignore=unsaved_arguments())
