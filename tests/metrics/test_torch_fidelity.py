"""FID, KID, Inception Score, precision and recall against torch-fidelity and torchmetrics, from images to numbers.

All three read one file of random weights in the published format: what is compared is resizing, network and formulas.
"""

from pathlib import Path
from typing import NamedTuple

import pytest
import torch
import torch_fidelity
from torch import Tensor
from torch.utils.data import Dataset
from torchmetrics.image.fid import FrechetInceptionDistance

from lightning_gan.metrics import (
    InceptionFeatures,
    frechet_distance,
    gaussian,
    inception_score,
    kernel_distances,
    precision_recall,
)
from tests.inception import structured_images


class Pictures(Dataset[Tensor]):
    """Images, one at a time, as torch-fidelity reads them."""

    def __init__(self, images: Tensor) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        return self.images[index]


class Both(NamedTuple):
    """Images, our features of them, and the reference's numbers, which take seconds to compute."""

    weights: Path
    real: Tensor
    fake: Tensor
    real_features: Tensor
    fake_features: Tensor
    extractor: InceptionFeatures
    theirs: dict[str, float]


def measured(weights: Path, *, count: int, fid: bool) -> Both:
    """`count` images of either kind. The reference draws its subsets for KID by numpy: here each is the whole set."""
    real, fake = structured_images(count, seed=1, noise=0.2), structured_images(count, seed=2, noise=0.8)
    theirs = torch_fidelity.calculate_metrics(
        input1=Pictures(fake),
        input2=Pictures(real),
        isc=True,
        fid=fid,
        kid=True,
        prc=True,
        feature_extractor="inception-v3-compat",
        feature_extractor_weights_path=str(weights),
        isc_splits=2,
        samples_shuffle=False,
        kid_subsets=1,
        kid_subset_size=count,
        batch_size=16,
        cuda=False,
        save_cpu_ram=True,
        verbose=False,
    )
    extractor = InceptionFeatures(weights=str(weights))
    return Both(weights, real, fake, extractor(real), extractor(fake), extractor, theirs)


@pytest.fixture(scope="module")
def both(inception_weights: Path) -> Both:
    return measured(inception_weights, count=8, fid=False)


def test_features_are_those_of_torch_fidelity(both: Both) -> None:
    network = torch_fidelity.FeatureExtractorInceptionV3(
        "inception-v3-compat", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(both.weights)
    )
    features, logits = network(both.fake[:6])
    assert 0.05 < features.std() < 20  # neither huge nor all 0
    # Batch normalization is a part of our convolutions, which rounds otherwise: 3e-7 of an image's features.
    errors = (both.fake_features[:6] - features).norm(dim=1) / features.norm(dim=1)
    assert errors.max() < 1e-6
    torch.testing.assert_close(both.extractor.classify_features(features), logits, rtol=1e-6, atol=1e-5)


def test_kernel_distance_is_their_kid(both: Both) -> None:
    ours = kernel_distances(both.real_features, both.fake_features, subsets=1, subset_size=8, seed=0)
    assert ours.item() == pytest.approx(both.theirs["kernel_inception_distance_mean"], rel=1e-3)


def test_score_is_their_inception_score(both: Both) -> None:
    ours = inception_score(both.extractor.classify_features(both.fake_features), splits=2)
    assert ours.mean == pytest.approx(both.theirs["inception_score_mean"], rel=1e-3)
    assert ours.deviation == pytest.approx(both.theirs["inception_score_std"], rel=1e-3)
    assert ours.mean > 1.005


def test_precision_and_recall_are_theirs(both: Both) -> None:
    ours = precision_recall(both.real_features, both.fake_features, neighbours=3)
    assert ours.precision == pytest.approx(both.theirs["precision"], rel=1e-3)
    assert ours.recall == pytest.approx(both.theirs["recall"], rel=1e-3)


@pytest.mark.slow
def test_frechet_distance_and_all_other_numbers_are_theirs(inception_weights: Path) -> None:
    """The roots of 2,048 eigenvalues take both references some seconds."""
    found = measured(inception_weights, count=32, fid=True)
    real, fake, theirs = found.real_features, found.fake_features, found.theirs
    ours = frechet_distance(gaussian(real), gaussian(fake)).item()
    assert ours == pytest.approx(theirs["frechet_inception_distance"], rel=1e-3)
    kernel = kernel_distances(real, fake, subsets=1, subset_size=32, seed=0)
    assert kernel.item() == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-3)
    score = inception_score(found.extractor.classify_features(fake), splits=2)
    assert score.mean == pytest.approx(theirs["inception_score_mean"], rel=1e-3)
    shares = precision_recall(real, fake, neighbours=3)
    assert shares.precision == pytest.approx(theirs["precision"], rel=1e-3)
    assert shares.recall == pytest.approx(theirs["recall"], rel=1e-3)
    reference = FrechetInceptionDistance(feature=found.extractor, input_img_size=(3, 32, 32))
    for images, is_real in ((found.real, True), (found.fake, False)):
        for batch in images.split(16):
            reference.update(batch, real=is_real)
    assert ours == pytest.approx(reference.compute().item(), rel=1e-3)
