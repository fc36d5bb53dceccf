"""GANs whose discriminator also predicts the class of an image (AC-GAN; Odena et al. 2017, arXiv:1610.09585).

Both players minimize the cross-entropy of the predicted classes (eq. 2 and 3). PGGAN, DCGAN and WGAN-GP's networks use
such a classifier when there are labels.
"""

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import cross_entropy

from lightning_gan.layers import label_vectors
from lightning_gan.loop.draws import Draws, Reals
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.turn import Player, Scores, Turn
from lightning_gan.tensors.precision import full_precision
from lightning_gan.tensors.shapes import FakeImages, FakeLogits, Images, Labels, Logits, Scalar


@dataclass(frozen=True, kw_only=True)
class AuxiliaryClassifier:
    """Weights of the cross-entropies of the predicted classes.

    Args:
        real: Weight of the cross-entropy of real images in the discriminator's turn.
        fake: Weight of the cross-entropy of generated images in the discriminator's turn; 0 in WGAN-GP's code, 1 in the
            paper and in PGGAN.
        generator: Weight of the cross-entropy of generated images in the generator's turn; 0.1 in WGAN-GP's code.

    Raises:
        ValueError: for a negative weight.
    """

    real: float = 1.0
    fake: float = 1.0
    generator: float = 1.0

    def __post_init__(self) -> None:
        for name, weight in (("real", self.real), ("fake", self.fake), ("generator", self.generator)):
            if weight < 0:
                raise ValueError(f"the auxiliary classifier's weight {name}={weight} must not be negative")


@dataclass(frozen=True, kw_only=True)
class ClassifiedScores(Scores):
    """The scores of a turn, with the discriminator's class logits.

    Attributes:
        real_class_logits: Class logits of the real images, `batch classes`; None without classes, and in the
            generator's turn unless the loss needs the real images there.
        fake_class_logits: Class logits of the fakes, `fakes classes`; None without classes.
    """

    real_class_logits: Logits | None
    fake_class_logits: FakeLogits | None


def classification_cost(class_logits: Logits, labels: Labels) -> Scalar:
    """Cross-entropy of the classes in nats, averaged over the batch.

    Args:
        class_logits: Class logits, `batch classes`.
        labels: Class indices, or multi-hot rows, which are the targets without being normalized.
    """
    targets = label_vectors(labels, number_of_classes=class_logits.shape[1]).to(class_logits)
    return cross_entropy(class_logits, targets)


class AuxiliaryClassifierGAN(GAN):
    """A GAN whose discriminator returns `batch 1 + classes`: the score, then one logit per class.

    Such a discriminator does not get labels. Models with one derive from this class and set `auxiliary_classifier`, the
    weights of the cross-entropies. Without classes, and if `auxiliary_classifier` is None, it is the same as `GAN`.
    """

    auxiliary_classifier: AuxiliaryClassifier | None = AuxiliaryClassifier()

    def score(self, images: Images, labels: Labels | None) -> Logits:
        """Scores of images in [-1, 1], `batch 1`, in fp32, without the class logits."""
        return self._score_and_classify(images, labels)[0]

    def score_turn(self, player: Player, reals: Reals, draws: Draws, fake: FakeImages) -> ClassifiedScores:
        """Scores and classifies the fakes and, where they are needed, the real images."""
        real_logits, real_class_logits = None, None
        if player == "discriminator" or self.loss.generator_needs_real:
            real_logits, real_class_logits = self._score_and_classify(reals.images, reals.labels)
        fake_logits, fake_class_logits = self._score_and_classify(fake, draws.labels)
        return ClassifiedScores(
            real_logits=real_logits,
            fake_logits=fake_logits,
            critic=self.score,
            real_class_logits=real_class_logits,
            fake_class_logits=fake_class_logits,
        )

    def objective(self, turn: Turn) -> dict[str, Scalar]:
        """The adversarial cost of `GAN`, and with classes the weighted cross-entropies as "classification"."""
        terms = super().objective(turn)
        weights = self.auxiliary_classifier
        if not self.number_of_classes or weights is None:
            return terms
        scores = turn.scores
        assert isinstance(scores, ClassifiedScores)
        assert scores.fake_class_logits is not None and turn.fake_labels is not None and turn.labels is not None
        of_fakes = classification_cost(scores.fake_class_logits, turn.fake_labels)
        if turn.player == "generator":
            return {**terms, "classification": weights.generator * of_fakes}
        real_class_logits = scores.real_class_logits
        if real_class_logits is None:  # the forward pass was the generator's, the objective is the discriminator's
            real_class_logits = self._score_and_classify(turn.real, turn.labels)[1]
        assert real_class_logits is not None
        of_reals = classification_cost(real_class_logits, turn.labels)
        return {**terms, "classification": weights.real * of_reals + weights.fake * of_fakes}

    def _score_and_classify(self, images: Images, labels: Labels | None) -> tuple[Logits, Tensor | None]:
        if self.auxiliary_classifier is None:
            return super().score(images, labels), None
        outputs = full_precision(self.discriminate(images))
        return outputs[:, :1], outputs[:, 1:] if self.number_of_classes else None
