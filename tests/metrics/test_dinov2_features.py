"""DINOv2's features with a stand-in for the authors' code: what reaches the network, and what is refused."""

from pathlib import Path

import pytest
import torch

from lightning_gan.metrics import DinoV2Features
from tests.inception import structured_images

HUBCONF = """
import torch

class Means(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.factor = torch.nn.Parameter(torch.ones(3))

    def forward(self, images):
        return self.factor * images.mean(dim=(2, 3))

def dinov2_vits14(*, pretrained):
    assert not pretrained
    return Means()
"""


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A folder with a network of the same name, which returns the mean of each channel times a weight."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "hubconf.py").write_text(HUBCONF)
    torch.save({"factor": torch.tensor([1.0, 2.0, 3.0])}, tmp_path / "weights.pth")
    return tmp_path / "code"


def test_images_are_resized_and_normalized_and_weights_loaded(code: Path) -> None:
    extractor = DinoV2Features(code=str(code), network="dinov2_vits14", weights=str(code.parent / "weights.pth"))
    images = structured_images(3, seed=0, size=224)
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    expected = torch.tensor([1.0, 2.0, 3.0]) * ((images / 255).mean(dim=(2, 3)) - mean) / deviation
    torch.testing.assert_close(extractor(images), expected, rtol=1e-4, atol=1e-4)
    grey = structured_images(2, seed=0, channels=1, size=20)
    assert torch.equal(extractor(grey), extractor(grey.expand(-1, 3, -1, -1)))
    assert not any(parameter.requires_grad for parameter in extractor.parameters())
    assert (extractor.facts["network"], extractor.facts["resize"]) == ("dinov2_vits14", "clean")


def test_missing_code_and_weights_and_those_of_another_network_are_refused(
    code: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(
        ValueError, match=r"code=nowhere does not hold the authors' code.*git clone https://github.com/"
    ):
        DinoV2Features(code="nowhere")
    with pytest.raises(ValueError, match=r"dinov2_vits14_pretrain.pth. Download https://dl.*set download: true"):
        DinoV2Features(code=str(code), network="dinov2_vits14")
    torch.save({"other": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"other.pth does not hold the weights of https://dl"):
        DinoV2Features(code=str(code), network="dinov2_vits14", weights=str(tmp_path / "other.pth"))
