"""Inception's features without its weights: what is said when they are missing or wrong, and the wiring."""

from pathlib import Path

import pytest
import torch
from torch_fidelity import feature_extractor_inceptionv3

from lightning_gan.metrics import InceptionFeatures


@pytest.fixture(scope="module")
def random_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of the right shapes; torch-fidelity makes its network only together with some."""
    inception = feature_extractor_inceptionv3.FeatureExtractorInceptionV3
    seen: dict[str, torch.Tensor] = {}

    class Bare(inception):  # type: ignore[misc, valid-type]
        def load_state_dict(self, *args: object, **kwargs: object) -> None:
            seen.update(self.state_dict())

    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    torch.save({}, path)
    torch.manual_seed(0)
    Bare("inception-v3-compat", ["2048"], str(path))
    torch.save(seen, path)
    return path


def test_missing_weights_end_in_one_message_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", lambda *_, **__: pytest.fail("nobody asked for a download"))
    with pytest.raises(
        ValueError, match=r"no weights at .*Download https://.*pth .*set weights to .*download: true"
    ) as error:
        InceptionFeatures()
    assert error.value.__cause__ is None and str(tmp_path) in str(error.value)
    with pytest.raises(ValueError, match="no weights at nowhere"):
        InceptionFeatures(weights="nowhere.pth")


def test_a_failed_download_ends_in_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    with pytest.raises(ValueError, match=r"could not be downloaded \(no route to host\)"):
        InceptionFeatures(download=True)


def test_a_file_with_something_else_is_refused(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.pth"
    torch.save({"weight": torch.zeros(1)}, wrong)
    with pytest.raises(ValueError, match="does not hold the weights"):
        InceptionFeatures(weights=str(wrong))
    wrong.write_bytes(b"<html>not found</html>")
    with pytest.raises(ValueError, match="does not hold the weights"):
        InceptionFeatures(weights=str(wrong))


def test_grey_images_have_the_features_of_three_equal_channels(random_weights: Path) -> None:
    extractor = InceptionFeatures(weights=str(random_weights))
    grey = torch.randint(0, 256, (2, 1, 32, 32), generator=torch.Generator().manual_seed(0)).byte()
    features = extractor(grey)
    assert features.shape == (2, 2048)
    assert torch.equal(features, extractor(grey.expand(-1, 3, -1, -1)))
    assert not any(parameter.requires_grad for parameter in extractor.parameters())
    with pytest.raises(ValueError, match="1 or 3 channels"):
        extractor(torch.zeros(1, 4, 8, 8, dtype=torch.uint8))
