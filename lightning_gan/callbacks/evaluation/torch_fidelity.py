"""The numbers of the library torch-fidelity, from the very images that are measured: a second opinion on `Evaluation`.

The library resizes the images, computes Inception's features and all numbers by its own code.
"""

import math
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any, Self

import torch
import torch_fidelity
from jaxtyping import Int64
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor
from torch.utils.data import Dataset

from lightning_gan.callbacks.evaluation.comparison import Reals
from lightning_gan.callbacks.evaluation.evaluation import Evaluation
from lightning_gan.callbacks.evaluation.gathering import Described
from lightning_gan.callbacks.evaluation.sample_metrics import FullSizeComparison
from lightning_gan.metrics import InceptionFeatures
from lightning_gan.metrics.feature_set import Rows
from lightning_gan.metrics.inception_features import NETWORK, inception_network
from lightning_gan.metrics.report import Better, Record
from lightning_gan.tensors.shapes import ImageBytes

RNG_SEED = 2020
"""Seed of the library's subsets and of its order of images: its default, which its command line has, too."""


class _Pictures(Dataset[Tensor]):
    """Uint8 images with three channels, `channels height width`, one at a time, as the library reads them."""

    def __init__(self, images: ImageBytes) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        return self.images[index].expand(3, -1, -1)


