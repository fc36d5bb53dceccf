"""The regularizer of Roth et al. 2017 (arXiv:1705.09367): what noise on real and fake images would cost, without noise.

Convolving both distributions with Gaussian noise of variance gamma adds, to first order, gamma/2 times these numbers to
the f-GAN's objective.
"""

from einops import reduce

from lightning_gan.penalties.gradient import squared_gradient_norm
from lightning_gan.tensors.precision import full_precision
from lightning_gan.tensors.shapes import Images, Logits, PerSample, Scalar


def one_per_sample(logits: Logits) -> PerSample:
    """The mean of a patch critic's map of scores, which acts as the sample's one logit."""
    return reduce(full_precision(logits), "batch ... -> batch", "mean")


def jensen_shannon_regularizer(real_logits: Logits, real: Images, fake_logits: Logits, fake: Images) -> Scalar:
    """``E_P[(1 - s(D))^2 ||dD/dx||^2] + E_Q[s(D)^2 ||dD/dx||^2]`` with the sigmoid s (algorithm 1).

    D is the logit, not the probability. The weights are part of the function and take gradients too, as in the authors'
    code. A critic that is confident and right costs nothing, unlike under R1.

    Args:
        real_logits: scores of the real images.
        real: real images, which the scores were computed from.
        fake_logits: scores of the fakes.
        fake: fakes, which the scores were computed from.
    """
    real_logit, fake_logit = one_per_sample(real_logits), one_per_sample(fake_logits)
    # 1 - sigmoid(t) = sigmoid(-t), without cancellation for large t.
    at_real = (-real_logit).sigmoid().square() * squared_gradient_norm(real_logit, real)
    at_fake = fake_logit.sigmoid().square() * squared_gradient_norm(fake_logit, fake)
    return at_real.mean() + at_fake.mean()


def f_gan_regularizer(curvature: PerSample, score: PerSample, fake: Images) -> Scalar:
    """``E_Q[f*''(T) ||dT/dx||^2]`` for the f-GAN with score T, where f* is the conjugate of f.

    The weight is the only thing that depends on f. A weight for another variable will do: with ``T = g(V)``, the weight
    ``f*''(g(V)) g'(V)^2`` belongs to the gradient of the logit V, which then is the `score` here.

    Args:
        curvature: the weights, computed from the scores; they take gradients too.
        score: what is differentiated, one number per sample.
        fake: fakes, which the scores were computed from.
    """
    return (curvature * squared_gradient_norm(score, fake)).mean()


def annealing_at(images_seen: int, *, annealing_images: int, final_factor: float) -> float:
    """The factor on gamma: from 1 exponentially to `final_factor`, and no further (the authors' code: 0.01).

    Args:
        images_seen: images the discriminator has seen.
        annealing_images: after how many of them the factor is `final_factor`.
        final_factor: what is left at the end.

    Example:
        >>> [2 * annealing_at(seen, annealing_images=100, final_factor=0.01) for seen in (0, 50, 100, 150)]
        [2.0, 0.2, 0.02, 0.02]
    """
    return float(final_factor ** min(images_seen / annealing_images, 1.0))
