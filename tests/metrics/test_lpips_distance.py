"""LPIPS against torchmetrics with random weights of VGG-16, and what is said when the files are missing."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch_fidelity.sample_similarity_lpips
import torchmetrics.functional.image.lpips as reference
from torch import nn

from lightning_gan.metrics import LpipsDistance
from lightning_gan.metrics.lpips_distance import LINEAR, VGG
from lightning_gan.metrics.published_weights import PublishedWeights, WeightsFile


def random_vgg() -> nn.Sequential:
    """The convolutions of VGG-16 (Simonyan and Zisserman 2015, table 1, D)."""
    layers: list[nn.Module] = []
    width = 3
    for block in ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512)):
        for outputs in block:
            convolution = nn.Conv2d(width, outputs, 3, padding=1)
            nn.init.kaiming_normal_(convolution.weight)
            layers += [convolution, nn.ReLU()]
            width = outputs
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


@pytest.fixture
def distance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LpipsDistance:
    """A distance with the authors' weights of layers, which torchmetrics has, and random weights of VGG-16."""
    linear = Path(reference.__file__).parent / "lpips_models" / "vgg.pth"
    (tmp_path / "checkpoints").mkdir()
    for published in (VGG, LINEAR):  # the contents of the first are not read, because its network is replaced
        shutil.copy(linear, tmp_path / "checkpoints" / published.file_name)

    def find(self: PublishedWeights, weights: str | None, *, download: bool) -> WeightsFile:
        return WeightsFile(path=self.usual_path, sha256="", is_published=True)

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(PublishedWeights, "find", find)
    network = SimpleNamespace(features=random_vgg())
    monkeypatch.setattr(
        torch_fidelity.sample_similarity_lpips, "torchvision_load_pretrained_vgg16", lambda **_: network
    )
    return LpipsDistance()


def test_it_is_the_lpips_of_torchmetrics(distance: LpipsDistance) -> None:
    theirs = reference._LPIPS(pretrained=True, net="vgg", pnet_rand=True).eval()
    layers = [layer for layer in theirs.net.modules() if isinstance(layer, nn.Conv2d)]
    own = [layer for layer in distance.network.net.modules() if isinstance(layer, nn.Conv2d)]
    for layer, given in zip(layers, own, strict=True):
        layer.load_state_dict(given.state_dict())
    first, second = torch.rand(2, 3, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2.2 - 1.1
    expected = theirs(first, second).flatten()
    assert (expected > 1e-3).all()
    torch.testing.assert_close(distance(first, second), expected, rtol=1e-4, atol=0)


def test_equal_images_are_at_distance_0_and_grey_ones_have_three_equal_channels(distance: LpipsDistance) -> None:
    first, second = torch.rand(2, 2, 1, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    assert distance(first, first).tolist() == [0.0, 0.0]
    coloured = (images.expand(-1, 3, -1, -1) for images in (first, second))
    assert torch.equal(distance(first, second), distance(*coloured))
    assert not any(parameter.requires_grad for parameter in distance.parameters())
    with pytest.raises(ValueError, match="LpipsDistance takes 1 or 3 channels, but images have 4"):
        distance(torch.zeros(1, 4, 32, 32), torch.zeros(1, 4, 32, 32))


def test_its_gradient_leads_from_one_image_to_another(distance: LpipsDistance) -> None:
    first, second = torch.rand(2, 1, 3, 32, 32, generator=torch.Generator().manual_seed(2)) * 2 - 1
    first.requires_grad_()
    apart = distance(first, second)
    (gradient,) = torch.autograd.grad(apart.sum(), first)
    step = 0.01 * apart.item() / gradient.norm()
    assert distance(first - step * gradient / gradient.norm(), second) < apart


def test_missing_weights_are_named_with_their_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", lambda *_, **__: pytest.fail("nobody asked for a download"))
    with pytest.raises(ValueError, match=r"no weights at .*vgg16-397923af.pth. Download https.*put it there"):
        LpipsDistance()
