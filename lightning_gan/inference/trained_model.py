"""A trained model that makes one image at a time, so that an image does not depend on others.

Sums in another order change the last digits, and the order of the sums in a convolution or a matrix product depends on
the size of the batch. So the same latent gives slightly other images in batches of other sizes, and after rounding to
bytes some pixels differ by one level. Here the network is called once per image: the same latent, label and truncation
give the same bytes, whatever else is made in the same command.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from pathlib import Path

import torch
from lightning.pytorch.utilities.seed import isolate_rng
from torch import nn

from lightning_gan.callbacks.figures.pictures import shown_channels
from lightning_gan.callbacks.training.standing_statistics import StandingStatistics
from lightning_gan.data.value_range import ValueRange
from lightning_gan.inference.load import checkpoint_at, load_with_settings
from lightning_gan.layers.batch_norm import batch_norms_of
from lightning_gan.loop.autoencoder import Autoencoder
from lightning_gan.loop.checkpointing import read_checkpoint
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.style_based import StyleBased, Styles, style_based_of
from lightning_gan.tensors.image_bytes import NotFiniteImagesError, to_bytes
from lightning_gan.tensors.seeds import derived_seed
from lightning_gan.tensors.shapes import ImageBytes, Images, Labels, Latents


class Device(Enum):
    """Where a network computes."""

    auto = "auto"
    """The first GPU if torch finds one, otherwise the CPU."""

    cpu = "cpu"
    cuda = "cuda"

    def found(self) -> torch.device:
        """The device.

        Raises:
            ValueError: for `cuda` if torch finds no GPU.
        """
        if self is Device.cuda and not torch.cuda.is_available():
            raise ValueError("device=cuda: torch finds no GPU on this machine; give --device cpu")
        is_gpu = self is Device.cuda or (self is Device.auto and torch.cuda.is_available())
        return torch.device("cuda" if is_gpu else "cpu")


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """A model in evaluation mode, and what is known of its checkpoint.

    Attributes:
        model: the model, on its device.
        file: the checkpoint file.
        folder: folder of the run that the file is of; None for a lone file.
        ema: whether averaged weights are used, if there are any.
        class_names: names of the classes; empty if the checkpoint has none.
        value_range: the original values that -1 and 1 stand for, as the checkpoint has them; None for bytes.
    """

    model: GAN
    file: Path
    folder: Path | None
    ema: bool
    class_names: tuple[str, ...]
    value_range: ValueRange | None = None

    def image(
        self,
        latents: Latents,
        labels: Labels | None,
        *,
        truncation: float = 1.0,
        noise_seed: int | None = None,
        what: str,
    ) -> ImageBytes:
        """One image, `1 channels height width`, on the CPU.

        Args:
            latents: one latent of the model's prior, `1 latent_dim`.
            labels: its class, or its row of classes; None without classes.
            truncation: strength of the truncation trick; 1 does not truncate.
            noise_seed: seed of new noise, in models whose layers take noise; None takes the noise that is stored with
                the weights.
            what: what the image is, for messages.

        Raises:
            ValueError: if the image has values that are not finite, or the model does not support the truncation.
        """
        images = self._sampled(latents, labels, truncation=truncation, noise_seed=noise_seed)
        return self.as_bytes(images, what=what)

    def floats(
        self,
        latents: Latents,
        labels: Labels | None,
        *,
        truncation: float = 1.0,
        noise_seed: int | None = None,
        what: str,
    ) -> Images:
        """As `image`, but as floats that are clipped to [-1, 1], which are not rounded to 256 levels."""
        images = self._sampled(latents, labels, truncation=truncation, noise_seed=noise_seed)
        self.as_bytes(images, what=what)  # refuses what is not finite
        return images.detach().float().clamp(-1, 1).cpu()

    def _sampled(self, latents: Latents, labels: Labels | None, *, truncation: float, noise_seed: int | None) -> Images:
        with isolate_rng(), repeatable():
            if noise_seed is not None:
                torch.manual_seed(derived_seed(noise_seed, "noise of samples"))
            return self.model.sample(
                latents,
                labels,
                truncation=truncation,
                fresh_noise=noise_seed is not None,
                clipped=False,
                ema=self.ema,
            )

    def styled_image(self, styles: Styles, *, what: str) -> ImageBytes:
        """One image of styles, with the stored noise: `1 channels height width`, on the CPU.

        Args:
            styles: styles of all active layers, `1 layers style_dim`.
            what: what the image is, for messages.

        Raises:
            ValueError: if the model has no styles, or the image has values that are not finite.
        """
        with isolate_rng(), repeatable():
            return self.as_bytes(self.style_based(asker=what).synthesize(styles, ema=self.ema), what=what)

    def style_based(self, *, asker: str) -> StyleBased:
        """The model, typed as one that makes images from styles.

        Args:
            asker: what asks for it, for the message.

        Raises:
            ValueError: if the model has no styles.
        """
        return style_based_of(self.model, asker=asker, remedy="give a StyleGAN, or leave the option out")

    def autoencoder(self, *, asker: str) -> Autoencoder:
        """The model, typed as one with an encoder.

        Args:
            asker: what asks for it, for the message.

        Raises:
            ValueError: if the model has no encoder.
        """
        if not isinstance(self.model, Autoencoder):
            raise ValueError(
                f"{asker}: {self.name} has no encoder, so that images have no codes; give a model with one, such as "
                "BiGAN or IntroVAE, or use `project`, which finds the latent of an image by gradient descent"
            )
        return self.model

    def as_bytes(self, images: Images, *, what: str) -> ImageBytes:
        """Images of the model as bytes on the CPU.

        Args:
            images: images in about [-1, 1], `batch channels height width`.
            what: what the images are, for messages.

        Raises:
            ValueError: if they have values that are not finite.
        """
        try:
            return to_bytes(images.detach()).cpu()
        except NotFiniteImagesError as error:
            raise ValueError(
                f"{what}: {self.name} makes values that are not finite (NaN or infinite) from the weights of "
                f"{self.file}; give an earlier checkpoint"
            ) from error

    @property
    def name(self) -> str:
        """The name of the model's class."""
        return type(self.model).__name__

    def size_at(self, resolution: int) -> str:
        """Width and height in pixels of features at a resolution, which is their height, such as 8x8."""
        _, height, width = self.image_shape
        return f"{width * resolution // height}x{resolution}"

    @cached_property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the images. A model that grows has the active resolution."""
        latents, labels = self.model.draw_latents(1, seed=0)
        with isolate_rng():
            _, channels, height, width = self.model.sample(latents, labels, clipped=False, ema=self.ema).shape
        return channels, height, width

    @property
    def description(self) -> str:
        """The model and its checkpoint, in one line for a person."""
        channels, height, width = self.image_shape
        weights = "averaged weights" if self.ema and self.model.averaged else "weights without averaging"
        kimg = self.model.kimg
        seen = f"{kimg:,.0f}" if kimg >= 1 else f"{kimg:g}"
        text = f"{self.name} of {self.file}: {width}x{height}, {seen} kimg, {weights}"
        if self.model.number_of_classes:
            text += f", {self.model.number_of_classes} classes"
        if shown_channels(channels) != channels:
            text += f"; of its {channels} channels, pictures show the first {shown_channels(channels)}"
        return text

    def out_folder(self, out: str | None, *, name: str) -> Path:
        """The folder that a command writes to.

        Args:
            out: the folder that the user gave; None takes one in the folder of the run, or in the working directory for
                a checkpoint that is of no run.
            name: name of that folder.
        """
        if out is not None:
            return Path(out)
        return Path(name) if self.folder is None else self.folder / name


def trained_model(checkpoint: str, *, device: Device, ema: bool) -> TrainedModel:
    """Load a model to make images with.

    Args:
        checkpoint: a checkpoint file, the folder of a run or its folder of checkpoints.
        device: where its networks compute.
        ema: whether averaged weights are used, if there are any.

    Raises:
        CheckpointError: if there is no whole checkpoint, or the model cannot be built from it.
        ValueError: if there is no such device.
    """
    place = device.found()
    file = checkpoint_at(Path(checkpoint))
    loaded = load_with_settings(file)
    model = loaded.model.to(place)
    if not model.makes_images:
        raise ValueError(
            f"{file} is a {type(model).__name__}, which makes no images; give the checkpoint of another model"
        )
    own_statistics(model, model.sampling_generator if ema else model.generator)
    return TrainedModel(
        model=model,
        file=file,
        folder=file.parent.parent if file.parent.name == "checkpoints" else None,
        ema=ema,
        class_names=_class_names(file, count=model.number_of_classes),
        value_range=loaded.value_range,
    )


@contextmanager
def repeatable() -> Iterator[None]:
    """Context manager inside of which a GPU computes the same bytes in every call."""
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
        yield


def own_statistics(model: GAN, network: nn.Module) -> None:
    """Make images independent of their batch in models that normalize by the statistics of the batch when they sample.

    The generators of WGAN-GP and CT-GAN do. Their statistics are measured once, over 1,024 fixed latents (the standing
    statistics of BigGAN, Brock et al. 2019, arXiv:1809.11096), and used from then on. Other networks are unchanged.

    Args:
        model: the model.
        network: its generator, or the one with averaged weights.
    """
    layers = [layer for layer in batch_norms_of(network) if layer.always_batch_statistics]
    if layers:
        StandingStatistics(forwards=16, batch_size=64).update(model, network)
        for layer in layers:
            layer.always_batch_statistics = False


def _class_names(file: Path, *, count: int) -> tuple[str, ...]:
    """The names of the classes that the data module of the training has saved in the checkpoint, if there are any."""
    if not count:
        return ()
    content = read_checkpoint(file, for_training=False)
    for saved in content.values():
        if isinstance(saved, dict) and "fingerprints" in saved and len(saved.get("classes", ())) == count:
            return tuple(saved["classes"])
    return ()
