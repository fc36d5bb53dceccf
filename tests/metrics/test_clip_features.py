"""CLIP's features with random weights in the format of the published files."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch_fidelity.feature_extractor_clip import CLIPVisual

from lightning_gan.metrics import ClipFeatures
from tests.inception import structured_images


def write_archive(path: Path, weights: dict[str, Tensor]) -> None:
    """Writes a TorchScript archive with parameters of these dotted names, as OpenAI's files are."""
    root = nn.Module()
    for name, value in weights.items():
        *outer, last = name.split(".")
        module = root
        for part in outer:
            if part not in dict(module.named_children()):
                module.add_module(part, nn.Module())
            module = module.get_submodule(part)
        module.register_parameter(last, nn.Parameter(value, requires_grad=False))
    torch.jit.save(torch.jit.script(root), path)


@pytest.fixture(scope="module")
def network() -> CLIPVisual:
    """A small vision transformer with patches of 32 pixels and 16 features."""
    torch.manual_seed(0)
    return CLIPVisual(16, 224, 1, 64, 32).eval()


@pytest.fixture
def weights(network: CLIPVisual, tmp_path: Path) -> Path:
    half = {name: value.half() for name, value in network.state_dict().items()}
    path = tmp_path / "clip.pt"
    write_archive(path, {**half, "text_projection": torch.zeros(8, 16), "transformer.resblocks.0.bias": torch.zeros(2)})
    return path


pytestmark = pytest.mark.filterwarnings("ignore:.*is deprecated. Please switch:FutureWarning")


@torch.no_grad()
def test_features_are_those_of_the_image_encoder_after_its_normalization(network: CLIPVisual, weights: Path) -> None:
    """Images of 224 pixels are not resized. The mean and the deviation of the channels are OpenAI's."""
    images = structured_images(3, seed=0, size=224)
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073])[:, None, None]
    deviation = torch.tensor([0.26862954, 0.26130258, 0.27577711])[:, None, None]
    rounded = CLIPVisual(16, 224, 1, 64, 32).eval()
    rounded.load_state_dict({name: value.half() for name, value in network.state_dict().items()})
    expected = rounded.visual((images / 255 - mean) / deviation)
    torch.testing.assert_close(ClipFeatures(weights=str(weights))(images), expected, rtol=1e-4, atol=1e-5)


def test_grey_images_are_taken_and_records_name_network_and_weights(weights: Path) -> None:
    extractor = ClipFeatures(weights=str(weights))
    grey = structured_images(2, seed=0, channels=1)
    assert torch.equal(extractor(grey), extractor(grey.expand(-1, 3, -1, -1)))
    assert not any(parameter.requires_grad for parameter in extractor.parameters())
    facts = extractor.facts
    assert facts["network"] == "clip-vit-b-32" and facts["remark"] == "other weights than the published ones"
    with pytest.raises(
        ValueError,
        match=r"ClipFeatures takes 1 or 3 channels, but images have 4; .*RandomFeatures, which takes any number",
    ):
        extractor(torch.zeros(1, 4, 8, 8, dtype=torch.uint8))


def test_missing_and_other_files_and_networks_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(ValueError, match=r"clip-vit-b-16-5806.*pt. Download https://.*ViT-B-16.pt .*download: true"):
        ClipFeatures(network="clip-vit-b-16")
    with pytest.raises(ValueError, match="network='vit' is none of clip-rn50, "):
        ClipFeatures(network="vit")
    wrong = tmp_path / "wrong.pt"
    torch.save({"weight": torch.zeros(1)}, wrong)
    with pytest.raises(ValueError, match=r"wrong.pt does not hold the weights of https://"):
        ClipFeatures(weights=str(wrong))
