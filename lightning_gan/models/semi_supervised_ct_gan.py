"""CT-GAN for few labels, "Improving the Improved Training of Wasserstein GANs", section on semi-supervised learning.

Wei et al. 2018, arXiv:1803.01541; objective and networks are those of the authors' code, which builds on "Improved
Techniques for Training GANs" (Salimans et al. 2016, arXiv:1606.03498, section 5).

The discriminator is a classifier of K classes and of one more class, "generated", whose logit is fixed at 0: the
probability that an image is real is ``sigmoid(logsumexp(class logits))``. It learns from all images which are real,
from those with labels the classes, and that two dropout masks give the same classes. The generator minimizes the
difference of the discriminator's mean features between real and generated images.

We draw Gaussian latents instead of uniform ones, and do not initialize weight normalization from data. The authors'
second variant, which stores the earlier predictions of each image (temporal ensembling), is not in this package.
"""

from copy import deepcopy
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax, mse_loss
from torch.nn.utils.parametrizations import weight_norm
from torchmetrics import MeanMetric

from lightning_gan.compat import lerp_all
from lightning_gan.layers import label_vectors
from lightning_gan.layers.batch_norm import BatchNorm
from lightning_gan.layers.dropout import Dropout
from lightning_gan.layers.growing import doublings
from lightning_gan.loop.batches import Batch
from lightning_gan.loop.draws import Draws, Reals
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.hyperparameters import unsaved_arguments
from lightning_gan.loop.settings import Training
from lightning_gan.loop.turn import Player, Scores, Turn
from lightning_gan.tensors.precision import full_precision
from lightning_gan.tensors.shapes import Features, Images, Labels, Latents, Logits, Scalar


@dataclass(frozen=True, kw_only=True)
class SemiSupervisedScores(Scores):
    """The scores of a turn, with the discriminator's features and class logits.

    In the discriminator's turn the real images have two forward passes, with different dropout masks.

    Attributes:
        real_features: Features of the real images before the last layer, `batch features`.
        fake_features: Features of the fakes before the last layer, `fakes features`.
        real_class_logits: Class logits of the real images, `batch classes`.
        second_features: Features of the real images with the second dropout mask; None in the generator's turn.
        second_class_logits: Class logits of the real images with the second dropout mask; None in the generator's turn.
    """

    real_features: Features
    fake_features: Features
    real_class_logits: Logits
    second_features: Features | None
    second_class_logits: Logits | None


def score_of(class_logits: Logits) -> Logits:
    """``log(p / (1 - p))`` of the probability p that an image is real (section 5 of arXiv:1606.03498), in fp32.

    Args:
        class_logits: Class logits, `batch classes`; the scores are `batch 1`.
    """
    return full_precision(class_logits).logsumexp(dim=1, keepdim=True)


def labelled_cost(class_logits: Logits, labels: Labels) -> Scalar:
    """Mean cross-entropy in nats of the images that have a label; 0 if no image has one.

    Args:
        class_logits: Class logits, `batch classes`.
        labels: Class indices, or rows `batch classes`. An image without a label has a row of zeros.
    """
    targets = label_vectors(labels, number_of_classes=class_logits.shape[1]).to(class_logits)
    likelihoods = (targets * log_softmax(class_logits, dim=1)).sum(dim=1)
    return -likelihoods.sum() / targets.sum().clamp(min=1)


class Generator(nn.Module):
    """Maps latents to images: a fully connected layer to 4x4, then 5x5 transposed convolutions.

    Batch normalization follows every layer except the last, which has weight normalization. The arguments are described
    in `SemiSupervisedCTGAN`; `width` is called `generator_width` there.
    """

    def __init__(self, *, image_size: int, image_channels: int, latent_dim: int, width: int) -> None:
        super().__init__()
        widths = [width * 2**stage for stage in reversed(range(doublings(image_size)))]
        self.input = nn.Linear(latent_dim, widths[0] * 16)
        self.input_norm = BatchNorm(widths[0] * 16)
        self.blocks = nn.Sequential(
            *[
                nn.Sequential(
                    nn.ConvTranspose2d(before, after, kernel_size=5, stride=2, padding=2, output_padding=1),
                    BatchNorm(after),
                    nn.ReLU(),
                )
                for before, after in pairwise(widths)
            ]
        )
        self.output = weight_norm(
            nn.ConvTranspose2d(widths[-1], image_channels, kernel_size=5, stride=2, padding=2, output_padding=1)
        )

    def forward(self, latents: Latents, labels: Labels | None = None) -> Images:
        """`batch latent_dim` to images in [-1, 1]; the labels are not used."""
        features = self.input_norm(self.input(latents).relu()).unflatten(1, (-1, 4, 4))
        images: Tensor = self.output(self.blocks(features)).tanh()
        return images


