"""Keyframes, and the images between two of them: in z, in w, and between the codes of images."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import final

import torch
from torch import Tensor

from lightning_gan.inference.trained_model import TrainedModel
from lightning_gan.layers.labels import label_vectors
from lightning_gan.tensors.shapes import ImageBytes, Images, Latents


class Keyframes(ABC):
    """The images that paths go through, and what lies between them."""

    @abstractmethod
    def __len__(self) -> int:
        """The number of keyframes."""

    @abstractmethod
    def between(self, first: int, second: int, *, place: float) -> ImageBytes:
        """The image on the way from one keyframe to another, `1 channels height width`.

        Args:
            first: number of the keyframe where the way begins.
            second: number of the keyframe where it ends.
            place: place on the way, in [0, 1].
        """


@final
class LatentKeyframes(Keyframes):
    """Latents z. Between them are the paths of the model's prior, `GAN.latents_between`.

    The paths of normal latents lie on the sphere where most latents lie; so a keyframe has the direction of the latent
    of its seed, and the sphere's radius as its length. If classes differ, their one-hot rows are interpolated linearly.

    Args:
        trained: the model.
        seeds: seeds of the latents.
        labels: number of the class of each; None without classes.
        truncation: strength of the truncation trick.
    """

    def __init__(
        self, trained: TrainedModel, *, seeds: Sequence[int], labels: Sequence[int] | None, truncation: float
    ) -> None:
        self.trained = trained
        self.seeds = seeds
        self.latents = latents_of(trained, seeds)
        self.rows = None if labels is None else one_hot_rows(labels, trained=trained)
        self.truncation = truncation

    def __len__(self) -> int:
        return len(self.seeds)

    def between(self, first: int, second: int, *, place: float) -> ImageBytes:
        latents = self.trained.model.latents_between(
            self.latents[first][None], self.latents[second][None], self.latents.new_tensor([place])
        )
        labels = None if self.rows is None else self.rows[first].lerp(self.rows[second], place)[None]
        what = f"between seed {self.seeds[first]} and seed {self.seeds[second]}"
        return self.trained.image(latents, labels, truncation=self.truncation, what=what)


@final
class StyleKeyframes(Keyframes):
    """Styles w. Between them are straight lines. The classes of the keyframes are part of their styles.

    Args:
        trained: the model, which has styles.
        seeds: seeds of the latents.
        labels: number of the class of each; None without classes.
        truncation: strength of the truncation trick.

    Raises:
        ValueError: if the model has no styles.
    """

    def __init__(
        self, trained: TrainedModel, *, seeds: Sequence[int], labels: Sequence[int] | None, truncation: float
    ) -> None:
        self.trained = trained
        self.seeds = seeds
        self.styles = styles_of(trained, seeds, labels, truncation=truncation, asker="space=w")

    def __len__(self) -> int:
        return len(self.seeds)

    def between(self, first: int, second: int, *, place: float) -> ImageBytes:
        styles = self.styles[first].lerp(self.styles[second], place)[None]
        return self.trained.styled_image(styles, what=f"between seed {self.seeds[first]} and seed {self.seeds[second]}")


@final
class CodeKeyframes(Keyframes):
    """The codes of images, from the model's encoder. Between them are straight lines, as in `Autoencoder.interpolate`.

    Args:
        trained: the model, which has an encoder.
        images: images in [-1, 1], `1 channels height width` each.

    Raises:
        ValueError: if the model has no encoder.
    """

    def __init__(self, trained: TrainedModel, *, images: Sequence[Images]) -> None:
        self.trained = trained
        self.autoencoder = trained.autoencoder(asker="images")
        self.codes = torch.cat([self.autoencoder.encode(image, ema=trained.ema) for image in images])

    def __len__(self) -> int:
        return len(self.codes)

    def between(self, first: int, second: int, *, place: float) -> ImageBytes:
        codes = self.codes[first].lerp(self.codes[second], place)[None]
        decoded = self.autoencoder.decode(codes, ema=self.trained.ema)
        return self.trained.as_bytes(decoded, what=f"between image {first + 1} and image {second + 1}")


def latents_of(trained: TrainedModel, seeds: Sequence[int]) -> Latents:
    """The latents of images, `seeds latent_dim`, as `generate` draws them.

    Args:
        trained: the model.
        seeds: seeds of the images.
    """
    return torch.cat([trained.model.draw_latents(1, seed=seed)[0] for seed in seeds])


def labels_of(trained: TrainedModel, seeds: Sequence[int], chosen: Sequence[int] | None) -> list[int] | None:
    """The class of each image: the chosen ones, or the seed modulo the number of classes, as in `generate`.

    Args:
        trained: the model.
        seeds: seeds of the images.
        chosen: one class for all images, or one for each; None takes those of `generate`.

    Returns:
        Numbers of classes; None for a model without classes.

    Raises:
        ValueError: if the number of classes is neither 1 nor that of the images.
    """
    count = trained.model.number_of_classes
    if not count:
        return None
    if chosen is None:
        return [seed % count for seed in seeds]
    if len(chosen) not in (1, len(seeds)):
        raise ValueError(f"classes: {len(chosen)} classes for {len(seeds)} seeds; give one for all, or one for each")
    return list(chosen) * (len(seeds) // len(chosen))


def one_hot_rows(labels: Sequence[int], *, trained: TrainedModel) -> Tensor:
    """The one-hot rows of classes, `labels classes`, on the model's device.

    Args:
        labels: numbers of classes.
        trained: the model.
    """
    numbers = torch.tensor(labels, device=trained.model.device)
    return label_vectors(numbers, number_of_classes=trained.model.number_of_classes)


def styles_of(
    trained: TrainedModel,
    seeds: Sequence[int],
    labels: Sequence[int] | None,
    *,
    truncation: float,
    asker: str,
) -> Tensor:
    """The styles of images, `seeds layers style_dim`, each computed alone, so that they do not depend on the others.

    Args:
        trained: the model.
        seeds: seeds of the images.
        labels: number of the class of each; None without classes.
        truncation: strength of the truncation trick.
        asker: what asks for styles, for the message.

    Raises:
        ValueError: if the model has no styles.
    """
    styled = trained.style_based(asker=asker)
    rows: list[Tensor] = []
    for place, latents in enumerate(latents_of(trained, seeds)):
        label = None if labels is None else torch.tensor([labels[place]], device=trained.model.device)
        rows.append(styled.styles(latents[None], label, truncation=truncation, ema=trained.ema))
    return torch.cat(rows)


def places(keyframes: int, *, frames: int, loop: bool) -> Iterator[tuple[int, int, float]]:
    """The way through all keyframes: two neighbouring keyframes and the place between them, for every frame.

    Args:
        keyframes: number of keyframes, at least 2.
        frames: number of frames from one keyframe to before the next.
        loop: whether the way goes back to the first keyframe. Then the last frame is the one before it; otherwise it is
            the last keyframe.

    Example:
        >>> list(places(2, frames=2, loop=False))
        [(0, 1, 0.0), (0, 1, 0.5), (0, 1, 1.0)]
        >>> list(places(2, frames=2, loop=True))
        [(0, 1, 0.0), (0, 1, 0.5), (1, 0, 0.0), (1, 0, 0.5)]
    """
    for step in range(keyframes if loop else keyframes - 1):
        for frame in range(frames):
            yield step, (step + 1) % keyframes, frame / frames
    if not loop:
        yield keyframes - 2, keyframes - 1, 1.0
