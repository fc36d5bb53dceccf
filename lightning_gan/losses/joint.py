"""The joint cost of a generator and an encoder whose discriminator takes pairs (x, z) of an image and a latent.

Real pairs are (x, E(x)), an image and its code; fake pairs are (G(z), z), a generated image and its latent. The
generator makes its pairs more like the encoder's, and the encoder makes its pairs more like the generator's (BiGAN,
Donahue et al. 2017, arXiv:1605.09782; ALI, Dumoulin et al. 2017, arXiv:1606.00704).
"""

from lightning_gan.losses.base import AdversarialLoss
from lightning_gan.tensors.shapes import FakeLogits, Logits, Scalar


def mirrored_generator_cost(loss: AdversarialLoss, real_logits: Logits) -> Scalar:
    """Returns the encoder's cost: the generator's cost with real and fake exchanged.

    Logits are reflected at the objective's neutral score: the encoder's cost is ``softplus(D)`` if the generator's is
    ``softplus(-D)``, and ``E D`` if the generator's is ``-E D``.

    Args:
        loss: the objective.
        real_logits: logits of the pairs (x, E(x)).

    Raises:
        ValueError: if the objective has no neutral score.
    """
    if loss.neutral_score is None:
        raise ValueError(
            f"{type(loss).__name__} has no neutral score, which an encoder's cost needs; take "
            "NonSaturating, Hinge, LeastSquares, Wasserstein or a relativistic objective"
        )
    return loss.generator(None, 2 * loss.neutral_score - real_logits)


def joint_generator_cost(loss: AdversarialLoss, real_logits: Logits, fake_logits: FakeLogits) -> Scalar:
    """Returns the sum of the generator's and the encoder's costs, each of which depends on one of the two networks.

    For `NonSaturating` it is the discriminator's cost with swapped targets,
    ``E softplus(D(x, E(x))) + E softplus(-D(G(z), z))``. The cost of a relativistic generator already depends on both
    kinds of pairs.

    Args:
        loss: the objective.
        real_logits: logits of the pairs (x, E(x)).
        fake_logits: logits of the pairs (G(z), z).

    Raises:
        ValueError: if the objective has no neutral score and is not relativistic.

    Example:
        >>> import torch
        >>> from lightning_gan.losses.wasserstein import Wasserstein
        >>> joint_generator_cost(Wasserstein(), torch.tensor([3.0]), torch.tensor([1.0])).item()
        2.0
    """
    if loss.generator_needs_real:
        return loss.generator(real_logits, fake_logits)
    return loss.generator(None, fake_logits) + mirrored_generator_cost(loss, real_logits)
