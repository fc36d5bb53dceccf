"""The base class of callbacks that transform the images that a discriminator is given, in any LightningModule."""

from typing import Any

from lightning.pytorch import LightningModule, Trainer

from lightning_gan.compat import state_key_of
from lightning_gan.foreign.clock import ImageClock
from lightning_gan.foreign.host import host_of
from lightning_gan.foreign.transformed_network import PlacedTransform
from lightning_gan.loop.transforms import ImageTransform


class TransformPlace:
    """A transform, and the discriminator whose images it is applied to during training.

    Args:
        transform: transform of the images.
        network: attribute path of the discriminator.
        image: name, or list of names, of the discriminator's arguments that are images, in modules that are no `GAN`;
            None if it has only one floating-point tensor.
        asker: name of the callback, for error messages.
        setting: argument of the callback that names the network, for error messages.
    """

    def __init__(
        self, transform: ImageTransform, *, network: str, image: str | list[str] | None, asker: str, setting: str
    ) -> None:
        self.transform = transform
        self._network = network
        self._images = () if image is None else (image,) if isinstance(image, str) else tuple(image)
        self._asker = asker
        self._setting = setting
        self._placed: PlacedTransform | None = None

    def check(self, pl_module: LightningModule) -> None:
        """Check that the discriminator exists.

        Raises:
            ValueError: if it does not.
        """
        host_of(pl_module).network(self._network, setting=f"{self._asker}({self._setting}=...)")

    def place(self, pl_module: LightningModule) -> None:
        """Apply the transform from now on. Call it when training starts.

        Callbacks that observe the network's calls since fit began thus get images that are not transformed.
        """
        self.remove()
        self.transform.to(pl_module.device)
        asker = f"{self._asker}: {self._setting}={self._network!r}"
        self._placed = host_of(pl_module).place_transform(
            self.transform, path=self._network, images=self._images, asker=asker
        )

    def begin_batch(self, images_seen: int) -> None:
        """Update the transform before a batch.

        Args:
            images_seen: number of images that training has used before the batch.
        """
        assert self._placed is not None
        self._placed.begin_batch(images_seen)

    def remove(self) -> None:
        """Do not apply the transform any more. A second call does nothing."""
        if self._placed is not None:
            self._placed.remove()
            self._placed = None


class DiscriminatorTransform(ImageClock):
    """Base class of callbacks that transform the images in every forward pass of a discriminator in training mode.

    Real and generated images are transformed in both players' turns, and so are the images of the penalties' own
    forward passes. Penalties differentiate by the image before the transform. In evaluation mode nothing is changed.

    In a `GAN`, the transform is one of its `image_transforms`; in other modules, it is applied to the arguments of
    every call of the network that are images. Several transforms are applied in the order of their callbacks.

    Args:
        transform: transform of the images.
        network: attribute path of the discriminator.
        image: name, or list of names, of the discriminator's arguments that are images, in modules that are no `GAN`;
            None if it has only one floating-point tensor.
    """

    def __init__(self, *, transform: ImageTransform, network: str, image: str | list[str] | None) -> None:
        self.network = network
        self.image = image
        self._place = TransformPlace(
            transform, network=network, image=image, asker=type(self).__name__, setting="network"
        )

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_fit_start(trainer, pl_module)
        self._place.check(pl_module)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        self._place.place(pl_module)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        super().on_train_batch_start(trainer, pl_module, batch, batch_idx)
        self._place.begin_batch(self.images_seen)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._place.remove()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._place.remove()

    @property
    def state_key(self) -> str:
        return state_key_of(self, network=self.network)
