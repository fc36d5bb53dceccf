"""The regularizer of Roth et al. 2017 (arXiv:1705.09367), which replaces noise on real and fake images.

To first order, Gaussian noise of variance gamma on both distributions adds gamma/2 times this regularizer to the
f-GAN's objective.
"""

from lightning_gan.penalties.gradient import one_per_sample, squared_gradient_norm
from lightning_gan.tensors.shapes import Images, Logits, PerSample, Scalar


def jensen_shannon_regularizer(
    real_logits: Logits, real: Images, fake_logits: Logits, fake: Images, *, mean_over_patches: bool = True
) -> Scalar:
    """Returns ``E_P[(1 - s(D))^2 ||dD/dx||^2] + E_Q[s(D)^2 ||dD/dx||^2]`` with the sigmoid s (algorithm 1).

    D is the logit, not the probability. Gradients also flow through the weights ``(1 - s(D))^2`` and ``s(D)^2``, as in
    the authors' code. Unlike R1, it is near 0 for a discriminator that is certain and right.

    Args:
        real_logits: logits of the real images.
        real: real images from which the logits were computed.
        fake_logits: logits of the fakes.
        fake: fakes from which the logits were computed.
        mean_over_patches: whether D(x) of a patch discriminator is the mean of its map of logits, not the sum. The
            sigmoid and the gradient are those of this one logit.
    """
    real_logit, fake_logit = (
        one_per_sample(logits, mean_over_patches=mean_over_patches) for logits in (real_logits, fake_logits)
    )
    # 1 - sigmoid(t) = sigmoid(-t), without cancellation for large t.
    at_real = (-real_logit).sigmoid().square() * squared_gradient_norm(real_logit, real)
    at_fake = fake_logit.sigmoid().square() * squared_gradient_norm(fake_logit, fake)
    return at_real.mean() + at_fake.mean()


def f_gan_regularizer(curvature: PerSample, score: PerSample, fake: Images) -> Scalar:
    """Returns ``E_Q[f*''(T) ||dT/dx||^2]`` for the f-GAN with score T, where f* is the conjugate of f.

    Only the weight f*''(T) depends on f. The gradient may also be that of the logit V: with ``T = g(V)``, `score` is V
    and the weight is ``f*''(g(V)) g'(V)^2``.

    Args:
        curvature: weights, computed from the scores; gradients also flow through them.
        score: score or logit to differentiate, one number per sample.
        fake: fakes from which the scores were computed.
    """
    return (curvature * squared_gradient_norm(score, fake)).mean()


def annealing_at(images_seen: int, *, annealing_images: int, final_factor: float) -> float:
    """Returns the factor on gamma, which decays exponentially from 1 to `final_factor` and then is constant.

    Args:
        images_seen: number of images that the discriminator has seen.
        annealing_images: number of images after which the factor is `final_factor`.
        final_factor: factor at the end of the decay; 0.01 in the authors' code.

    Example:
        >>> [2 * annealing_at(seen, annealing_images=100, final_factor=0.01) for seen in (0, 50, 100, 150)]
        [2.0, 0.2, 0.02, 0.02]
    """
    return float(final_factor ** min(images_seen / annealing_images, 1.0))
