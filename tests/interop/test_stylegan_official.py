"""Our StyleGAN computes what the authors' own networks compute, at every level of detail."""

import math

import pytest
import torch

from lightning_gan.interop.stylegan_official import networks
from lightning_gan.layers import nearest_upsample
from lightning_gan.models.stylegan import Discriminator, Generator
from lightning_gan.penalties import squared_gradient_norm
from tests.interop.goldens import Golden, relative_error

LEVELS = [0.0, 0.3, 1.0, 1.6]


@pytest.fixture(scope="module")
def golden() -> Golden:
    return Golden("stylegan_official")


def grown(golden: Golden, lod: float) -> tuple[Generator, Discriminator, int]:
    """The imported networks at a level of detail, and the factor to the full resolution."""
    imported = networks(golden.state, golden.config)
    generator, discriminator = imported["G"], imported["D"]
    assert isinstance(generator, Generator)
    assert isinstance(discriminator, Discriminator)
    generator.w_avg.copy_(golden["input/w_avg"])
    factor = 2 ** math.floor(lod)
    for network in (generator, discriminator):
        network.grow(golden.config["resolution"] // factor, 1 - (lod - math.floor(lod)))
    return generator, discriminator, factor


@pytest.mark.parametrize("lod", LEVELS)
@torch.no_grad()
def test_styles_and_images_equal_the_authors(golden: Golden, lod: float) -> None:
    generator, _, factor = grown(golden, lod)
    latents = golden["input/z"]
    assert relative_error(generator.mapping(latents), golden[f"output/lod{lod}/w"]) < 1e-5
    images = nearest_upsample(generator(latents, random_noise=False), factor=factor)
    assert relative_error(images, golden[f"output/lod{lod}/image"]) < 1e-5
    truncated = generator(latents, truncation=0.7, truncation_layers=4, random_noise=False)
    expected = golden[f"output/lod{lod}/image_psi0.7_cutoff4"]
    assert relative_error(nearest_upsample(truncated, factor=factor), expected) < 1e-5


@pytest.mark.parametrize("lod", LEVELS)
def test_scores_and_image_gradients_equal_the_authors(golden: Golden, lod: float) -> None:
    _, discriminator, factor = grown(golden, lod)
    images = golden[f"output/lod{lod}/image"][:, :, ::factor, ::factor].clone().requires_grad_()
    logits = discriminator(images)
    assert relative_error(logits, golden[f"output/lod{lod}/score"]) < 1e-5
    # The authors differentiate by the image upscaled to the full resolution.
    squares = squared_gradient_norm(logits, images) / factor**2
    assert relative_error(squares, golden[f"output/lod{lod}/grad_norm2"]) < 1e-4


def test_a_foreign_blur_filter_is_refused(golden: Golden) -> None:
    with pytest.raises(ValueError, match="blur_filter"):
        networks(golden.state, {**golden.config, "blur_filter": [1, 3, 3, 1]})
