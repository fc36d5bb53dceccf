"""The comparison of generated images with training images and with images that the generator was not trained on."""

from collections.abc import Callable, Iterator

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from lightning_gan.foreign.real_images import images_of
from lightning_gan.metrics import memorization
from lightning_gan.metrics.feature_set import FakeFeatures, RealFeatures
from lightning_gan.metrics.report import ERROR
from lightning_gan.tensors.image_bytes import nearest_bytes
from lightning_gan.tensors.seeds import derived_seed
from lightning_gan.tensors.shapes import Features, ImageBytes


class HeldOut:
    """Real images that a generator was not trained on, and their features, which are computed once.

    Args:
        data: data module, whose validation dataloader is read.
        describe: function that computes features of uint8 images.
        seed: integer that determines which images are compared if there are more of one kind.
        asker: name of the callback, for error messages.
    """

    def __init__(
        self, data: LightningDataModule, *, describe: Callable[[ImageBytes], Features], seed: int, asker: str
    ) -> None:
        self.data = data
        self.describe = describe
        self.seed = seed
        self.asker = asker
        self._features: Features | None = None

    def check(self, real: Tensor) -> None:
        """Refuses images that cannot be compared with the real ones of training.

        Args:
            real: real images, bytes or floats, `batch channels height width`.

        Raises:
            ValueError: if there are none, or they have another size or other channels.
        """
        first = next(self._images(), None)
        if first is None or first.shape[1:] != real.shape[1:]:
            found = "no images" if first is None else f"images {list(first.shape[1:])}"
            raise ValueError(
                f"{self.asker}: held_out has {found}, and the real images are {list(real.shape[1:])} (channels, "
                "height, width); give it images of the same size and channels, or leave it out"
            )

    def numbers(self, real: RealFeatures, fake: FakeFeatures) -> dict[str, float]:
        """Returns the numbers of `memorization`, and how many training and held-out images they are of.

        Args:
            real: features of the training images.
            fake: features of generated images.
        """
        if self._features is None:
            self._features = torch.cat([self.describe(images.to(real.device)) for images in self._images()])
        random = torch.Generator().manual_seed(derived_seed(self.seed, "training and held-out"))
        count = min(len(real), len(self._features))
        training, held_out = (
            rows[torch.randperm(len(rows), generator=random)[:count].to(rows.device)] for rows in (real, self._features)
        )
        found = memorization(fake, training, held_out)
        return {
            "nearer_to_training": found.nearer_to_training,
            f"nearer_to_training{ERROR}": found.standard_error,
            "nearer_to_training_z": found.z_score,
            "held_out_count": float(count),
        }

    def _images(self) -> Iterator[ImageBytes]:
        self.data.prepare_data()
        self.data.setup("validate")
        for batch in self.data.val_dataloader():
            images = images_of(batch, asker=f"{self.asker}: held_out")
            yield images if images.dtype == torch.uint8 else nearest_bytes(images)
