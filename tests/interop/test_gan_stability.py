"""Our R1 ResNets compute what the authors' own networks compute."""

import pytest
import torch
from torch import Tensor

from lightning_gan.interop.gan_stability import networks
from lightning_gan.models.r1_resnet import Discriminator, Generator, ResidualBlock, ResNet2, ResNet3, ResNet4
from lightning_gan.penalties import squared_gradient_norm
from tests.interop.goldens import Golden, relative_error


@pytest.fixture(scope="module")
def golden() -> Golden:
    return Golden("gan_stability_resnet")


@torch.no_grad()
def test_images_equal_the_authors(golden: Golden) -> None:
    generator = networks(golden.state, golden.config)["G"]
    images = generator(golden["input/z"], golden["input/y"])
    assert torch.equal(generator(golden["input/z"]), images)
    # The first four of the golden's eight images are themselves off by 1e-5 of what they are in double precision.
    assert relative_error(images, golden["output/image"]) < 1e-4
    assert relative_error(images[4:], golden["output/image"][4:]) < 1e-6


def test_logits_and_image_gradients_equal_the_authors(golden: Golden) -> None:
    discriminator = networks(golden.state, golden.config)["D"]
    images = golden["output/image"].clone().requires_grad_()
    logits = discriminator(images, golden["input/y"])
    assert relative_error(logits.flatten(), golden["output/logits"]) < 1e-5
    assert relative_error(squared_gradient_norm(logits, images), golden["output/grad_norm2"]) < 1e-4


def authors_state(network: Generator | Discriminator, *, shift: int) -> dict[str, Tensor]:
    """The state of `resnet2` to `resnet4` under the authors' names, which number blocks by stage from 0."""
    blocks = [name for name, module in network.named_modules() if isinstance(module, ResidualBlock)]
    names = {block: "resnet_{}_{}".format(int(block.split(".")[1]) - shift, block.split(".")[2]) for block in blocks}
    heads = {"input": "fc", "output": "conv_img", "label_embedding": "embedding"}
    if isinstance(network, Discriminator):
        heads = {"input": "conv_img", "output": "fc"}
    layers = {"conv0": "conv_0", "conv1": "conv_1", "shortcut": "conv_s"}
    state = {}
    for name, value in network.state_dict().items():
        module, _, kind = name.rpartition(".")
        block, _, layer = module.rpartition(".")
        theirs = heads[module] if module in heads else f"{names[block]}.{layers[layer]}"
        state[f"module.{theirs}.{kind}"] = value
    return state


@pytest.mark.parametrize(
    ("architecture", "size", "shift"), [(ResNet2(), 32, 0), (ResNet3(), 64, 1), (ResNet4(), 64, 0)]
)
@torch.no_grad()
def test_the_authors_other_networks_are_told_from_their_names(
    architecture: ResNet2 | ResNet3 | ResNet4, size: int, shift: int
) -> None:
    torch.manual_seed(0)
    generator = Generator(
        image_size=size,
        image_channels=3,
        number_of_classes=3,
        latent_dim=4,
        label_dim=2,
        width=1,
        width_max=1024,
        architecture=architecture,
    )
    discriminator = Discriminator(
        image_size=size, image_channels=3, number_of_classes=3, width=1, width_max=1024, architecture=architecture
    )
    state = {"G": authors_state(generator, shift=0), "D": authors_state(discriminator, shift=shift)}
    imported = networks(state, {"z_dim": 4, "nlabels": 3, "size": size, "embed_size": 2, "nfilter": 1})
    latents, labels = torch.randn(3, 4), torch.arange(3)
    images = generator(latents, labels)
    assert torch.equal(imported["G"](latents, labels), images)
    assert torch.equal(imported["D"](images, labels), discriminator(images, labels))


def test_one_network_alone_can_be_imported(golden: Golden) -> None:
    assert networks({"D": golden.state["D"]}, golden.config).keys() == {"D"}


def test_another_size_is_refused(golden: Golden) -> None:
    with pytest.raises(ValueError, match="4 residual blocks"):
        networks(golden.state, {**golden.config, "size": 64})


def test_foreign_variables_are_refused(golden: Golden) -> None:
    state = {"D": {**golden.state["D"], "attention.gamma": torch.zeros(1)}}
    with pytest.raises(ValueError, match=r"attention\.gamma"):
        networks(state, golden.config)
