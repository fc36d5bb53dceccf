"""The images on the page of `serve`, as functions of what its controls say. A browser is not needed for them."""

from dataclasses import dataclass
from functools import cached_property
from threading import Lock

import torch
from PIL import Image, UnidentifiedImageError

from lightning_gan.callbacks.figures.pictures import image_grid
from lightning_gan.data.shown import shown
from lightning_gan.data.value_range import ValuesError
from lightning_gan.inference.images_in import floats_of
from lightning_gan.inference.images_out import png_bytes
from lightning_gan.inference.keyframes import LatentKeyframes, StyleKeyframes, labels_of, latents_of, styles_of
from lightning_gan.inference.trained_model import TrainedModel
from lightning_gan.loop.autoencoder import Autoencoder
from lightning_gan.loop.style_based import StyleBased
from lightning_gan.tensors.shapes import ImageBytes

LARGEST_SEED = 2**32 - 1


@dataclass(frozen=True, kw_only=True)
class Reconstruction:
    """An image and what the model makes of its code.

    Attributes:
        image: PNG file of the image, in the size and the channels of the model.
        reconstruction: PNG file of its reconstruction.
        error: mean absolute difference of both in levels of 0 to 255.
    """

    image: bytes
    reconstruction: bytes
    error: float


class ServedModel:
    """A trained model that makes one image at a time, for any number of visitors.

    All images are PNG files in the model's own size. The same arguments give the same file.

    Args:
        trained: the model.
    """

    def __init__(self, trained: TrainedModel) -> None:
        self.trained = trained
        self._lock = Lock()  # networks are set to evaluation mode and back around each image

    # ------------------------------------------------------------------ what the model has

    @property
    def class_titles(self) -> list[str]:
        """The numbers of the classes, with their names if they are known; empty without classes."""
        names, count = self.trained.class_names, self.trained.model.number_of_classes
        return [f"{number} {names[number]}" if names else str(number) for number in range(count)]

    @property
    def layers(self) -> list[int]:
        """The resolutions of the layers that have styles, in pixels; empty for models without styles."""
        model = self.trained.model
        return list(model.style_resolutions) if isinstance(model, StyleBased) else []

    @property
    def has_encoder(self) -> bool:
        """Whether the model encodes images."""
        return isinstance(self.trained.model, Autoencoder)

    @cached_property
    def has_truncation(self) -> bool:
        """Whether the model has the truncation trick, which is tried."""
        try:
            self.sample(0, truncation=0.5)
        except ValueError:
            return False
        return True

    # ------------------------------------------------------------------ images

    def sample(self, seed: int, *, truncation: float = 1.0, label: int | None = None) -> bytes:
        """The image of a seed, which `generate` writes too.

        Args:
            seed: seed of its latent.
            truncation: strength of the truncation trick; 1 does not truncate.
            label: number of its class; None takes the seed modulo the number of classes.

        Raises:
            ValueError: for a seed, a truncation or a class that there is not.
        """
        numbers = self._labels([seed], label)
        with self._lock:
            latents = latents_of(self.trained, [seed])
            labels = None if numbers is None else torch.tensor(numbers, device=latents.device)
            return _png(self.trained.image(latents, labels, truncation=truncation, what=f"seed {seed}"))

    def between(
        self,
        first: int,
        second: int,
        *,
        place: float,
        in_styles: bool = False,
        truncation: float = 1.0,
        label: int | None = None,
    ) -> bytes:
        """An image on the way from one seed to another, as `interpolate` makes it.

        Args:
            first: seed where the way begins.
            second: seed where it ends.
            place: place on the way, in [0, 1].
            in_styles: whether the way is a straight line between styles, and not a path of the model's prior.
            truncation: strength of the truncation trick.
            label: number of the class of both ends; None takes those of the seeds.

        Raises:
            ValueError: for a place out of range, and as `sample`.
        """
        if not 0 <= place <= 1:
            raise ValueError(f"place={place} must be in [0, 1]")
        labels = self._labels([first, second], label)
        kind = StyleKeyframes if in_styles else LatentKeyframes
        with self._lock:
            ends = kind(self.trained, seeds=[first, second], labels=labels, truncation=truncation)
            return _png(ends.between(0, 1, place=place))

    def mixed(
        self,
        first: int,
        second: int,
        *,
        lowest: int,
        highest: int,
        truncation: float = 1.0,
        label: int | None = None,
    ) -> bytes:
        """An image with the styles of one seed, and in some layers those of another (StyleGAN, arXiv:1812.04948, 3.1).

        Args:
            first: seed of the image.
            second: seed of the styles that replace those of `first` in some layers.
            lowest: number of the first of these layers, from 0.
            highest: number of the last of them; below `lowest` there are none.
            truncation: strength of the truncation trick.
            label: number of the class of both; None takes those of the seeds.

        Raises:
            ValueError: if the model has no styles or no such layers, and as `sample`.
        """
        if lowest < 0 or highest >= len(self.layers):
            raise ValueError(f"layers {lowest} to {highest}: {self.trained.name} has {len(self.layers)} with styles")
        labels = self._labels([first, second], label)
        with self._lock:
            own, other = styles_of(self.trained, [first, second], labels, truncation=truncation, asker="serve")
            own[lowest : highest + 1] = other[lowest : highest + 1]
            return _png(self.trained.styled_image(own[None], what=f"the mixture of seeds {first} and {second}"))

    def reconstruction(self, contents: bytes, *, name: str) -> Reconstruction:
        """An image file and the reconstruction of its central part, in the proportions of the model's images.

        Args:
            contents: contents of a PNG, JPEG, WebP, BMP, GIF or TIFF file.
            name: name of the file, for messages.

        Raises:
            ValueError: if the model has no encoder, or the file cannot be read as an image.
        """
        autoencoder = self.trained.autoencoder(asker="serve")
        try:
            images = floats_of(contents, self.trained)
        except UnidentifiedImageError as error:
            raise ValueError(f"{shown(name)} cannot be read as an image; give a PNG, JPEG or WebP file") from error
        except ValuesError as error:
            raise ValueError(f"{shown(name)}: {error}") from error
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise ValueError(f"{shown(name)} cannot be read as an image ({shown(error)})") from error
        image = self.trained.as_bytes(images, what=shown(name))
        with self._lock:
            images = images.to(self.trained.model.device)
            made = autoencoder.reconstruct(images, ema=self.trained.ema)
            reconstruction = self.trained.as_bytes(made, what=f"the reconstruction of {shown(name)}")
        error_in_levels = (reconstruction.float() - image.float()).abs().mean().item()
        return Reconstruction(image=_png(image), reconstruction=_png(reconstruction), error=error_in_levels)

    def _labels(self, seeds: list[int], label: int | None) -> list[int] | None:
        for seed in seeds:
            if not 0 <= seed <= LARGEST_SEED:
                raise ValueError(f"seed {seed}: seeds are whole numbers from 0 to {LARGEST_SEED}")
        count = self.trained.model.number_of_classes
        if label is not None and not 0 <= label < count:
            raise ValueError(f"class {label}: {self.trained.name} has {count} classes")
        return labels_of(self.trained, seeds, None if label is None else [label])


def _png(image: ImageBytes) -> bytes:
    return png_bytes(image_grid(image, columns=1))