def convolution(before: int, after: int, *, kernel_size: int = 3, stride: int = 1, padding: int = 1) -> nn.Sequential:
    """A convolution with weight normalization and weights from N(0, 0.05^2), followed by leaky ReLU with slope 0.2.

    Args:
        before: Number of channels of the input.
        after: Number of channels of the output.
        kernel_size: Height and width of the kernel in pixels.
        stride: Stride in pixels.
        padding: Zeros that are added on each side in pixels.
    """
    layer = nn.Conv2d(before, after, kernel_size, stride=stride, padding=padding)
    nn.init.normal_(layer.weight, std=0.05)
    return nn.Sequential(weight_norm(layer), nn.LeakyReLU(0.2))


class Discriminator(nn.Module):
    """Maps images to class logits and features: nine convolutions with weight normalization, and dropout.

    The arguments are described in `SemiSupervisedCTGAN`; `width` is called `discriminator_width` there.
    """

    def __init__(self, *, image_channels: int, number_of_classes: int, width: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            Dropout(0.2),
            convolution(image_channels, width),
            convolution(width, width),
            convolution(width, width, stride=2),
            Dropout(0.5),
            convolution(width, 2 * width),
            convolution(2 * width, 2 * width),
            convolution(2 * width, 2 * width, stride=2),
            Dropout(0.5),
            convolution(2 * width, 2 * width, padding=0),
            convolution(2 * width, 2 * width, kernel_size=1, padding=0),
            convolution(2 * width, 2 * width, kernel_size=1, padding=0),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.to_classes = weight_norm(nn.Linear(2 * width, number_of_classes))

    def forward(self, images: Images) -> tuple[Logits, Features]:
        """Images in [-1, 1] to class logits `batch classes` and features `batch 2 * width`."""
        features: Tensor = self.features(images)
        return self.to_classes(features), features


class SemiSupervisedCTGAN(GAN):
    """CT-GAN's classifier, trained with few labels; the label of an unlabelled image is a row of zeros.

    The authors train with Adam at a learning rate of 0.0003 and betas (0.5, 0.999). `validate` and `test` log the
    accuracy on the labelled images, with the average weights of the discriminator, as "validation/accuracy" and
    "test/accuracy".

    Args:
        image_size: Height and width of the images in pixels, a power of two from 16; 32 in the paper.
        image_channels: Number of channels of the images.
        number_of_classes: K, number of classes, at least 2.
        latent_dim: Size of the latent z.
        generator_width: Number of feature maps before the generator's last layer. It doubles with every halving of the
            resolution.
        discriminator_width: Number of feature maps of the discriminator's first three convolutions; the other six have
            twice as many.
        class_consistency: Weight of the mean squared difference between the class probabilities with two dropout masks.
        feature_consistency: Weight of the mean squared difference between the features with two dropout masks.
        average_decay: Decay of the discriminator's average weights, in [0, 1). After each batch they are
            `average_decay` times the old average plus `1 - average_decay` times the weights.

    Raises:
        ValueError: for a loss, fewer than two classes, a size that is not a power of two from 16, and a decay outside
            [0, 1).
    """

    discriminator: Discriminator

    def __init__(
        self,
        *,
        image_size: int = 32,
        image_channels: int = 3,
        number_of_classes: int,
        latent_dim: int = 100,
        generator_width: int = 128,
        discriminator_width: int = 96,
        class_consistency: float = 0.5,
        feature_consistency: float = 0.05,
        average_decay: float = 0.9999,
        training: Training = Training(),
    ) -> None:
        training.check_default_loss("SemiSupervisedCTGAN")
        if number_of_classes < 2:
            raise ValueError(f"number_of_classes={number_of_classes} must be 2 at least; use data with labels")
        if image_size < 16:
            raise ValueError(f"image_size={image_size} must be 16 at least, so that the last 3x3 kernel fits")
        if not 0 <= average_decay < 1:
            raise ValueError(f"average_decay={average_decay} must be at least 0 and below 1")
        super().__init__(
            generator=Generator(
                image_size=image_size, image_channels=image_channels, latent_dim=latent_dim, width=generator_width
            ),
            discriminator=Discriminator(
                image_channels=image_channels, number_of_classes=number_of_classes, width=discriminator_width
            ),
            latent_dim=latent_dim,
            number_of_classes=number_of_classes,
            training=training,
        )
        self.save_hyperparameters(ignore=unsaved_arguments())
        self.class_consistency = class_consistency
        self.feature_consistency = feature_consistency
        self.average_decay = average_decay
        self.discriminator_ema = deepcopy(self.discriminator).requires_grad_(False).eval()
        self.accuracy = MeanMetric()

    # ------------------------------------------------------------------ the objective

    def score(self, images: Images, labels: Labels | None) -> Logits:
        """Log-odds that images in [-1, 1] are real, `batch 1`, in fp32; the labels are not used."""
        return score_of(self.discriminate(images)[0])

    def score_turn(self, player: Player, reals: Reals, draws: Draws, fake: Images) -> SemiSupervisedScores:
        """Scores and classifies real and generated images; in the discriminator's turn the real images twice."""
        second_class_logits, second_features = None, None
        if player == "discriminator":
            second_class_logits, second_features = self.discriminate(reals.images)
        real_class_logits, real_features = self.discriminate(reals.images)
        fake_class_logits, fake_features = self.discriminate(fake)
        return SemiSupervisedScores(
            real_logits=score_of(real_class_logits),
            fake_logits=score_of(fake_class_logits),
            critic=self.score,
            real_features=real_features,
            fake_features=fake_features,
            real_class_logits=real_class_logits,
            second_features=second_features,
            second_class_logits=second_class_logits,
        )

    def objective(self, turn: Turn) -> dict[str, Scalar]:
        """Feature matching for the generator; for the discriminator the costs of scores, classes and consistency."""
        scores = turn.scores
        assert isinstance(scores, SemiSupervisedScores)
        real_features, fake_features = full_precision(scores.real_features), full_precision(scores.fake_features)
        if turn.player == "generator":
            return {"feature_matching": (real_features.mean(dim=0) - fake_features.mean(dim=0)).abs().mean()}
        assert turn.labels is not None and turn.real_logits is not None
        assert scores.second_class_logits is not None and scores.second_features is not None
        class_logits = full_precision(scores.real_class_logits)
        second_class_logits = full_precision(scores.second_class_logits)
        return {
            "adversarial": 0.5 * self.loss.discriminator(turn.real_logits, turn.fake_logits),
            "classification": labelled_cost(class_logits, turn.labels),
            "class_consistency": self.class_consistency
            * mse_loss(class_logits.softmax(dim=1), second_class_logits.softmax(dim=1)),
            "feature_consistency": self.feature_consistency
            * mse_loss(real_features, full_precision(scores.second_features)),
        }

    # ------------------------------------------------------------------ the classifier

    @torch.no_grad()
    def finish_batch(self) -> None:
        """Moves the discriminator's average weights towards its weights."""
        averages: list[Tensor] = list(self.discriminator_ema.parameters())
        weights: list[Tensor] = list(self.discriminator.parameters())
        lerp_all(averages, weights, 1.0 - self.average_decay)

    def train(self, mode: bool = True) -> "SemiSupervisedCTGAN":
        """Sets the mode of all modules but the discriminator's average, which stays in evaluation mode."""
        super().train(mode)
        self.discriminator_ema.eval()
        return self

    @torch.no_grad()
    def classify(self, images: Images) -> Tensor:
        """The most probable class of each image in [-1, 1], `batch`, by the discriminator's average weights."""
        class_logits: Tensor = self.discriminator_ema(images)[0]
        return class_logits.argmax(dim=1)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Logs the accuracy on the labelled images of a batch as "validation/accuracy"."""
        self._log_accuracy(batch, "validation/accuracy")

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Logs the accuracy on the labelled images of a batch as "test/accuracy"."""
        self._log_accuracy(batch, "test/accuracy")

    def _log_accuracy(self, batch: Batch, name: str) -> None:
        reals = self.prepare(batch)
        assert reals.labels is not None
        targets = label_vectors(reals.labels, number_of_classes=self.number_of_classes)
        right = self.classify(reals.images) == targets.argmax(dim=1)
        self.accuracy.update(right.float(), weight=targets.sum(dim=1))  # images without a label do not count
        self.log(name, self.accuracy)
