"""What a generator and an encoder minimise together, where one critic scores pairs (x, z) of both.

It scores pairs (x, E(x)) of a real image and its code, and pairs (G(z), z) of a latent and its image. The generator
wants its pairs to look like the encoder's, and the encoder its own like the generator's (BiGAN, Donahue et al. 2017,
arXiv:1605.09782; ALI, Dumoulin et al. 2017, arXiv:1606.00704).
"""

from lightning_gan.losses.base import AdversarialLoss
from lightning_gan.tensors.shapes import FakeLogits, Logits, Scalar


def mirrored_generator_cost(loss: AdversarialLoss, real_logits: Logits) -> Scalar:
    """The generator's cost with real and fake exchanged: what the encoder minimises, of the scores of (x, E(x)).

    Scores are reflected at the objective's neutral score: ``softplus(D)`` where the generator has ``softplus(-D)``, and
    ``E D`` where it has ``-E D``.

    Raises:
        ValueError: for an objective that has no such score.
    """
    if loss.neutral_score is None:
        raise ValueError(
            f"{type(loss).__name__} does not mirror real and fake, so an encoder's cost is unknown; take "
            "NonSaturating, Hinge, LeastSquares, Wasserstein or a relativistic objective"
        )
    return loss.generator(None, 2 * loss.neutral_score - real_logits)


def joint_generator_cost(loss: AdversarialLoss, real_logits: Logits, fake_logits: FakeLogits) -> Scalar:
    """The sum of the generator's and the encoder's costs, each of which depends on one of the two networks.

    For `NonSaturating` it is the discriminator's cost with swapped targets, ``E softplus(D(x, E(x))) + E
    softplus(-D(G(z), z))``. A relativistic generator compares both kinds of pairs already.

    Raises:
        ValueError: for an objective that does not mirror real and fake.

    Example:
        >>> import torch
        >>> from lightning_gan.losses.wasserstein import Wasserstein
        >>> joint_generator_cost(Wasserstein(), torch.tensor([3.0]), torch.tensor([1.0])).item()
        2.0
    """
    if loss.generator_needs_real:
        return loss.generator(real_logits, fake_logits)
    return loss.generator(None, fake_logits) + mirrored_generator_cost(loss, real_logits)