class TorchFidelity(FullSizeComparison):
    """Measures FID, KID, Inception Score, precision and recall by the library torch-fidelity.

    The images are those that an `Evaluation` with the same `fake_count`, `batch_size` and `seed` measures. Precision
    and recall are of Inception's features, as in `Evaluation`, and not of VGG-16's, which are the library's default.

    The pixels of all generated and all real images are kept in main memory, `channels * height * width` bytes for each
    image; while fitting, those of the real images stay there. To gather one of both sets takes up to three times its
    size for a moment, with several ranks on their devices. Only rank 0 computes, while the others wait. The library
    computes all but the features on the CPU.

    List it after callbacks that average weights.

    Args:
        weights: path of the file with Inception's weights; None is the file in torch's download folder.
        download: whether to download the weights (95 MB) to torch's download folder when they are missing there.
        every_kimg: thousands of real images between measurements while fitting; None measures only at the end of fit.
        fake_count: number of images to generate. Distances of different counts are not comparable.
        batch_size: number of images that each rank generates at once, and that the network takes at once.
        seed: integer that determines the latents and the noise.
        truncation: truncation that is passed to `GAN.sample`; 1 samples the whole distribution.
        ema: whether `GAN.sample` uses averaged weights, if there are some. Other modules are always evaluated with the
            weights that `EMA` averages.
        isc_splits: number of splits of the Inception Score.
        kid_subsets: number of random subsets that KID is averaged over.
        kid_subset_size: number of samples in each subset, at least 2; all samples if there are fewer. The record
            states the number that was used.
        prc_neighborhood: number of neighbours of precision and recall.
        memory_limit_gib: largest memory in GiB (2^30 bytes) that the pixels of both sets may take.
        sampler: function of (module, count, seed) that returns images `[count, channels, height, width]` in about
            [-1, 1], for a module that is no `GAN`; None samples the `GAN`.
        real: function that takes the real images out of a batch, for batches with several tensors of four dimensions in
            a module that is no `GAN`; None takes the only one. In a configuration it is the function's import path.
        value_range: lowest and highest value of float real images, such as [0, 1]; None is [-1, 1], and in a module
            that is no `GAN` the first batch is checked for it.
        name: prefix of the logged names, and name of the JSON file.

    Raises:
        ValueError: for settings out of range, if the weights are missing or are other ones, and at the first image for
            images that have neither 1 nor 3 channels or whose pixels would take more memory than the limit.
    """

    def __init__(
        self,
        *,
        weights: str | None = None,
        download: bool = False,
        every_kimg: float | None = None,
        fake_count: int = 2500,
        batch_size: int = 100,
        seed: int = 0,
        truncation: float = 1.0,
        ema: bool = True,
        isc_splits: int = 10,
        kid_subsets: int = 100,
        kid_subset_size: int = 1000,
        prc_neighborhood: int = 3,
        memory_limit_gib: float = 8.0,
        sampler: Callable[[LightningModule, int, int], Tensor] | None = None,
        real: Callable[[Any], Tensor] | None = None,
        value_range: Sequence[float] | None = None,
        name: str = "torch_fidelity",
    ) -> None:
        super().__init__(
            every_kimg=every_kimg,
            fake_count=fake_count,
            batch_size=batch_size,
            seed=seed,
            truncation=truncation,
            ema=ema,
            sampler=sampler,
            real=real,
            value_range=value_range,
            name=name,
        )
        self.check_counts(isc_splits=isc_splits, kid_subsets=kid_subsets, prc_neighborhood=prc_neighborhood)
        least = max(isc_splits, prc_neighborhood + 1, 2)
        if fake_count < least:
            raise ValueError(
                f"{self.title}: fake_count={fake_count} must be at least {least}, for isc_splits={isc_splits} and "
                f"prc_neighborhood={prc_neighborhood}"
            )
        if kid_subset_size < 2:
            raise ValueError(f"{self.title}: kid_subset_size={kid_subset_size} must be at least 2")
        # The library makes the network again in each measurement; here a wrong file is refused before time is lost.
        _, self.file = inception_network(asker=self.title, weights=weights, download=download)
        self.isc_splits = isc_splits
        self.kid_subsets = kid_subsets
        self.kid_subset_size = kid_subset_size
        self.prc_neighborhood = prc_neighborhood
        self.memory_limit_gib = memory_limit_gib
        self._shape: tuple[int, ...] = ()  # channels, height and width, known when images have been tried
        self._on_gpu = False

    @classmethod
    def beside(cls, evaluation: Evaluation) -> Self:
        """Returns a callback that measures the images of an `Evaluation`, if possible with the weights of its network.

        Args:
            evaluation: callback whose counts, seed and settings are taken over.
        """
        extractor = evaluation.extractor
        return cls(
            weights=str(extractor.file.path) if isinstance(extractor, InceptionFeatures) else None,
            every_kimg=evaluation.every_kimg,
            fake_count=evaluation.fake_count,
            batch_size=evaluation.batch_size,
            seed=evaluation.seed,
            truncation=evaluation.truncation,
            ema=evaluation.ema,
            isc_splits=evaluation.score_splits,
            kid_subsets=evaluation.kernel_subsets,
            kid_subset_size=evaluation.kernel_subset_size,
            prc_neighborhood=evaluation.neighbours,
            sampler=evaluation.sampler,
            real=evaluation.real,
            value_range=evaluation.value_range,
        )

    @property
    def least_reals(self) -> int:
        return max(2, self.prc_neighborhood + 1)

    def try_out_with(self, trainer: Trainer, module: LightningModule, batch: Any) -> None:
        super().try_out_with(trainer, module, batch)
        images = self.real_images(module).images(batch)
        batches = trainer.num_test_batches[0] if trainer.testing else trainer.num_val_batches[0]
        known = 0 if math.isinf(batches) else int(batches)
        self.check_memory(images[0].numel(), real_count=known * len(images) * trainer.world_size)

    def check_memory(self, bytes_of_image: int, *, real_count: int) -> None:
        """Refuses sets of images that take more memory than the limit.

        Args:
            bytes_of_image: number of bytes of one image, which is that of its pixels times its channels.
            real_count: number of real images, or slightly more; 0 if it is not known.

        Raises:
            ValueError: if both sets together take more than `memory_limit_gib`.
        """
        needed = (self.fake_count + real_count) * bytes_of_image / 2**30
        if needed > self.memory_limit_gib:
            raise ValueError(
                f"{self.title}: the pixels of fake_count={self.fake_count} generated and {real_count} real images of "
                f"{bytes_of_image} bytes take {needed:.3g} GiB of memory, more than "
                f"memory_limit_gib={self.memory_limit_gib:g}; set a smaller fake_count or a higher memory_limit_gib"
            )

    def describe(self, images: ImageBytes, positions: Int64[Tensor, " batch"]) -> list[Described]:
        if images.shape[1] not in (1, 3):
            raise ValueError(
                f"{self.title} takes 1 or 3 channels, but images have {images.shape[1]}; give grey or RGB images, or "
                "leave this callback out"
            )
        self._shape, self._on_gpu = tuple(images.shape[1:]), images.is_cuda
        return [Described(images.flatten(1).cpu(), positions)]

    def floors(self, reals: list[Rows]) -> dict[str, float]:
        return {}

    def compare(self, reals: Reals, fakes: list[Rows], *, asked: Tensor | None, drawn: Record) -> Record:
        (real,), (fake,) = reals.parts, fakes
        arguments: dict[str, int] = {
            "isc_splits": self.isc_splits,
            "kid_subsets": self.kid_subsets,
            "kid_subset_size": min(self.kid_subset_size, len(real), len(fake)),
            "prc_neighborhood": self.prc_neighborhood,
            "rng_seed": RNG_SEED,
        }
        numbers: dict[str, float] = torch_fidelity.calculate_metrics(
            input1=_Pictures(fake.reshape(-1, *self._shape)),
            input2=_Pictures(real.reshape(-1, *self._shape)),
            isc=True,
            fid=True,
            kid=True,
            prc=True,
            feature_extractor=NETWORK,
            feature_extractor_weights_path=str(self.file.path),
            batch_size=self.batch_size,
            cuda=self._on_gpu,
            save_cpu_ram=True,  # blocks of distances in place of all of them, and no processes that read images
            verbose=False,
            **arguments,
        )
        return {
            "extractor": f"{NETWORK} of torch-fidelity",
            **self.file.facts,
            "real_count": len(real),
            **drawn,
            **arguments,
            "torch_fidelity": version("torch-fidelity"),
            "torch": str(torch.__version__),
            "metrics": numbers,
        }

    def titles(self) -> dict[str, str]:
        by = "by torch-fidelity"
        return {
            torch_fidelity.KEY_METRIC_FID: f"FID {by}",
            torch_fidelity.KEY_METRIC_KID_MEAN: f"KID {by}",
            torch_fidelity.KEY_METRIC_KID_STD: "  its deviation over the subsets",
            torch_fidelity.KEY_METRIC_ISC_MEAN: f"Inception Score {by}",
            torch_fidelity.KEY_METRIC_ISC_STD: "  its deviation over the splits",
            torch_fidelity.KEY_METRIC_PRECISION: f"precision {by}",
            torch_fidelity.KEY_METRIC_RECALL: f"recall {by}",
            torch_fidelity.KEY_METRIC_F_SCORE: "  their harmonic mean",
        }

    def better(self) -> dict[str, Better]:
        scores = (
            torch_fidelity.KEY_METRIC_ISC_MEAN,
            torch_fidelity.KEY_METRIC_PRECISION,
            torch_fidelity.KEY_METRIC_RECALL,
            torch_fidelity.KEY_METRIC_F_SCORE,
        )
        distances = (torch_fidelity.KEY_METRIC_FID, torch_fidelity.KEY_METRIC_KID_MEAN)
        return dict.fromkeys(distances, "less") | dict.fromkeys(scores, "more")

    def headline(self, numbers: dict[str, float]) -> str:
        return (
            f"by torch-fidelity: FID {numbers[torch_fidelity.KEY_METRIC_FID]:.2f}, Inception Score "
            f"{numbers[torch_fidelity.KEY_METRIC_ISC_MEAN]:.2f}"
        )
