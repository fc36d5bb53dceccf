"""The layers that take latents, and their matrices, of every model that makes images."""

import pytest
import torch
from torch import Tensor, nn

from lightning_gan import models
from lightning_gan.inference.latent_layers import ROWS, columns_in, layers_of_latents, layers_of_styles
from lightning_gan.loop.gan import GAN
from lightning_gan.models import PGGAN, BigGAN, StyleGAN, StyleGAN2
from lightning_gan.models.style_based_gan import StyleBasedGAN
from tests.inference.trained import in_memory, small
from tests.models.test_every_model import small as small_of_every
from tests.parts import classes_of
from tests.toys import toy_gan

MODELS = [kind for kind in classes_of(models, GAN) if not issubclass(kind, StyleBasedGAN)]


def forward_of(model: GAN, latents: Tensor) -> Tensor:
    labels = torch.zeros(len(latents), dtype=torch.int64) if model.number_of_classes else None
    return model.truncated(model.generator, latents, labels, truncation=1.0, fresh_noise=False)


def output_of(model: GAN, name: str, latents: Tensor) -> Tensor:
    """What a layer of the generator makes of latents."""
    outputs: list[Tensor] = []
    hook = model.generator.get_submodule(name).register_forward_hook(
        lambda module, inputs, output: outputs.append(output.flatten(1))
    )
    with torch.no_grad():
        forward_of(model, latents)
    hook.remove()
    return outputs[0]


@pytest.mark.parametrize("kind", MODELS, ids=lambda kind: kind.__name__)
def test_the_first_layer_of_every_model_changes_by_its_matrix(kind: type[GAN]) -> None:
    model: GAN = small_of_every(kind).eval()
    latents, _ = model.draw_latents(ROWS, seed=0)
    first, *_ = layers_of_latents(model.generator, latents, lambda given: forward_of(model, given))
    if kind is PGGAN:
        # It divides the latent by its root mean square, so that the layer sees the direction of the latent alone.
        latents = latents / latents.square().mean(dim=1, keepdim=True).sqrt()
    step = torch.randn(model.latent_dim, generator=torch.Generator().manual_seed(1))
    moved = latents + step
    if kind is PGGAN:
        moved *= (latents.square().sum(dim=1, keepdim=True) / moved.square().sum(dim=1, keepdim=True)).sqrt()
    change = output_of(model, first.name, moved) - output_of(model, first.name, latents)
    assert change.abs().mean() > 1e-3
    torch.testing.assert_close(change, (moved - latents) @ first.matrix.T, rtol=1e-3, atol=1e-5)


def test_of_hierarchical_latents_each_layer_gets_its_chunk() -> None:
    model = small(BigGAN)
    latents, _ = model.draw_latents(ROWS, seed=0)
    found = layers_of_latents(model.generator, latents, lambda given: forward_of(model, given))
    # The linear layer, and a gain and a bias for both normalizations of three blocks.
    assert found[0].name == "linear" and len(found) == 1 + 3 * 2 * 2
    for place, layer in enumerate(found):
        chunk = (place + 3) // 4
        used = layer.matrix.abs().sum(dim=0) > 0
        assert used.nonzero().flatten().tolist() == list(range(5 * chunk, 5 * chunk + 5))


def test_every_layer_of_a_style_network_takes_its_own_style() -> None:
    model = small(StyleGAN)
    assert isinstance(model, StyleGAN)
    found = layers_of_styles(model.generator_ema, model, style_dim=8, ema=True)
    assert [layer.style for layer in found] == [0, 1, 2, 3, 4, 5]
    for layer in found:
        affine = model.generator_ema.get_submodule(layer.name)
        expected = affine.weight * affine.weight_scale
        torch.testing.assert_close(layer.matrix, expected, rtol=1e-4, atol=1e-5)


def test_layers_to_rgb_of_stylegan2_take_the_style_of_the_next_convolution() -> None:
    model = small_of_every(StyleGAN2)
    assert isinstance(model, StyleGAN2)
    found = layers_of_styles(model.generator, model, style_dim=4, ema=False)
    assert [(layer.name.split(".")[1], layer.style) for layer in found] == [
        ("first", 0),
        ("to_images", 1),
        *(("blocks", 1), ("blocks", 2)),
        ("to_images", 3),
    ]


def test_inputs_are_understood_or_refused() -> None:
    latents = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    label = torch.tensor([[0.0, 1.0]]).expand(5, -1)
    norms = latents.norm(dim=1, keepdim=True)
    both = torch.cat([latents, label], dim=1)
    assert columns_in(latents, latents) == {0: 0, 1: 1, 2: 2}
    assert columns_in(torch.cat([label, latents], dim=1), latents) == {2: 0, 3: 1, 4: 2}
    assert columns_in(latents[:, [2, 0]], latents) == {0: 2, 1: 0}
    assert columns_in(latents / norms, latents) == {0: 0, 1: 1, 2: 2}
    assert columns_in(both / both.norm(dim=1, keepdim=True), latents) == {0: 0, 1: 1, 2: 2}
    assert columns_in(-latents / norms, latents) is None
    assert columns_in(latents.tanh(), latents) is None
    assert columns_in(torch.cat([latents, latents.tanh()], dim=1), latents) is None
    assert columns_in(torch.cat([latents / norms, latents.tanh()], dim=1), latents) is None


class Bent(nn.Module):
    """A generator whose first layer takes a function of the latents."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 16)

    def forward(self, latents: Tensor) -> Tensor:
        images: Tensor = self.layer(latents.tanh()).view(-1, 1, 4, 4)
        return images


def test_a_first_layer_that_takes_something_else_is_refused() -> None:
    network = Bent()
    with pytest.raises(ValueError, match=r"Bent: its first layer layer takes a function of the latents"):
        layers_of_latents(network, torch.randn(ROWS, 4), network)


def test_hooks_are_taken_away() -> None:
    model = in_memory(toy_gan().eval()).model
    before = [len(layer._forward_pre_hooks) for layer in model.generator.modules()]
    layers_of_latents(model.generator, torch.randn(ROWS, 4), model.generator)
    assert [len(layer._forward_pre_hooks) for layer in model.generator.modules()] == before
