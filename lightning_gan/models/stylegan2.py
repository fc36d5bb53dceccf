"""StyleGAN2, "Analyzing and Improving the Image Quality of StyleGAN", with the labels and settings of StyleGAN2-ADA.

Karras et al. 2020, arXiv:1912.04958, and Karras et al. 2020, arXiv:2006.06676. Styles modulate the weights of
convolutions, and demodulation takes the place of the instance norm (section 2.2). Images of all resolutions are added
up in the generator, and the discriminator has residual blocks (section 4), so that no network has to grow.

Where this differs from the authors' PyTorch code:

- A batch has the discriminator's turn, then the generator's, then `EMA`; theirs has the generator's first. The order of
  all turns is the same but for the first one, and the average moves after the generator's step.
- `PathLength` and a lazy `R1` are added to the cost of the player's own turn, with the interval as a factor. In their
  code they have steps of their own, for which Adam is changed to ``lr * c`` and ``beta^c`` with ``c = k / (k + 1)``,
  because k turns have k + 1 steps. Here k turns have k steps, so that ``c = 1``.
- Fakes of the discriminator's turn have the labels of its real images, if `uniform_labels` is not set.
- Mixed precision is Lightning's (`bf16-mixed`), for all convolutions. Theirs is fp16 at the four highest resolutions,
  with `clamp=256`. Styles, demodulation, images and the discriminator's last block are in fp32 in both.
- The mean style is averaged over ranks.
"""

from lightning_gan.layers.image_sizes import ImageSizes
from lightning_gan.layers.mapping import StyleGAN2Mapping
from lightning_gan.loop.hyperparameters import plain_data, unsaved_arguments
from lightning_gan.loop.settings import Training
from lightning_gan.models.style_based_gan import StyleBasedGAN, StyleBasedGenerator
from lightning_gan.models.stylegan2_networks import Connections, Discriminator, SynthesisNetwork
from lightning_gan.tensors.numbers import check_at_least


class StyleGAN2(StyleBasedGAN):
    """StyleGAN2 with the settings of its configuration F as defaults; add `R1`, `PathLength` and `EMA`.

    Height and width may be of any ratio: both are halved as long as they are even and the shorter one keeps 3 pixels,
    which gives the first block, such as 4x6 for images of 128x192.

    Args:
        image_size: Height of the images in pixels, and their width if `image_width` is not given.
        image_width: Width of the images in pixels; None is a square.
        image_channels: Number of channels of the images.
        number_of_classes: Number of classes. 0 trains without labels.
        latent_dim: Size of the latent z.
        style_dim: Size of the style w.
        mapping_layers: Number of fully connected layers of the mapping network; 2 in ADA's settings for CIFAR-10.
        mapping_learning_rate_multiplier: Learning rate of the mapping networks relative to the rest; 0.01 in the paper.
        channel_base: Numerator of the number of feature maps: `channel_base / resolution`, up to `channel_max`; 32768
            in configuration F, 16384 in configuration E.
        channel_max: Largest number of feature maps at any resolution.
        generator_connections: How the generator's blocks are connected.
        discriminator_connections: How the discriminator's blocks are connected.
        style_mixing: Probability that a batch gets its later layers' styles from second latents.
        truncation_layers: Number of layers, from the lowest resolution, that truncation applies to in sampling; None is
            all layers.
        discriminator_mapping_layers: Number of fully connected layers behind the discriminator's embedding of labels; 8
            in the authors' PyTorch code, 0 in their TensorFlow code. They are used with classes only.
        minibatch_stddev_group: Number of samples per group of the minibatch standard deviation; None is the whole
            batch, on every device its share.
        minibatch_stddev_within_classes: Whether the minibatch standard deviation is over the samples of the batch that
            have the same class, and not over groups of mixed classes, which hide that a generator makes one image for
            each class. It is ours, used with classes only, and needs batches with several images of each class.
        clamp: Largest absolute value of features in both networks; 256 in the authors' mixed precision. None does not
            limit them.

    Raises:
        ValueError: for a number out of range, and for images whose shorter side is not 3 to 15 times a power of two.
    """

    generator: StyleBasedGenerator
    discriminator: Discriminator
    generator_ema: StyleBasedGenerator

    def __init__(
        self,
        *,
        image_size: int,
        image_width: int | None = None,
        image_channels: int = 3,
        number_of_classes: int = 0,
        latent_dim: int = 512,
        style_dim: int = 512,
        mapping_layers: int = 8,
        mapping_learning_rate_multiplier: float = 0.01,
        channel_base: int = 32768,
        channel_max: int = 512,
        generator_connections: Connections = Connections(image_skips=True),
        discriminator_connections: Connections = Connections(residual=True),
        style_mixing: float = 0.9,
        truncation_layers: int | None = None,
        discriminator_mapping_layers: int = 8,
        minibatch_stddev_group: int | None = 4,
        minibatch_stddev_within_classes: bool = False,
        clamp: float | None = None,
        training: Training = Training(),
    ) -> None:
        width = image_size if image_width is None else image_width
        check_at_least(
            1,
            image_size=image_size,
            image_width=width,
            image_channels=image_channels,
            latent_dim=latent_dim,
            style_dim=style_dim,
            mapping_layers=mapping_layers,
            channel_base=channel_base,
            channel_max=channel_max,
            minibatch_stddev_group=minibatch_stddev_group,
        )
        check_at_least(
            0,
            number_of_classes=number_of_classes,
            mapping_learning_rate_multiplier=mapping_learning_rate_multiplier,
            truncation_layers=truncation_layers or 0,
            discriminator_mapping_layers=discriminator_mapping_layers,
        )
        if clamp is not None and not clamp > 0:
            raise ValueError(f"clamp={clamp} must be positive; leave it out for no limit")
        sizes = ImageSizes(
            image_height=image_size,
            image_width=width,
            image_channels=image_channels,
            channel_base=channel_base,
            channel_max=channel_max,
        )
        super().__init__(
            generator=StyleBasedGenerator(
                mapping=StyleGAN2Mapping(
                    latent_dim=latent_dim,
                    style_dim=style_dim,
                    layers=mapping_layers,
                    learning_rate_multiplier=mapping_learning_rate_multiplier,
                    number_of_classes=number_of_classes,
                ),
                synthesis=SynthesisNetwork(
                    sizes=sizes, style_dim=style_dim, connections=generator_connections, clamp=clamp
                ),
                style_mixing=style_mixing,
            ),
            discriminator=Discriminator(
                sizes=sizes,
                number_of_classes=number_of_classes,
                connections=discriminator_connections,
                label_mapping_layers=discriminator_mapping_layers,
                learning_rate_multiplier=mapping_learning_rate_multiplier,
                minibatch_stddev_group=minibatch_stddev_group,
                minibatch_stddev_within_classes=minibatch_stddev_within_classes,
                clamp=clamp,
            ),
            latent_dim=latent_dim,
            number_of_classes=number_of_classes,
            training=training,
        )
        connections = {
            "generator_connections": generator_connections,
            "discriminator_connections": discriminator_connections,
        }
        self.save_hyperparameters(ignore=unsaved_arguments(*connections))
        if "generator_connections" not in self.hparams:  # made in Python
            self.hparams.update(plain_data(**connections))
        self.image_size = image_size
        self.truncation_layers = truncation_layers
