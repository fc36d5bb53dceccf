"""CT-GAN for few labels, "Improving the Improved Training of Wasserstein GANs", section on semi-supervised learning.

Wei et al. 2018, arXiv:1803.01541; objective and networks as in the authors' code, which builds on "Improved Techniques
for Training GANs" (Salimans et al. 2016, arXiv:1606.03498, section 5).

The discriminator is a classifier of K classes and of a last one, "generated", whose logit is fixed at 0: an image is
real with the probability ``sigmoid(logsumexp(class logits))``. All images teach it what is real, two dropout masks
should give them the same classes, and those with labels teach it the classes. The generator matches the mean of the
discriminator's features.

We draw Gaussian latents instead of uniform ones, and do not initialize weight norm from data. The authors' second
variant, which remembers each image's earlier prediction (temporal ensembling), is not here.
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
    """A turn with what the discriminator takes images for, under one dropout mask and, in its own turn, under another.

    Attributes:
        real_features: the layer before the class logits, of the real images.
        fake_features: of the fakes.
        real_class_logits: `batch classes`, of the real images.
        second_features: of the real images under another mask; None in the generator's turn.
        second_class_logits: likewise.
    """

    real_features: Features
    fake_features: Features
    real_class_logits: Logits
    second_features: Features | None
    second_class_logits: Logits | None


def score_of(class_logits: Logits) -> Logits:
    """``log(p / (1 - p))``, `batch 1`, of the probability that an image is real (section 5 of arXiv:1606.03498)."""
    return full_precision(class_logits).logsumexp(dim=1, keepdim=True)


def labelled_cost(class_logits: Logits, labels: Labels) -> Scalar:
    """Cross-entropy of the images that have a label; those without have a row of zeros, and cost nothing."""
    targets = label_vectors(labels, number_of_classes=class_logits.shape[1]).to(class_logits)
    likelihoods = (targets * log_softmax(class_logits, dim=1)).sum(dim=1)
    return -likelihoods.sum() / targets.sum().clamp(min=1)


class Generator(nn.Module):
    """Latents to images: a fully connected layer, then 5x5 transposed convolutions, with batch norm but for the last.

    Arguments are as in `SemiSupervisedCTGAN`; `width` is `generator_width` there.
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
        """Images in [-1, 1]; the labels are not used."""
        features = self.input_norm(self.input(latents).relu()).unflatten(1, (-1, 4, 4))
        images: Tensor = self.output(self.blocks(features)).tanh()
        return images


def convolution(before: int, after: int, *, kernel_size: int = 3, stride: int = 1, padding: int = 1) -> nn.Sequential:
    """A convolution with weight norm, and leaky ReLU."""
    layer = nn.Conv2d(before, after, kernel_size, stride=stride, padding=padding)
    nn.init.normal_(layer.weight, std=0.05)
    return nn.Sequential(weight_norm(layer), nn.LeakyReLU(0.2))


class Discriminator(nn.Module):
    """Images to class logits, with the features they are made of: nine convolutions with weight norm, and dropout.

    Arguments are as in `SemiSupervisedCTGAN`; `width` is `discriminator_width` there.
    """

    def __init__(self, *, image_channels: int, number_of_classes: int, width: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Dropout(0.2),
            convolution(image_channels, width),
            convolution(width, width),
            convolution(width, width, stride=2),
            nn.Dropout(0.5),
            convolution(width, 2 * width),
            convolution(2 * width, 2 * width),
            convolution(2 * width, 2 * width, stride=2),
            nn.Dropout(0.5),
            convolution(2 * width, 2 * width, padding=0),
            convolution(2 * width, 2 * width, kernel_size=1, padding=0),
            convolution(2 * width, 2 * width, kernel_size=1, padding=0),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.to_classes = weight_norm(nn.Linear(2 * width, number_of_classes))

    def forward(self, images: Images) -> tuple[Logits, Features]:
        """Class logits, `batch classes`, and features, `batch 2 * width`."""
        features: Tensor = self.features(images)
        return self.to_classes(features), features


class SemiSupervisedCTGAN(GAN):
    """CT-GAN's classifier from few labels; images without a label have a row of zeros in place of a one-hot row.

    The authors' optimizers are Adam with 0.0003 and betas (0.5, 0.999). `validate` and `test` report the accuracy of
    the discriminator's average on the labelled images as "validation/accuracy" and "test/accuracy".

    Args:
        image_size: a power of two from 16; 32 in the paper.
        image_channels: channels of the images.
        number_of_classes: K, two at least.
        latent_dim: size of z.
        generator_width: feature maps before the generator's last layer; doubled with every halving.
        discriminator_width: feature maps of the discriminator's first three layers; the others have twice as many.
        class_consistency: weight of the mean squared difference of class probabilities under two dropout masks.
        feature_consistency: weight of the mean squared difference of features.
        average_decay: what a batch leaves of the discriminator's average.

    Raises:
        ValueError: for a loss, fewer than two classes, a size that is no power of two, and a decay outside [0, 1).
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
            raise ValueError(f"number_of_classes={number_of_classes} must be 2 at least; give data with labels")
        if image_size < 16:
            raise ValueError(f"image_size={image_size} must be 16 at least: the discriminator ends with a 3x3 kernel")
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

    # ------------------------------------------------------------------ the game

    def score(self, images: Images, labels: Labels | None) -> Logits:
        return score_of(self.discriminate(images)[0])

    def score_turn(self, player: Player, reals: Reals, draws: Draws, fake: Images) -> SemiSupervisedScores:
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
        averages: list[Tensor] = list(self.discriminator_ema.parameters())
        weights: list[Tensor] = list(self.discriminator.parameters())
        lerp_all(averages, weights, 1.0 - self.average_decay)

    def train(self, mode: bool = True) -> "SemiSupervisedCTGAN":
        super().train(mode)
        self.discriminator_ema.eval()
        return self

    @torch.no_grad()
    def classify(self, images: Images) -> Tensor:
        """The likeliest class of every image, by the discriminator's average."""
        class_logits: Tensor = self.discriminator_ema(images)[0]
        return class_logits.argmax(dim=1)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._log_accuracy(batch, "validation/accuracy")

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self._log_accuracy(batch, "test/accuracy")

    def _log_accuracy(self, batch: Batch, name: str) -> None:
        reals = self.prepare(batch)
        assert reals.labels is not None
        targets = label_vectors(reals.labels, number_of_classes=self.number_of_classes)
        right = self.classify(reals.images) == targets.argmax(dim=1)
        self.accuracy.update(right.float(), weight=targets.sum(dim=1))  # images without a label do not count
        self.log(name, self.accuracy)
