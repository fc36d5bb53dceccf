"""Inception's features without its weights: what is said when they are missing or wrong, resizing, and the wiring."""

import hashlib
from pathlib import Path

import pytest
import torch
from torch_fidelity import FeatureExtractorInceptionV3

from lightning_gan.metrics import InceptionFeatures
from tests.inception import structured_images


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


def test_grey_images_have_the_features_of_three_equal_channels(inception_weights: Path) -> None:
    extractor = InceptionFeatures(weights=str(inception_weights))
    grey = torch.randint(0, 256, (2, 1, 32, 32), generator=torch.Generator().manual_seed(0)).byte()
    features = extractor(grey)
    assert features.shape == (2, 2048)
    assert torch.equal(features, extractor(grey.expand(-1, 3, -1, -1)))
    assert not any(parameter.requires_grad for parameter in extractor.parameters())
    with pytest.raises(ValueError, match="1 or 3 channels"):
        extractor(torch.zeros(1, 4, 8, 8, dtype=torch.uint8))


def test_a_file_in_the_download_folder_must_be_the_published_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    place = tmp_path / "checkpoints" / "weights-inception-2015-12-05-6726825d.pth"
    place.write_bytes(b"half a downl")
    begin = hashlib.sha256(b"half a downl").hexdigest()[:8]
    with pytest.raises(ValueError, match=f"begins with {begin}, not 6726825d. Delete the file and download it again"):
        InceptionFeatures()


def test_records_state_the_resizing_and_weights_that_are_not_the_published_ones(inception_weights: Path) -> None:
    extractor = InceptionFeatures(weights=str(inception_weights), resize="clean")
    assert extractor.facts == {
        "resize": "clean",
        "extractor_weights": hashlib.sha256(inception_weights.read_bytes()).hexdigest()[:8],
        "remark": "other weights than the published ones",
    }


def test_clean_features_come_from_the_same_layers(inception_weights: Path) -> None:
    """Images of 299 pixels are not resized, so that both kinds of resizing give the same features; others differ."""
    clean = InceptionFeatures(weights=str(inception_weights), resize="clean")
    network = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], str(inception_weights))
    full = structured_images(2, seed=0, size=299)
    torch.testing.assert_close(clean(full), network(full)[0], rtol=1e-4, atol=1e-4)
    small = structured_images(2, seed=0, size=512)
    assert (clean(small) - network(small)[0]).abs().max() > 1e-2
