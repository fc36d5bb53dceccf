"""The generator's turn uses the images of the discriminator's turn, where the settings or the model say so."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from torch import Tensor, nn
from torch.nn.functional import softplus

from lightning_gan.callbacks import ConsensusOptimization
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.settings import Training
from lightning_gan.losses import NonSaturating
from lightning_gan.models import DCGAN, IntroVAE
from lightning_gan.tensors.draws_by_position import normal_like
from tests.loop.transforms import Uphill
from tests.toys import LATENT, ToyCritic, ToyGenerator, toy_images, toy_loader, toy_trainer

RATE = 0.05


def sgd(parameters: Any) -> torch.optim.SGD:
    return torch.optim.SGD(parameters, lr=RATE)


class Generator(ToyGenerator):
    """Adds its own noise, and keeps the latents and images of its calls that have a graph, and the number of all."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.kept: list[tuple[Tensor, Tensor]] = []

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        images = super().forward(latents)
        images = images + 0.1 * normal_like(images)
        if self.training:
            self.calls += 1
            self.kept.append((latents, images))
        return images


def gan(**settings: Any) -> tuple[GAN, Generator]:
    torch.manual_seed(7)
    generator = Generator()
    training = Training(generator_optimizer=sgd, discriminator_optimizer=sgd, **settings)
    return GAN(generator=generator, discriminator=ToyCritic(), latent_dim=LATENT, training=training), generator


def trained(module: GAN, *callbacks: Callback, batches: int = 4, batch_size: int = 4) -> GAN:
    trainer = toy_trainer(*callbacks, limit_train_batches=batches, max_epochs=1)
    trainer.fit(module, toy_loader(batch_size=batch_size))
    return module


def gradients(cost: Tensor, network: nn.Module) -> Iterator[tuple[Tensor, Tensor]]:
    weights = list(network.parameters())
    return zip(weights, torch.autograd.grad(cost, weights, retain_graph=True), strict=True)


def test_a_batch_is_the_step_of_the_tutorials() -> None:
    """The discriminator's step on detached fakes; then the generator's step on the same fakes and the new scores."""
    module, generator = gan(use_fakes_twice=True)
    expected, _ = gan(use_fakes_twice=True)
    trained(module, batches=1)
    assert generator.calls == 1
    latents, fake = generator.kept[0]
    noise = (fake - ToyGenerator.forward(generator_before := expected.generator, latents)).detach()
    images = ToyGenerator.forward(generator_before, latents) + noise
    real, critic = toy_images()[:4], expected.discriminator
    cost = softplus(-critic(real)).mean() + softplus(critic(images.detach())).mean()
    for weight, gradient in list(gradients(cost, critic)):
        weight.data -= RATE * gradient
    for weight, gradient in list(gradients(softplus(-critic(images)).mean(), generator_before)):
        weight.data -= RATE * gradient
    for name, weight in module.state_dict().items():
        if name.startswith(("generator.", "discriminator.")):
            # The noise is that of the trained generator up to the rounding of a difference.
            torch.testing.assert_close(expected.state_dict()[name], weight, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("chosen", [False, None])
def test_other_models_make_new_images(chosen: bool | None) -> None:
    _, generator = (module := gan(use_fakes_twice=chosen))
    trained(module[0], batches=3)
    assert generator.calls == 6
    assert not torch.equal(generator.kept[0][0], generator.kept[1][0])


def test_only_the_last_turn_of_several_keeps_its_images() -> None:
    module, generator = gan(use_fakes_twice=True, discriminator_turns=3)
    trained(module, batches=6)
    assert [images.requires_grad for _, images in generator.kept] == [False, False, True] * 2
    shared, of_pieces = gan(use_fakes_twice=True, discriminator_turns=2, turns_share_batch=True)
    trained(shared, batches=2)
    assert [images.requires_grad for _, images in of_pieces.kept] == [False, True] * 2
    assert shared._kept_fakes is None


def test_dcgan_does_as_its_authors() -> None:
    """Its generator's weights differ from those with new latents, and its normalization sees one batch per turn."""
    models = {}
    for chosen in (None, True, False):
        torch.manual_seed(0)
        models[chosen] = DCGAN(
            image_size=8,
            image_channels=1,
            latent_dim=4,
            generator_width=4,
            discriminator_width=4,
            training=Training(use_fakes_twice=chosen),
        )
        images = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(3)) * 2 - 1
        loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(images), batch_size=4)
        toy_trainer(max_epochs=1).fit(models[chosen], loader)
    states = {chosen: model.state_dict() for chosen, model in models.items()}
    assert all(torch.equal(states[None][name], value) for name, value in states[True].items())
    assert any(not torch.equal(states[False][name], value) for name, value in states[True].items())
    assert models[None].fakes_serve_twice and not models[False].fakes_serve_twice


def test_dcgan_makes_new_images_where_the_turns_have_other_numbers() -> None:
    for settings in ({"generator_batch_multiple": 2}, {"accumulate_slices": 2}, {"discriminator_turns": 0}):
        model = DCGAN(image_size=8, generator_width=4, discriminator_width=4, training=Training(**settings))
        assert not model.fakes_serve_twice


def test_what_computes_the_costs_again_does_it_for_the_same_latents() -> None:
    """Consensus optimization asks the model for the latents of the turn."""
    module, generator = gan(use_fakes_twice=True)
    trained(module, ConsensusOptimization(gamma=0.1), batches=1)
    latents = [latents for latents, _ in generator.kept]
    assert len(latents) == 3  # the turn's own call, and one for each player's term
    assert all(torch.equal(latents[0], others) for others in latents[1:])


@pytest.mark.parametrize("settings", [{"accumulate_slices": 2}, {"generator_batch_multiple": 2}])
def test_settings_that_do_not_fit_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"use_fakes_twice=true needs accumulate_slices=1, generator_batch_mul.* 2"):
        Training(use_fakes_twice=True, **settings)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"use_fakes_twice=true needs .*and 0; change them, or leave use_fakes_twice"):
        Training(use_fakes_twice=True, discriminator_turns=0)


def test_models_and_transforms_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"use_fakes_twice=true: the turns of IntroVAE pass on what they need"):
        IntroVAE(image_size=16, latent_dim=4, channels=[4, 4], training=Training(use_fakes_twice=True))
    module, _ = gan(use_fakes_twice=True, loss=NonSaturating())
    module.latent_transforms.append(Uphill())
    with pytest.raises(ValueError, match=r"use_fakes_twice=true: Uphill changes the latents of each turn; leave one"):
        trained(module)
