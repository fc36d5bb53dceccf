"""Stacked digits: three digits as the red, green and blue of one image, which gives 1,000 modes that can be counted.

Metz et al. 2017 (arXiv:1611.02163) introduced the test, with random triples of the 60,000 digits of MNIST; VEEGAN
(Srivastava et al. 2017, arXiv:1705.07761) and PacGAN (Lin et al. 2018, arXiv:1712.04086) have 128,000 of them. Here the
digits are the 5,000 that come with the package.
"""

from typing import final

import torch

from lightning_gan.data.datamodule import GANData
from lightning_gan.data.digits import Digits
from lightning_gan.data.images import ClassLabels, ImageSource, Indices, Origin
from lightning_gan.tensors.fingerprints import fingerprint_of_tensor
from lightning_gan.tensors.seeds import derived_seed
from lightning_gan.tensors.shapes import ImageBytes, Labels

CHANNELS = 3
NUMBER_OF_MODES = 1000


@final
class StackedImages(ImageSource):
    """Images whose channels are grey images of another source, in random triples.

    Args:
        grey: source of grey images with ten classes.
        count: number of triples.
        seed: seed of the triples.
    """

    def __init__(self, grey: ImageSource, *, count: int, seed: int) -> None:
        assert isinstance(grey.labels, torch.Tensor) and grey.number_of_classes == 10
        random = torch.Generator().manual_seed(derived_seed(seed, "stacked digits"))
        self.grey = grey
        self.triples = torch.randint(len(grey), (count, CHANNELS), generator=random)
        # The mode of the digits 1, 2 and 3 is 123.
        self._modes: ClassLabels = grey.labels[self.triples] @ torch.tensor([100, 10, 1])

    def __len__(self) -> int:
        return len(self.triples)

    @property
    def labels(self) -> Labels:
        return self._modes

    @property
    def number_of_classes(self) -> int:
        return NUMBER_OF_MODES

    @property
    def is_in_memory(self) -> bool:
        return self.grey.is_in_memory

    @property
    def origin(self) -> Origin:
        fingerprints = {**self.grey.origin.fingerprints, "triples": fingerprint_of_tensor(self.triples)}
        return Origin(fingerprints=fingerprints)

    def read(self, indices: Indices, *, resolution: int) -> ImageBytes:
        chosen = self.triples[indices]
        images = self.grey.read(chosen.flatten(), resolution=resolution)
        return images.reshape(len(indices), CHANNELS, resolution, resolution)


@final
class StackedDigits(GANData):
    """Colour images whose three channels are random digits: 1,000 modes, all equally frequent but for chance.

    `ModeCoverage` counts how many of them a generator makes. The digits are the 5,000 that come with the package; the
    papers have more of MNIST's.

    Args:
        image_size: width and height of the images in pixels, a multiple of 4 from 4 to 64; see `Digits`. 28 in VEEGAN's
            and PacGAN's tables, 32 for networks that need a power of two.
        count: number of triples, which are drawn once. 128,000 in PacGAN.
        labels: whether the networks get the 1,000 modes as classes. The test is one of unconditional models.
        batch_size: GLOBAL batch size, over all processes.
        seed: seed of the triples and of their order.
        number_of_workers: number of processes that read ahead; None means 0, because the digits are in memory.

    Raises:
        ValueError: for a size that is no multiple of 4 from 4 to 64, and for fewer than one triple.
    """

    def __init__(
        self,
        *,
        image_size: int = 32,
        count: int = 128_000,
        labels: bool = False,
        batch_size: int = 16,
        seed: int = 0,
        number_of_workers: int | None = None,
    ) -> None:
        if count < 1:
            raise ValueError(f"StackedDigits: count={count} must be at least 1")
        self._digits = Digits(image_size=image_size)
        super().__init__(
            image_size=image_size,
            image_channels=CHANNELS,
            number_of_classes=NUMBER_OF_MODES if labels else 0,
            batch_size=batch_size,
            seed=seed,
            mirror=False,
            number_of_workers=number_of_workers,
        )
        self.count = count

    def open_source(self) -> ImageSource:
        return StackedImages(self._digits.source, count=self.count, seed=self.seed)
