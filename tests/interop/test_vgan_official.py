"""Our VGAN discriminator computes what the authors' own computes, for the same noise."""

import pytest
import torch
from torch import Tensor

from lightning_gan.interop.vgan_official import networks
from lightning_gan.models.r1_resnet import Generator
from lightning_gan.models.vgan import Discriminator
from lightning_gan.penalties import kl_to_standard_normal
from tests.interop.goldens import Golden, relative_error


@pytest.fixture(scope="module")
def golden() -> Golden:
    return Golden("vgan_official")


@pytest.fixture(scope="module")
def discriminator(golden: Golden) -> Discriminator:
    network = networks(golden.state, golden.config)["D"]
    assert isinstance(network, Discriminator)
    return network


def code_of(discriminator: Discriminator, images: Tensor) -> tuple[Tensor, Tensor]:
    code: tuple[Tensor, Tensor] = discriminator.bottleneck(discriminator.features(images))
    return code


@torch.no_grad()
def test_the_codes_mean_and_deviation_equal_the_authors(golden: Golden, discriminator: Discriminator) -> None:
    mean, log_variance = code_of(discriminator, golden["input/image"])
    assert relative_error(mean, golden["output/mu"]) < 1e-5
    assert relative_error(log_variance / 2, golden["output/logstd"]) < 1e-5


@torch.no_grad()
def test_the_divergence_of_every_position_equals_the_authors(golden: Golden, discriminator: Discriminator) -> None:
    mean, log_variance = code_of(discriminator, golden["input/image"])
    # As samples of their own; the authors' order is image, row, column.
    of_positions = kl_to_standard_normal(*(code.movedim(1, -1).flatten(0, 2) for code in (mean, log_variance)))
    assert of_positions.shape == (8 * 16,)
    assert relative_error(of_positions, golden["output/kl"]) < 1e-4
    averaged = kl_to_standard_normal(mean, log_variance)
    assert relative_error(averaged, golden["output/kl"].unflatten(0, (8, 16)).mean(dim=1)) < 1e-4
    assert averaged.mean().item() == pytest.approx(golden["output/kl"].mean().item(), rel=1e-4)


@torch.no_grad()
def test_logits_equal_the_authors(golden: Golden, discriminator: Discriminator) -> None:
    logits = discriminator(golden["input/image"], golden["input/y"], golden["input/eps"])
    assert relative_error(logits.flatten(), golden["output/logits"]) < 1e-5


@torch.no_grad()
def test_logits_of_the_codes_mean_are_others(golden: Golden, discriminator: Discriminator) -> None:
    assert relative_error(discriminator(golden["input/image"]).flatten(), golden["output/logits"]) > 0.01


@torch.no_grad()
def test_the_generator_is_gan_stabilitys(golden: Golden) -> None:
    r1 = Golden("gan_stability_resnet")
    generator = networks({"G": r1.state["G"]}, r1.config)["G"]
    assert isinstance(generator, Generator)
    assert relative_error(generator(r1["input/z"][4:]), r1["output/image"][4:]) < 1e-6


@torch.no_grad()
def test_weights_of_several_classes_and_devices_are_imported(golden: Golden, discriminator: Discriminator) -> None:
    state = {f"module.{name}": value for name, value in golden.state["D"].items()}
    state["module.fc.weight"] = torch.cat([state["module.fc.weight"], -state["module.fc.weight"]])
    state["module.fc.bias"] = torch.cat([state["module.fc.bias"], -state["module.fc.bias"]])
    images, noise = golden["input/image"][:2], golden["input/eps"][:2]
    logits = networks({"D": state}, {**golden.config, "nlabels": 2})["D"](images, torch.tensor([0, 1]), noise)
    torch.testing.assert_close(logits * torch.tensor([[1.0], [-1.0]]), discriminator(images, None, noise))


def test_other_weights_are_refused(golden: Golden) -> None:
    plain = {name: value for name, value in golden.state["D"].items() if not name.startswith("logstd_fn")}
    with pytest.raises(ValueError, match="no logstd_fn"):
        networks({"D": plain}, golden.config)
    with pytest.raises(ValueError, match=r"attention\.gamma"):
        networks({"D": {**golden.state["D"], "attention.gamma": torch.zeros(1)}}, golden.config)
    with pytest.raises(ValueError, match="4 residual blocks"):
        networks(golden.state, {**golden.config, "size": 64})
