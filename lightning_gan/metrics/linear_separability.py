"""Linear separability of a latent space by the images' attributes (Karras et al. 2019, arXiv:1812.04948, section 4.2).

A classifier of images says of each sample whether it has an attribute; a linear support vector machine has to tell the
same from the latent alone. What it leaves open is the conditional entropy H(Y|X) of the classifier's answer Y given the
machine's X. Over all attributes the score is ``exp(sum_i H(Y_i|X_i))``: 1 if every attribute is a direction, 2 for each
balanced attribute that no plane finds.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lightning_gan.tensors.shapes import Latents, Scalar

LARGEST_STEPS = 100
"""Newton's method ends after a dozen steps or so; each one solves the problem exactly for the samples in the margin."""


class Plane(NamedTuple):
    """Latents with ``latents @ weight + bias > 0`` have the attribute."""

    weight: Float[Tensor, " latent"]
    bias: Scalar


def _objective(solution: Tensor, points: Tensor, signs: Tensor, *, cost: float) -> Scalar:
    slack = (1 - signs * (points @ solution)).clamp(min=0)
    objective: Scalar = 0.5 * solution.square().sum() + cost * slack.square().sum()
    return objective


def support_vector_machine(latents: Latents, has_attribute: Bool[Tensor, " batch"], *, cost: float = 1.0) -> Plane:
    """The plane that minimizes ``|(w, b)|^2 / 2 + cost sum_i max(0, 1 - y_i (w x_i + b))^2``, in float64.

    This is the problem of scikit-learn's `LinearSVC` with its default settings, which the authors use. It is convex and
    piecewise quadratic, so that Newton's method with a line search reaches the minimum itself in few steps (Keerthi and
    DeCoste 2005), without another dependency and on the device of the latents.

    Args:
        latents: `batch latent`.
        has_attribute: which side each belongs to.
        cost: of violating the margin, C.

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
        # No step goes further down than rounding does: this is the minimum.
        if length <= 1e-10 or descent <= 1e-14 * value:
            break
        solution, value = candidate, lower
    return Plane(weight=solution[:-1], bias=solution[-1])


def conditional_entropy(answers: Bool[Tensor, " batch"], guesses: Bool[Tensor, " batch"]) -> Scalar:
    """H(Y|X) in nats of the answers Y given the guesses X, from how often each pair of them occurs.

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
    """The score, ``exp(sum_i H(Y_i|X_i))``, and every attribute's entropy in nats.

    Args:
        latents: in the space to judge, `batch latent`.
        logits: the classifier's, `batch attributes`; above 0 means that the image has the attribute.
        kept_share: the samples of which the classifier is surest, chosen for each attribute; half in the paper, which
            keeps 100,000 of 200,000.
        cost: of the support vector machine.

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
