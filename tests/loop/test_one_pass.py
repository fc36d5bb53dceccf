"""Real images and fakes go through the discriminator together, where the settings or the model say so."""

from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from torch import Tensor, nn

from lightning_gan.callbacks import R1
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.settings import Training
from lightning_gan.models import DCGAN, SNGAN, VGAN, BigGAN, R1ResNet, StyleGAN
from tests.toys import FAST, LATENT, ToyGenerator, toy_loader, toy_trainer


class Critic(nn.Module):
    """Scores each image alone, and notes the number of images of each call."""

    def __init__(self, *, extra: nn.Module) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Tanh(), extra, nn.Linear(8, 1))
        self.calls: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        self.calls.append(len(images))
        scores: Tensor = self.layers(images)
        return scores


def gan(*, one_pass: bool | None, extra: nn.Module | None = None) -> GAN:
    torch.manual_seed(2)
    training = Training(
        one_pass=one_pass,
        generator_optimizer=FAST.generator_optimizer,
        discriminator_optimizer=FAST.discriminator_optimizer,
    )
    critic = Critic(extra=extra or nn.Identity())
    return GAN(generator=ToyGenerator(classes=0), discriminator=critic, latent_dim=LATENT, training=training)


def trained(module: GAN, *callbacks: Callback, batches: int = 6) -> GAN:
    toy_trainer(*callbacks, limit_train_batches=batches, max_epochs=1).fit(module, toy_loader())
    return module


def calls_of(module: GAN) -> list[int]:
    calls: list[int] = module.discriminator.calls  # type: ignore[assignment, union-attr]
    return calls


def test_one_call_has_the_images_of_two_and_ends_with_their_weights() -> None:
    together, apart, default = (trained(gan(one_pass=choice)) for choice in (True, False, None))
    assert calls_of(together)[-4:] == [8, 4, 8, 4]  # the discriminator's turn, and the generator's
    assert calls_of(apart)[-6:] == calls_of(default)[-6:] == [4, 4, 4, 4, 4, 4]
    for name, weights in apart.state_dict().items():
        torch.testing.assert_close(together.state_dict()[name], weights, rtol=1e-4, atol=1e-6)
        assert torch.equal(default.state_dict()[name], weights)


def test_a_turn_with_a_penalty_takes_two_calls() -> None:
    module = trained(gan(one_pass=True), R1(gamma=1.0, every_n_turns=3), batches=3)
    assert calls_of(module)[-7:] == [4, 4, 4, 8, 4, 8, 4]


@pytest.mark.parametrize("number_of_classes", [0, 3])
def test_r1s_networks_take_one_pass_by_themselves_and_score_as_in_two(number_of_classes: int) -> None:
    scores: dict[bool | None, tuple[Tensor, Tensor]] = {}
    for choice in (None, False):
        torch.manual_seed(0)
        model = R1ResNet(
            image_size=16,
            latent_dim=4,
            label_dim=4,
            width=4,
            width_max=8,
            number_of_classes=number_of_classes,
            training=Training(one_pass=choice),
        )
        scores[choice] = discriminator_scores(model, classes=number_of_classes)
    for one, two in zip(scores[None], scores[False], strict=True):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-6)


def discriminator_scores(model: GAN, *, classes: int) -> tuple[Tensor, Tensor]:
    """The scores of real images and fakes in the last discriminator's turn of a short training."""
    seen: list[tuple[Tensor, Tensor]] = []
    objective = model.objective

    def watched(turn: Any) -> dict[str, Tensor]:
        if turn.player == "discriminator":
            seen.append((turn.real_logits.detach(), turn.fake_logits.detach()))
        return objective(turn)

    model.objective = watched  # type: ignore[method-assign]
    images = torch.rand(16, 3, 16, 16, generator=torch.Generator().manual_seed(3)) * 2 - 1
    tensors = (images, torch.arange(16) % classes) if classes else (images,)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*tensors), batch_size=4)
    toy_trainer(max_epochs=1).fit(model, loader)
    return seen[-1]


def test_spectral_normalization_advances_once() -> None:
    vectors = {}
    for choice in (True, False):
        torch.manual_seed(0)
        model = SNGAN(
            latent_dim=4, generator_widths=[4] * 4, discriminator_widths=[4] * 4, training=Training(one_pass=choice)
        )
        advanced = 0
        layer = next(m for name, m in model.discriminator.named_modules() if name.endswith("weight.0"))
        iterate = layer._iterate

        def counted(*arguments: Any, iterate: Any = iterate, **settings: Any) -> Any:
            nonlocal advanced
            advanced += 1
            return iterate(*arguments, **settings)

        layer._iterate = counted  # type: ignore[assignment]
        loader = torch.utils.data.DataLoader(
            torch.utils.data.TensorDataset(torch.zeros(4, 3, 32, 32) - 1), batch_size=4
        )
        toy_trainer(max_epochs=1).fit(model, loader)
        vectors[choice] = advanced
    assert vectors == {True: 2, False: 3}  # the generator's turn is one use


SMALL: dict[str, Any] = {"image_size": 16, "latent_dim": 4}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda training: gan(one_pass=True, extra=nn.BatchNorm1d(8)), r"layer layers\.3 \(BatchNorm1d\)"),
        (
            lambda training: StyleGAN(
                **SMALL, style_dim=4, mapping_layers=1, channel_base=32, channel_max=4, training=training
            ),
            r"minibatch_stddev \(MinibatchStddev\)",
        ),
        (
            lambda training: VGAN(**SMALL, width=4, width_max=8, training=training),
            "VGAN calls its discriminator in a way",
        ),
        (
            lambda training: DCGAN(**SMALL, generator_width=4, discriminator_width=4, training=training),
            "DCGAN calls its discriminator in a way of its own",
        ),
    ],
)
def test_where_samples_meet_it_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=rf"training\.one_pass=true.*{message}.*leave training\.one_pass out"):
        make(Training(one_pass=True))


def test_biggan_takes_one_pass_where_it_is_said() -> None:
    model = BigGAN(
        image_size=32,
        latent_dim=8,
        generator_channels=4,
        discriminator_channels=4,
        attention_resolutions=(),
        hierarchical_latents=False,
        training=Training(one_pass=True),
    )
    images = torch.rand(8, 3, 32, 32) * 2 - 1
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(images), batch_size=4)
    counts: list[int] = []
    model.discriminator.register_forward_pre_hook(lambda module, arguments: counts.append(len(arguments[0])))
    toy_trainer(max_epochs=1).fit(model, loader)
    assert counts == [8, 4, 8, 4]
