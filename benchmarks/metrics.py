"""What the metrics cost beside torch-fidelity's functions for the same features, and the neighbours of a large set.

    OMP_NUM_THREADS=1 python benchmarks/metrics.py
    OMP_NUM_THREADS=1 python benchmarks/metrics.py --rounds 1 --neighbours 50000

Both get the same two sets of 5,000 features of 2,048 dimensions in fp32, made from 64 latent dimensions with noise and
rectified, as Inception's are. They calculate in turns within one run, each on one thread. Seconds are those of the
processor, which do not count the time in which other programs have the core. The ratio is torch-fidelity's seconds by
ours; it is given with its quartiles over the rounds.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric

from lightning_gan.metrics import (
    frechet_distance,
    frechet_floor,
    gaussian,
    kernel_distances,
    neighbour_radii,
    precision_recall,
)

DIMENSIONS = 2048
LATENT_DIMENSIONS = 64


def features(count: int, *, seed: int, shift: float = 0.0) -> Tensor:
    """Returns rectified features `[count, 2048]` that vary in 64 directions, with a little noise."""
    weights = torch.randn(LATENT_DIMENSIONS, DIMENSIONS, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(seed)
    latents = torch.randn(count, LATENT_DIMENSIONS, generator=generator) + shift
    noise = torch.randn(count, DIMENSIONS, generator=generator)
    return (latents @ weights / LATENT_DIMENSIONS**0.5 + 0.1 * noise).relu_()


def seconds(function: Callable[[], object]) -> float:
    """The processor's seconds for one call."""
    start = time.process_time()
    function()
    return time.process_time() - start


def theirs_fid(real: Tensor, fake: Tensor) -> float:
    """torch-fidelity's Fréchet distance from features."""
    statistics_of = fid_features_to_statistics
    result = fid_statistics_to_metric(statistics_of(real), statistics_of(fake), verbose=False)
    return float(result["frechet_inception_distance"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9, help="calls of each, after one that is not counted")
    parser.add_argument("--samples", type=int, default=5000, help="number of features in each set")
    parser.add_argument(
        "--neighbours", type=int, default=0, metavar="SAMPLES", help="also search so many for neighbours"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    real, fake = features(arguments.samples, seed=1), features(arguments.samples, seed=2, shift=0.1)
    size = min(1000, arguments.samples)
    pairs: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "FID": (lambda: frechet_distance(gaussian(real), gaussian(fake)), lambda: theirs_fid(real, fake)),
        "KID, 100 subsets": (
            lambda: kernel_distances(real, fake, subset_size=size),
            lambda: kid_features_to_metric(fake, real, kid_subset_size=size, verbose=False),
        ),
        "precision and recall": (
            lambda: precision_recall(real, fake),
            lambda: prc_features_to_metric(fake, real, verbose=False),
        ),
    }
    print(
        f"{arguments.samples} + {arguments.samples} features of {DIMENSIONS} dimensions, medians of {arguments.rounds}"
    )
    print(f"{'':22}{'ours, s':>9}{'theirs, s':>11}{'theirs : ours':>15}{'quartiles':>14}")
    for name, both in pairs.items():
        rounds = [[seconds(function) for function in both] for _ in range(arguments.rounds + 1)][1:]
        ours, theirs = (statistics.median(each) for each in zip(*rounds, strict=True))
        ratios = [second / first for first, second in rounds]
        low, middle, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
        print(f"{name:22}{ours:9.2f}{theirs:11.2f}{middle:15.2f}{f'{low:.2f} - {high:.2f}':>14}")
    print(f"Fréchet distance of halves, 5 times: {seconds(lambda: frechet_floor(real, seed=0)):.1f} s")
    if arguments.neighbours:
        many = features(arguments.neighbours, seed=3)
        taken = seconds(lambda: neighbour_radii(many, neighbours=3))
        print(f"third nearest neighbours of {arguments.neighbours} among each other: {taken:.0f} s")


if __name__ == "__main__":
    main()
