"""The spaces that images are projected into: where the search begins, and the image of a point."""

from abc import ABC, abstractmethod
from enum import Enum
from typing import final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from lightning_gan.inference.trained_model import TrainedModel
from lightning_gan.metrics.perceptual_path import Distance
from lightning_gan.tensors.precision import full_precision
from lightning_gan.tensors.seeds import derived_seed
from lightning_gan.tensors.shapes import ImageBytes, Images, Labels, Latents

SAMPLES = 10_000
"""Number of latents whose styles' mean and deviation are measured, as in StyleGAN2's projection."""

CANDIDATES = 100
"""Number of latents of which the one with the nearest image begins the search in z."""

ROWS_AT_ONCE = 1000


class SpaceKind(Enum):
    """A space that images are projected into."""

    z = "z"
    """The latents."""

    w = "w"
    """The styles of a StyleGAN, with the same style in every layer."""

    w_plus = "w_plus"
    """The styles of a StyleGAN, with a style of its own in every layer."""


class ProjectionSpace(ABC):
    """A space in which gradient descent looks for the point whose image is nearest to a target.

    Attributes:
        start: the point where the search begins, with a batch of 1.
        deviation: standard deviation of the noise that is added to points at the beginning of the search, times 20.
    """

    start: Tensor
    deviation: float

    @abstractmethod
    def images(self, point: Tensor) -> Images:
        """The image of a point in about [-1, 1], with a gradient, `1 channels height width`."""

    @abstractmethod
    def shown(self, point: Tensor) -> ImageBytes:
        """The image of a point as bytes, `1 channels height width`, which `GAN.sample` or `synthesize` makes of it."""

    @abstractmethod
    def saved(self, point: Tensor) -> dict[str, np.ndarray]:
        """The arrays that a file gets of a point."""


@final
class StyleSpace(ProjectionSpace):
    """w or w+. The search begins at the mean style, and early points get noise, as in StyleGAN2's projection.

    Karras et al. 2020, arXiv:1912.04958, appendix D: sigma_w^2 is the mean squared distance of styles from their mean.

    Args:
        trained: the model, which has styles.
        label: class of the latents whose styles are averaged; None averages over all classes.
        each_layer: whether every layer has a style of its own (w+).
        seed: seed of the latents.
        asker: the option that asks for styles, for the message.

    Raises:
        ValueError: if the model has no styles.
    """

    def __init__(self, trained: TrainedModel, *, label: int | None, each_layer: bool, seed: int, asker: str) -> None:
        self.trained = trained
        self.styled = trained.style_based(asker=asker)
        self.layers = len(self.styled.style_resolutions)
        styles = style_samples(trained, label=label, seed=seed, asker=asker)
        mean = styles.mean(dim=0)
        self.deviation = float((styles - mean).square().sum(dim=1).mean().sqrt())
        self.start = mean.expand(1, self.layers if each_layer else 1, -1).clone()

    def images(self, point: Tensor) -> Images:
        return self.styled.synthesize(self._of_layers(point), ema=self.trained.ema)

    def shown(self, point: Tensor) -> ImageBytes:
        return self.trained.styled_image(self._of_layers(point), what="the projected image")

    def saved(self, point: Tensor) -> dict[str, np.ndarray]:
        return {"styles": self._of_layers(point).cpu().numpy()}

    def _of_layers(self, point: Tensor) -> Tensor:
        return point.expand(-1, self.layers, -1)


@final
class LatentSpace(ProjectionSpace):
    """z. The search begins at the code of the image, or without an encoder at the nearest of some latents.

    Args:
        trained: the model.
        start: the point where the search begins, `1 latent_dim`.
        label: class of the image; None without classes.
    """

    def __init__(self, trained: TrainedModel, *, start: Latents, label: int | None) -> None:
        self.trained = trained
        self.start = start
        self.deviation = 0.0
        self.label = label

    def images(self, point: Tensor) -> Images:
        model = self.trained.model
        network = model.sampling_generator if self.trained.ema else model.generator
        images = model.truncated(network, point, self._labels, truncation=1.0, fresh_noise=False)
        return full_precision(images)

    def shown(self, point: Tensor) -> ImageBytes:
        return self.trained.image(point, self._labels, what="the projected image")

    def saved(self, point: Tensor) -> dict[str, np.ndarray]:
        label = {} if self.label is None else {"label": np.array([self.label])}
        return {"latents": point.cpu().numpy(), **label}

    @property
    def _labels(self) -> Labels | None:
        return None if self.label is None else torch.tensor([self.label], device=self.trained.model.device)


def nearest_latent(
    trained: TrainedModel, target: Images, *, label: int | None, distance: Distance, seed: int
) -> LatentSpace:
    """The space z, where the search begins at the latent with the nearest image among `CANDIDATES`.

    Args:
        trained: the model.
        target: image in [-1, 1], `1 channels height width`.
        label: class of the latents; None takes latents of all classes in turn.
        distance: distance of images.
        seed: seed of the latents.
    """
    model = trained.model
    latents, labels = model.draw_latents(CANDIDATES, seed=seed)
    numbers: list[int | None] = [None] * CANDIDATES if labels is None else [int(number) for number in labels]
    candidates = [
        LatentSpace(trained, start=latents[place][None], label=number if label is None else label)
        for place, number in enumerate(numbers)
    ]
    with torch.no_grad():
        apart = [
            float(distance(candidate.images(candidate.start).clamp(-1.0, 1.0), target)) for candidate in candidates
        ]
    return candidates[apart.index(min(apart))]


def style_samples(
    trained: TrainedModel, *, label: int | None, seed: int, asker: str
) -> Float[Tensor, "samples style_dim"]:
    """Styles w of `SAMPLES` latents of the prior, without truncation.

    Args:
        trained: the model, which has styles.
        label: class of the latents; None draws classes uniformly.
        seed: seed of the latents and classes.
        asker: the option that asks for styles, for the message.

    Raises:
        ValueError: if the model has no styles.
    """
    styled, model = trained.style_based(asker=asker), trained.model
    random = torch.Generator().manual_seed(derived_seed(seed, "styles"))
    rows: list[Tensor] = []
    for _ in range(SAMPLES // ROWS_AT_ONCE):
        latents = model.prior(ROWS_AT_ONCE, random).to(model.device)
        labels = random_labels(trained, ROWS_AT_ONCE, label=label, random=random)
        rows.append(full_precision(styled.styles(latents, labels, ema=trained.ema)[:, 0]))
    return torch.cat(rows)


def random_labels(trained: TrainedModel, count: int, *, label: int | None, random: torch.Generator) -> Labels | None:
    """Classes that are drawn uniformly, or `count` times the same; None for a model without classes.

    Args:
        trained: the model.
        count: number of classes.
        label: the class; None draws them.
        random: generator of random numbers.
    """
    classes = trained.model.number_of_classes
    if not classes:
        return None
    drawn = torch.randint(classes, (count,), generator=random) if label is None else torch.full((count,), label)
    return drawn.to(trained.model.device)
