"""From images to FID, KID, Inception Score, precision and recall: what it costs beside torch-fidelity, in one run.

    OMP_NUM_THREADS=2 python benchmarks/evaluation.py                # 5,000 + 5,000 images; about an hour on two cores
    OMP_NUM_THREADS=2 python benchmarks/evaluation.py --images 1000

Both get the same images of 32x32 pixels in memory, the same file of Inception's weights with random values, and the
same batch size, and pass each image through the network once. Seconds are those of the processor. Both results are
printed; the Inception Scores differ by the order in which images are split, the kernel distances by their subsets.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset
from torch_fidelity import calculate_metrics

from lightning_gan.metrics import (
    InceptionFeatures,
    frechet_distance,
    gaussian,
    inception_score,
    kernel_distances,
    precision_recall,
)
from tests.inception import structured_images, write_random_inception

BATCH_SIZE = 64
SUBSETS = 100


class Images(Dataset[Tensor]):
    """Images in memory."""

    def __init__(self, images: Tensor) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        return self.images[index]


def ours(weights: Path, real: Tensor, fake: Tensor, *, subset_size: int) -> dict[str, float]:
    """This package's numbers. (Precision and recall come with density and coverage.)"""
    extractor = InceptionFeatures(weights=str(weights))
    with torch.no_grad():
        of_real, of_fake = (
            torch.cat([extractor(batch) for batch in images.split(BATCH_SIZE)]) for images in (real, fake)
        )
        score = inception_score(extractor.classify_features(of_fake), splits=10).mean
    kernel = kernel_distances(of_real, of_fake, subsets=SUBSETS, subset_size=subset_size, seed=0)
    shares = precision_recall(of_real, of_fake)
    return {
        "frechet_distance": frechet_distance(gaussian(of_real), gaussian(of_fake)).item(),
        "kernel_distance": kernel.mean().item(),
        "inception_score": score,
        "precision": shares.precision,
        "recall": shares.recall,
    }


def theirs(weights: Path, real: Tensor, fake: Tensor, *, subset_size: int) -> dict[str, float]:
    """torch-fidelity's numbers, by one network for all of them, which it then runs once."""
    found: dict[str, float] = calculate_metrics(
        input1=Images(fake),
        input2=Images(real),
        fid=True,
        kid=True,
        isc=True,
        prc=True,
        feature_extractor="inception-v3-compat",
        feature_layer_prc="2048",
        feature_extractor_weights_path=str(weights),
        kid_subsets=SUBSETS,
        kid_subset_size=subset_size,
        batch_size=BATCH_SIZE,
        cuda=False,
        save_cpu_ram=True,  # reads images in this process, so that all of its time is counted
        cache=False,
        verbose=False,
    )
    return found


def seconds(function: Callable[[], dict[str, float]]) -> tuple[float, dict[str, float]]:
    """The processor's seconds of a call, and its result."""
    began = time.process_time()
    result = function()
    return time.process_time() - began, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5000, help="number of images of each kind")
    arguments = parser.parse_args()
    real, fake = (structured_images(arguments.images, seed=seed, noise=noise) for seed, noise in ((1, 0.5), (2, 0.6)))
    size = min(1000, arguments.images)
    with tempfile.TemporaryDirectory() as folder:
        weights = write_random_inception(Path(folder) / "inception.pth")
        first, own = seconds(lambda: ours(weights, real, fake, subset_size=size))
        second, other = seconds(lambda: theirs(weights, real, fake, subset_size=size))
    print(f"{arguments.images} + {arguments.images} images, {torch.get_num_threads()} threads")
    print(f"ours {first:.0f} s, torch-fidelity {second:.0f} s of the processor: {second / first:.2f} times as fast")
    rows = {
        "Fréchet distance": (own["frechet_distance"], other["frechet_inception_distance"]),
        "kernel distance x 1000": (1000 * own["kernel_distance"], 1000 * other["kernel_inception_distance_mean"]),
        "Inception Score": (own["inception_score"], other["inception_score_mean"]),
        "precision": (own["precision"], other["precision"]),
        "recall": (own["recall"], other["recall"]),
    }
    for name, (mine, reference) in rows.items():
        print(f"{name:24}{mine:14.6f}{reference:14.6f}")


if __name__ == "__main__":
    main()
