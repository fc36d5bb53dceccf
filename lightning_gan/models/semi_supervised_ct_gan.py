"""CT-GAN for few labels, "Improving the Improved Training of Wasserstein GANs", section on semi-supervised learning.

Wei et al. 2018, arXiv:1803.01541; objective and networks are those of the authors' code for CIFAR-10 (CT_CIFAR.py),
which builds on "Improved Techniques for Training GANs" (Salimans et al. 2016, arXiv:1606.03498, section 5).

The discriminator is a classifier of K classes and of one more class, "generated", whose logit is fixed at 0: the
probability that an image is real is ``sigmoid(logsumexp(class logits))``. It learns from all images which are real,
from those with labels the classes, and that two dropout masks give the same classes. The generator minimizes the
difference of the discriminator's mean features between real and generated images.

Four things differ. Latents are Gaussian and not uniform in [0, 1), because callbacks that follow paths between latents
expect that. Gains of weight normalization start at the value that keeps variances and not at one computed from 500
images, so that the initial weights do not depend on the data. Labelled images are drawn with replacement. The average
of the discriminator starts at its weights and not at 0. The authors' script for MNIST, whose networks are dense with
Gaussian noise, and their variant that stores the earlier predictions of each image (temporal ensembling) are not in
this package.
"""

from copy import deepcopy
from dataclasses import dataclass

import torch
from jaxtyping import Int
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor
from torch.nn.functional import log_softmax, mse_loss
from torchmetrics import MeanMetric

