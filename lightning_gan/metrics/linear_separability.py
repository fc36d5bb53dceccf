"""Linear separability of a latent space by the images' attributes (Karras et al. 2019, arXiv:1812.04948, section 4.2).

A classifier of images decides whether each sample has an attribute, and a linear support vector machine predicts this
from the latent. H(Y|X) is the conditional entropy of the classifier's answer Y given the prediction X. Over all
attributes the score is ``exp(sum_i H(Y_i|X_i))``: it is 1 if planes separate all attributes, and each balanced
attribute of which the latents say nothing multiplies it by 2.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lightning_gan.tensors.shapes import Latents, Scalar

LARGEST_STEPS = 100
"""Limit on Newton steps; about a dozen are enough, as each solves the problem exactly for the samples in the margin."""


class Plane(NamedTuple):
    """A plane: latents with ``latents @ weight + bias > 0`` are predicted to have the attribute."""

    weight: Float[Tensor, " latent"]
    bias: Scalar


def _objective(solution: Tensor, points: Tensor, signs: Tensor, *, cost: float) -> Scalar:
    slack = (1 - signs * (points @ solution)).clamp(min=0)
    objective: Scalar = 0.5 * solution.square().sum() + cost * slack.square().sum()
    return objective


def support_vector_machine(latents: Latents, has_attribute: Bool[Tensor, " batch"], *, cost: float = 1.0) -> Plane:
    """Returns the plane that minimizes ``|(w, b)|^2 / 2 + cost sum_i max(0, 1 - y_i (w x_i + b))^2``, in float64.

    This is the problem of scikit-learn's `LinearSVC` with its default settings, which the authors use. It is convex and
    piecewise quadratic, so that Newton's method with a line search reaches the exact minimum in few steps (Keerthi and
    DeCoste 2005). It runs on the latents' device and needs no other dependency.

    Args:
        latents: `batch latent`.
        has_attribute: whether each latent's image has the attribute.
        cost: weight C of violations of the margin.

    Example:
        >>> plane = support_vector_machine(torch.tensor([[-1.0], [1.0]]), torch.tensor([False, True]))
        >>> [round(value, 6) for value in (plane.weight.item(), abs(plane.bias.item()))]
        [0.8, 0.0]
    """
    points = torch.cat([latents.double(), latents.new_ones(len(latents), 1, dtype=torch.float64)], dim=1)
    signs = has_attribute.double() * 2 - 1
    solution = points.new_zeros(points.shape[1])
    identity = torch.eye(points.shape[1], dtype=points.dtype, device=points.device)
    value = _objective(solution, points, signs, cost=cost)
    for _ in range(LARGEST_STEPS):
        slack = (1 - signs * (points @ solution)).clamp(min=0)
        gradient = solution - 2 * cost * points.T @ (signs * slack)
        inside = points[slack > 0]
        step = torch.linalg.solve(identity + 2 * cost * inside.T @ inside, gradient)
        descent, length = gradient @ step, 1.0
        while length > 1e-10:
            candidate = solution - length * step
            lower = _objective(candidate, points, signs, cost=cost)
            if lower <= value - 1e-4 * length * descent:
                break
            length /= 2
        # No step reduces the objective by more than rounding errors: this is the minimum.
        if length <= 1e-10 or descent <= 1e-14 * value:
            break
        solution, value = candidate, lower
    return Plane(weight=solution[:-1], bias=solution[-1])


def conditional_entropy(answers: Bool[Tensor, " batch"], guesses: Bool[Tensor, " batch"]) -> Scalar:
    """Returns H(Y|X) in nats of the answers Y given the guesses X, from the frequency of each pair of values.

    Example:
        >>> answers, guesses = torch.tensor([[True, False, True, False], [True, True, False, False]])
        >>> round(conditional_entropy(answers, guesses).item(), 4)  # knowing X says nothing of Y: ln 2
        0.6931
    """
    counts = torch.bincount(2 * guesses.long() + answers.long(), minlength=4).double().reshape(2, 2)
    joint = counts / counts.sum()  # guesses answers
    entropy: Scalar = (torch.special.entr(joint).sum() - torch.special.entr(joint.sum(dim=1)).sum()).clamp(min=0)
    return entropy


def linear_separability(
    latents: Latents, logits: Float[Tensor, "batch attributes"], *, kept_share: float = 0.5, cost: float = 1.0
) -> tuple[Scalar, Float[Tensor, " attributes"]]:
    """Returns the score, ``exp(sum_i H(Y_i|X_i))``, and the conditional entropy of every attribute in nats.

    Args:
        latents: latents of the space to measure, `batch latent`.
        logits: the classifier's logits, `batch attributes`; an image with a logit above 0 has the attribute.
        kept_share: share of the samples to keep for each attribute, those with the largest absolute logits, in (0, 1];
            the paper keeps 100,000 of 200,000.
        cost: weight C of violations of the support vector machine's margin.

    Raises:
        ValueError: if `kept_share` leaves no samples.
    """
    kept = int(kept_share * len(latents))
    if not 0 < kept <= len(latents):
        raise ValueError(f"kept_share={kept_share} of {len(latents)} samples leaves {kept}; give a share in (0, 1]")
    entropies = []
    for attribute in logits.unbind(dim=1):
        surest = attribute.abs().topk(kept).indices
        points, answers = latents[surest].double(), attribute[surest] > 0
        plane = support_vector_machine(points, answers, cost=cost)
        entropies.append(conditional_entropy(answers, points @ plane.weight + plane.bias > 0))
    each = torch.stack(entropies)
    return each.sum().exp(), each