from lightning_gan.compat import lerp_all
from lightning_gan.layers import label_vectors
from lightning_gan.loop.batches import Batch
from lightning_gan.loop.draws import Draws, Reals
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.hyperparameters import unsaved_arguments
from lightning_gan.loop.settings import Training
from lightning_gan.loop.turn import Player, Scores, Turn
from lightning_gan.models.labelled_images import LabelledImages
from lightning_gan.models.semi_supervised_networks import Discriminator, Generator
from lightning_gan.tensors.draws_by_position import mean_over_parts
from lightning_gan.tensors.numbers import check_at_least
from lightning_gan.tensors.precision import full_precision
from lightning_gan.tensors.shapes import Features, Images, Labels, Logits, Scalar


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
        labelled_class_logits: Class logits of the images whose labels are used; None in the generator's turn.
        labels: Class indices of those images, or rows, of which a row of zeros is no label; None in the generator's
            turn.
    """

    real_features: Features
    fake_features: Features
    real_class_logits: Logits
    second_features: Features | None
    second_class_logits: Logits | None
    labelled_class_logits: Logits | None
    labels: Labels | None


@dataclass(frozen=True, kw_only=True)
class SemiSupervisedDraws(Draws):
    """The latents of a turn, and the labelled images of the discriminator's turn.

    Attributes:
        labelled: Rows of the labelled images, `fakes`; None if the labels come with the batch.
    """

    labelled: Int[Tensor, " fakes"] | None


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
    return -likelihoods.mean() / mean_over_parts(targets.sum(dim=1)).clamp(min=1 / len(targets))


class SemiSupervisedCTGAN(GAN):
    """CT-GAN's classifier, trained with few labels.

    With `labels_per_class` the data have all labels, and the model uses those of a few images. As in the authors' code
    these images are a set of their own, of which each discriminator's turn classifies as many as its batch has;
    augmentations by the data do not change them. Without it, labels come with the batch: one row of zeros for each
    image without a label.

    The authors train with Adam at a learning rate of 0.0003 and betas (0.5, 0.999), with 400 labels of each class of
    CIFAR-10, for 1,000 epochs with batches of 100. Validation and testing measure the share of images whose class is
    wrong by the average weights of the discriminator, as "validation/classification_error" and
    "test/classification_error": among all images that have a label in the data, except those whose labels trained the
    model. While fitting, each validation prints it.

    Args:
        image_size: Height and width of the images in pixels, a power of two from 16; 32 in the paper.
        image_channels: Number of channels of the images.
        number_of_classes: K, number of classes, at least 2.
        latent_dim: Size of the latent z.
        generator_width: Number of feature maps before the generator's last layer. It doubles with every halving of the
            resolution.
        discriminator_width: Number of feature maps of the discriminator's first three convolutions. The others have
            2, 2, 2, 4, 2 and 1 times as many.
        labels_per_class: Number of images of each class whose labels are used: the first ones of the validation data,
            which must contain the training images. None uses the labels of the batches.
        class_consistency: Weight of the mean squared difference between the class probabilities with two dropout masks.
        feature_consistency: Weight of the mean squared difference between the features with two dropout masks.
        average_decay: Decay of the discriminator's average weights, in [0, 1). After each batch they are
            `average_decay` times the old average plus `1 - average_decay` times the weights.

    Raises:
        ValueError: for a loss, fewer than two classes, a size that is not a power of two from 16, a decay outside
            [0, 1), and `labels_per_class` below 1; when training begins, for more labels than the data have.
    """

    discriminator: Discriminator

    def __init__(
        self,
        *,
        image_size: int = 32,
        image_channels: int = 3,
        number_of_classes: int,
        latent_dim: int = 50,
        generator_width: int = 128,
        discriminator_width: int = 128,
        labels_per_class: int | None = None,
        class_consistency: float = 0.5,
        feature_consistency: float = 0.05,
        average_decay: float = 0.9999,
        training: Training = Training(),
    ) -> None:
        check_at_least(
            1,
            image_size=image_size,
            image_channels=image_channels,
            latent_dim=latent_dim,
            generator_width=generator_width,
            discriminator_width=discriminator_width,
            labels_per_class=labels_per_class,
        )
        check_at_least(
            0,
            number_of_classes=number_of_classes,
            class_consistency=class_consistency,
            feature_consistency=feature_consistency,
            average_decay=average_decay,
        )
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
        self.classification_error = MeanMetric()
        self.labelled = (
            None
            if labels_per_class is None
            else LabelledImages(
                per_class=labels_per_class,
                number_of_classes=number_of_classes,
                image_size=image_size,
                image_channels=image_channels,
            )
        )

    # ------------------------------------------------------------------ the labelled images

    def on_fit_start(self) -> None:
        """Chooses the labelled images from the validation data."""
        super().on_fit_start()
        if self.labelled is None:
            return
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        if data is None:
            raise ValueError(
                f"labels_per_class={self.labelled.per_class} needs a data module, whose validation data it reads; give "
                "fit(datamodule=...), or leave it out and give rows of zeros for images without a label"
            )
        self.labelled.choose(map(self.prepare, data.val_dataloader()), gather=self.trainer.strategy.all_gather)

    def draw_rows(self, count: int, random: torch.Generator) -> SemiSupervisedDraws:
        """Draws latents, and which of the labelled images are classified."""
        latents = torch.randn(count, self.latent_dim, generator=random, device=random.device)
        rows = None
        if self.labelled is not None:
            rows = torch.randint(len(self.labelled), (count,), generator=random, device=random.device)
        return SemiSupervisedDraws(latents=latents, labels=None, labelled=rows)

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
        labelled_class_logits, labels = None, None
        if player == "discriminator":
            labelled_class_logits, labels = real_class_logits, reals.labels
            if self.labelled is not None:
                assert isinstance(draws, SemiSupervisedDraws) and draws.labelled is not None
                labels = self.labelled.classes[draws.labelled]
                labelled_class_logits, _ = self.discriminate(self.labelled.images(draws.labelled))
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
            labelled_class_logits=labelled_class_logits,
            labels=labels,
        )

    def objective(self, turn: Turn) -> dict[str, Scalar]:
        """Feature matching for the generator; for the discriminator the costs of scores, classes and consistency."""
        scores = turn.scores
        assert isinstance(scores, SemiSupervisedScores)
        real_features, fake_features = full_precision(scores.real_features), full_precision(scores.fake_features)
        if turn.player == "generator":
            real_mean, fake_mean = (mean_over_parts(features, dim=0) for features in (real_features, fake_features))
            return {"feature_matching": (real_mean - fake_mean).abs().mean()}
        assert turn.real_logits is not None
        assert scores.labelled_class_logits is not None and scores.labels is not None
        assert scores.second_class_logits is not None and scores.second_features is not None
        class_logits = full_precision(scores.real_class_logits)
        second_class_logits = full_precision(scores.second_class_logits)
        return {
            "adversarial": 0.5 * self.loss.discriminator(turn.real_logits, turn.fake_logits),
            "classification": labelled_cost(full_precision(scores.labelled_class_logits), scores.labels),
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
        """Adds a batch to "validation/classification_error"."""
        self._add_errors(batch, "validation/classification_error")

    def on_validation_epoch_end(self) -> None:
        """While fitting, prints the classification error."""
        if self.trainer.state.fn == TrainerFn.FITTING:
            error = 100 * float(self.classification_error.compute())
            self.print(f"{self.kimg:.1f} {self.clock_unit}: classification error {error:.2f} %")

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Adds a batch to "test/classification_error"."""
        self._add_errors(batch, "test/classification_error")

    def _add_errors(self, batch: Batch, name: str) -> None:
        reals = self.prepare(batch)
        assert reals.labels is not None
        targets = label_vectors(reals.labels, number_of_classes=self.number_of_classes)
        counted = targets.sum(dim=1)  # images without a label do not count
        if self.labelled is not None:
            counted = counted * ~self.labelled.contain(reals.images)
        wrong = self.classify(reals.images) != targets.argmax(dim=1)
        self.classification_error.update(wrong.float(), weight=counted)
        self.log(name, self.classification_error)
