"""The bottleneck's price of information, and the looks it listens to."""

import math
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule
from torch import Tensor, nn
from torch.nn.functional import softplus
from torch.utils.data import DataLoader, TensorDataset

from lightning_gan.callbacks import R1, ConsensusOptimization, SpectralNorm
from lightning_gan.callbacks.regularizers.bottleneck import Bottleneck
from lightning_gan.callbacks.regularizers.consistency_regularization import BCR
from lightning_gan.layers.gaussian_code import Bottlenecked, GaussianCode, reparametrized
from lightning_gan.layers.spectral_normalization import parametrizations_of
from lightning_gan.loop.draws import Draws, Reals
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.settings import Training
from lightning_gan.models import DCGAN, SNGAN, VGAN, R1ResNet, StyleGAN
from lightning_gan.penalties.kl_divergence import dual_ascent, kl_to_standard_normal
from tests.callbacks.regularizers.regularizers import assert_resumes, fast_gan, moved_by
from tests.callbacks.training.growing_toys import assert_same_state
from tests.foreign.automatic import AutomaticCritic
from tests.models.training import moved_by_one_step
from tests.toys import LATENT, SIZE, ToyCritic, ToyGenerator, equal, fast_adam, toy_loader, toy_trainer


class BottleneckCritic(nn.Module):
    """Images to a code, and a sample of it to one logit."""

    def __init__(self) -> None:
        super().__init__()
        self.bottleneck = GaussianCode(SIZE * SIZE, 3)
        self.output = nn.Linear(3, 1)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.output(reparametrized(*self.bottleneck(images.flatten(1))))
        return logits


def bottleneck_gan(*, accumulate_slices: int = 1) -> GAN:
    torch.manual_seed(7)
    return GAN(
        generator=ToyGenerator(),
        discriminator=BottleneckCritic(),
        latent_dim=LATENT,
        training=Training(
            generator_optimizer=fast_adam, discriminator_optimizer=fast_adam, accumulate_slices=accumulate_slices
        ),
    )


def tight() -> Bottleneck:
    """Its price is felt at once."""
    return Bottleneck(information_constraint=0.0, beta_step_size=1.0)


class Betas(Callback):
    """The price before every step of a player."""

    def __init__(self, penalty: Bottleneck) -> None:
        self.penalty = penalty
        self.betas: list[float] = []

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        self.betas.append(self.penalty.beta.item())


def test_it_is_the_price_times_the_divergence_of_real_and_fake_in_the_turns_own_looks() -> None:
    module, penalty = bottleneck_gan(), tight()
    penalty.setup(toy_trainer(), module, "fit")
    penalty.state.fill_(2.0)
    real, fake = torch.randn(2, 4, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    reals, draws = Reals(images=real, labels=None), Draws(latents=torch.zeros(4, LATENT), labels=None)
    turn = module.train().run_networks("discriminator", reals, draws, fake)
    module.score(real + 1, None)  # another penalty looks again: not counted
    encoder: Any = module.discriminator.bottleneck
    divergences = kl_to_standard_normal(*encoder.forward(torch.cat([real, fake]).flatten(1)))
    torch.testing.assert_close(penalty.weighted(turn), 2 * divergences.mean())


def test_the_price_rises_after_each_of_the_discriminators_turns_and_rests_in_the_generators() -> None:
    penalty = tight()
    betas = Betas(penalty)
    trainer = toy_trainer(penalty, betas, limit_train_batches=3)
    trainer.fit(bottleneck_gan(), toy_loader())
    steps = betas.betas
    assert steps[0] == 0 < steps[1] == steps[2] < steps[3] == steps[4] < steps[5] == penalty.beta.item()
    assert trainer.callback_metrics["discriminator/bottleneck_beta"].item() == steps[5]


class KLs(Callback):
    """The divergence of the batch after every step of the discriminator."""

    def __init__(self, penalty: Bottleneck) -> None:
        self.penalty = penalty
        self.kls: list[float] = []

    def on_train_batch_start(self, *args: Any) -> None:
        self.before = self.penalty.beta.item()

    def on_train_batch_end(self, trainer: Any, *args: Any) -> None:
        self.kls.append(trainer.callback_metrics["discriminator/bottleneck"].item() / self.before)


class Measured(Callback):
    """The divergence of every batch, as logged."""

    def __init__(self, penalty: Bottleneck) -> None:
        self.penalty = penalty
        self.kls: list[float] = []

    def on_train_batch_end(self, trainer: Any, *args: Any) -> None:
        self.kls.append(trainer.callback_metrics["discriminator/bottleneck_kl"].item())


def test_the_loss_has_the_old_price_and_the_new_one_follows_the_divergence() -> None:
    """From where it was told to begin: ``beta * KL`` is in the loss, then beta ascends."""
    penalty = Bottleneck(information_constraint=0.2, beta_step_size=0.5, initial_beta=0.1)
    kls = KLs(penalty)
    trainer = toy_trainer(penalty, kls, limit_train_batches=3)
    trainer.fit(bottleneck_gan(), toy_loader())
    beta = torch.tensor(0.1)
    for kl in kls.kls:
        beta = dual_ascent(beta, torch.tensor(kl), information_constraint=0.2, step_size=0.5)
    assert penalty.beta.item() == pytest.approx(beta.item(), rel=1e-4)
    assert trainer.callback_metrics["discriminator/bottleneck_kl"].item() == pytest.approx(kls.kls[-1], rel=1e-4)
    assert trainer.callback_metrics["discriminator/bottleneck_constraint"].item() == pytest.approx(0.2)


def test_the_logged_divergence_is_the_mean_since_it_was_last_logged() -> None:
    penalty = Bottleneck(initial_beta=0.1, beta_step_size=0.0)
    trainer = toy_trainer(penalty, limit_train_batches=4, log_every_n_steps=4)
    trainer.fit(bottleneck_gan(), toy_loader())
    mean = trainer.callback_metrics["discriminator/bottleneck_kl"].item()
    other = Bottleneck(initial_beta=0.1, beta_step_size=0.0)
    kls = KLs(other)
    toy_trainer(other, kls, limit_train_batches=4).fit(bottleneck_gan(), toy_loader())
    assert mean == pytest.approx(sum(kls.kls) / 4, rel=1e-5)
    assert len(set(kls.kls)) == 4


@pytest.mark.slow
def test_dual_ascent_holds_the_divergence_near_the_constraint() -> None:
    """Within 20 % of it, averaged over the last 200 of 640 turns; without a price it is far above."""
    settings: dict[str, Any] = {"max_epochs": 40}
    means = {}
    for step_size in (0.0, 0.02):
        penalty = Bottleneck(information_constraint=0.1, beta_step_size=step_size)
        kls = Measured(penalty)
        toy_trainer(penalty, kls, **settings).fit(bottleneck_gan(), toy_loader())
        means[step_size] = sum(kls.kls[-200:]) / 200
    assert means[0.02] == pytest.approx(0.1, rel=0.2)
    assert means[0.0] > 0.3


def test_without_a_constraint_the_price_stays_zero() -> None:
    penalty = Bottleneck(information_constraint=math.inf, beta_step_size=1.0)
    plain, free = moved_by(module=bottleneck_gan()), moved_by(penalty, module=bottleneck_gan())
    assert penalty.beta == 0
    assert all(equal(plain[player], free[player]) for player in plain)


def test_it_moves_the_discriminator_once_there_is_a_price() -> None:
    plain, regular = (moved_by(*penalties, module=bottleneck_gan()) for penalties in ([], [tight()]))
    assert not equal(plain["discriminator"], regular["discriminator"])
    penalty = tight()
    assert [penalty.is_due(player) for player in ("discriminator", "generator")] == [True, False]


def test_other_penalties_looks_and_slices_do_not_confuse_it() -> None:
    """The price after one batch is the divergence of that batch, whatever else is looked at."""
    prices = []
    for before, after, slices in [([], [], 1), ([BCR(largest_shift=1)], [R1(gamma=1.0)], 1), ([], [], 2)]:
        penalty = tight()
        module = bottleneck_gan(accumulate_slices=slices)
        toy_trainer(*before, penalty, *after, limit_train_batches=1).fit(module, toy_loader())
        prices.append(penalty.beta.item())
    assert prices == pytest.approx([prices[0]] * 3)


def test_callbacks_that_look_right_before_a_step_do_not_confuse_it() -> None:
    prices = []
    for others in ([], [ConsensusOptimization(gamma=0.0)]):
        penalty = tight()
        module = bottleneck_gan()
        toy_trainer(penalty, *others, limit_train_batches=1).fit(module, toy_loader())
        prices.append(penalty.beta.item())
    assert prices[0] == pytest.approx(prices[1])


def test_it_stops_listening_when_the_fit_ends() -> None:
    module = bottleneck_gan()
    moved_by(tight(), module=module)
    assert not module.discriminator.bottleneck._forward_hooks  # type: ignore[union-attr]


def test_it_survives_a_resume(tmp_path: Path) -> None:
    assert_resumes(tight, tmp_path, make=bottleneck_gan)


SMALL: dict[str, dict[str, Any]] = {
    "SNGAN": {
        "image_size": 32,
        "image_channels": 1,
        "latent_dim": 6,
        "generator_widths": [4, 4, 4, 4],
        "discriminator_widths": [4, 4, 4, 4],
    },
    "DCGAN": {"image_size": 16, "image_channels": 1, "latent_dim": 4, "generator_width": 2, "discriminator_width": 2},
    "R1ResNet": {"image_size": 8, "image_channels": 1, "latent_dim": 4, "label_dim": 3, "width": 2, "width_max": 4},
    "StyleGAN": {
        "image_size": 8,
        "image_channels": 1,
        "latent_dim": 4,
        "style_dim": 4,
        "mapping_layers": 1,
        "mapping_width": 4,
        "channel_base": 32,
        "channel_max": 4,
    },
}
CRITICS: list[tuple[type[GAN], str, int | None]] = [
    (SNGAN, "discriminator.head", None),
    (DCGAN, "discriminator.last", None),
    (R1ResNet, "discriminator.output", 7),
    (StyleGAN, "discriminator.last.dense1", None),
]


@pytest.mark.parametrize(("model", "layer", "code_features"), CRITICS)
@pytest.mark.parametrize("classes", [0, 3])
def test_it_goes_in_front_of_a_layer_of_any_critic(
    model: Callable[..., GAN], layer: str, code_features: int | None, classes: int
) -> None:
    torch.manual_seed(0)
    settings = SMALL[model.__name__]
    module = model(number_of_classes=classes, **settings)
    penalty = Bottleneck(layer=layer, code_features=code_features, initial_beta=0.1, beta_step_size=1.0)
    penalty.setup(toy_trainer(), module, "fit")  # as fit will, so that the new weights are compared as well
    added = module.get_submodule(layer)
    assert isinstance(added, Bottlenecked)
    beside = [] if model is DCGAN else [R1(gamma=0.1)]  # whose critic has batch normalization
    moved = moved_by_one_step(module, penalty, *beside, size=settings["image_size"], classes=classes)
    # Blocks that are not active, and biases and noise before instance norm, rest in StyleGAN anyway.
    still = [name for name, has_moved in moved.items() if not has_moved and name.startswith(layer)]
    assert still == []
    assert penalty.beta != 0.1
    assert not any(isinstance(part, Bottlenecked) for part in module.generator_ema.modules())


def test_the_layer_that_it_goes_in_front_of_keeps_its_weights_and_its_precision() -> None:
    module = fast_gan().double()
    output = module.discriminator.output
    Bottleneck(layer="discriminator.output").setup(toy_trainer(), module, "fit")
    assert module.get_submodule("discriminator.output.layer") is output
    assert {parameter.dtype for parameter in module.discriminator.parameters()} == {torch.float64}


def test_its_own_weights_are_normalized_where_spectral_norm_comes_behind_it() -> None:
    module = fast_gan()
    inserted = Bottleneck(layer="discriminator.output")
    toy_trainer(inserted, SpectralNorm(), limit_train_batches=1).fit(module, toy_loader())
    assert parametrizations_of(module.get_submodule("discriminator.output.code.parameters_of_code"))


def in_front_of_the_output() -> Bottleneck:
    return Bottleneck(layer="discriminator.output", code_features=3, information_constraint=0.0, beta_step_size=1.0)


def test_with_a_bottleneck_put_in_it_survives_a_resume(tmp_path: Path) -> None:
    assert_resumes(in_front_of_the_output, tmp_path)


def test_a_second_fit_and_a_test_run_put_in_nothing_twice(tmp_path: Path) -> None:
    module = fast_gan()
    trainer = toy_trainer(in_front_of_the_output(), limit_train_batches=1)
    trainer.fit(module, toy_loader())
    names = list(module.state_dict())
    assert "discriminator.output.layer.weight" in names
    trainer.save_checkpoint(tmp_path / "end.ckpt")
    toy_trainer(in_front_of_the_output(), limit_train_batches=1).fit(module, toy_loader())
    assert list(module.state_dict()) == names
    fresh = fast_gan()
    tester = toy_trainer(in_front_of_the_output(), limit_test_batches=1)
    tester.test(fresh, toy_loader(), ckpt_path=tmp_path / "end.ckpt", verbose=False)
    assert list(fresh.state_dict()) == names


class ForeignCritic(AutomaticCritic):
    """Automatic optimization, with noise that is a function of the batch, and networks under names of its own."""

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        torch.manual_seed(batch_idx + self.current_epoch)
        return super().training_step(batch, batch_idx)


def foreign_fit(penalty: Bottleneck, *, epochs: int, resume: Path | None = None) -> Any:
    torch.manual_seed(7)
    module = ForeignCritic()
    trainer = toy_trainer(penalty, limit_train_batches=2, max_epochs=epochs)
    trainer.fit(module, toy_loader(classes=2), ckpt_path=resume)
    return trainer


def test_foreign_critics_get_a_bottleneck_and_resume(tmp_path: Path) -> None:
    def inserted() -> Bottleneck:
        return Bottleneck(
            layer="critic.output",
            code_features=3,
            discriminator="critic",
            generator="decoder",
            information_constraint=0.0,
            beta_step_size=0.5,
        )

    penalty = inserted()
    whole = foreign_fit(penalty, epochs=3)
    added = whole.lightning_module.critic.output
    assert isinstance(added, Bottlenecked)
    assert added.code.parameters_of_code.weight[3:].any()  # the variance has moved from 1
    assert penalty.beta > 0
    foreign_fit(inserted(), epochs=1).save_checkpoint(tmp_path / "cut.ckpt")
    assert_same_state(whole, foreign_fit(inserted(), epochs=3, resume=tmp_path / "cut.ckpt"))


def test_layers_that_are_not_there_are_refused_with_those_that_are() -> None:
    for layer in ("discriminator.head", "head", "generator.output"):
        with pytest.raises(
            ValueError, match=rf"layer='{layer}' .* the last: discriminator.conv, discriminator.output$"
        ):
            moved_by(Bottleneck(layer=layer), module=fast_gan())
    with pytest.raises(ValueError, match=r"layer='critic\.drop' .*critic\.conv, critic\.output"):
        foreign_fit(Bottleneck(layer="critic.drop", discriminator="critic", generator="decoder"), epochs=1)
    with pytest.raises(ValueError, match="give encoder='a' if the discriminator has an encoder, or layer='b'"):
        Bottleneck(encoder="a", layer="b")
    with pytest.raises(ValueError, match=r"code_features=3 must be at least 1 and needs layer=\.\.\., which"):
        Bottleneck(code_features=3)
    with pytest.raises(ValueError, match="code_features=0"):
        Bottleneck(layer="discriminator.output", code_features=0)


class Waves(LightningModule):
    """A module on signals or on videos, whose critic ends in a convolution and returns a map of scores."""

    def __init__(self, *, convolution: Callable[..., nn.Module]) -> None:
        super().__init__()
        torch.manual_seed(7)
        self.generator = convolution(1, 1, 3, padding=1)
        self.critic = nn.Sequential(convolution(1, 4, 3, padding=1), nn.Tanh(), convolution(4, 1, 3, padding=1))
        self.automatic_optimization = False

    def training_step(self, batch: Any, batch_idx: int) -> None:
        torch.manual_seed(batch_idx)
        (real,) = batch
        critic_optimizer, generator_optimizer = self.optimizers()  # type: ignore[misc]
        fake = self.generator(torch.randn_like(real))
        self.shown = torch.cat([real, fake.detach()])
        critic_optimizer.zero_grad()
        self.manual_backward((softplus(self.critic(fake.detach())) + softplus(-self.critic(real))).mean())
        critic_optimizer.step()
        generator_optimizer.zero_grad()
        self.manual_backward(softplus(-self.critic(fake)).mean())
        generator_optimizer.step()

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        return [torch.optim.SGD(network.parameters(), lr=0.05) for network in (self.critic, self.generator)]


@pytest.mark.parametrize(("convolution", "shape"), [(nn.Conv1d, (1, 8)), (nn.Conv3d, (1, 2, 3, 4))])
def test_critics_of_signals_and_videos_get_a_bottleneck(
    convolution: Callable[..., nn.Module], shape: tuple[int, ...]
) -> None:
    """Its first KL is that of the codes of the real and the generated samples, computed by hand."""
    data = DataLoader(TensorDataset(torch.randn(8, *shape, generator=torch.Generator().manual_seed(0))), batch_size=4)
    penalty = Bottleneck(
        layer="critic.2", discriminator="critic", initial_beta=1.0, information_constraint=0.0, beta_step_size=1.0
    )
    module = Waves(convolution=convolution)
    trainer = toy_trainer(penalty, limit_train_batches=1)
    torch.manual_seed(0)
    penalty.setup(trainer, module, "fit")
    fresh = deepcopy(module.critic)
    trainer.fit(module, data)
    code = fresh[2].code(fresh[1](fresh[0](module.shown)))
    normal = torch.distributions.Normal(code[0], (code[1] / 2).exp())
    standard = torch.distributions.Normal(torch.zeros(()), torch.ones(()))
    expected = torch.distributions.kl_divergence(normal, standard).sum(dim=1).mean().item()
    assert penalty.beta.item() == pytest.approx(1 + expected, rel=1e-4)
    assert not torch.equal(module.critic[2].code.parameters_of_code.weight, fresh[2].code.parameters_of_code.weight)


class Captured(ForeignCritic):
    """A module that lists its parameters in its constructor."""

    def __init__(self) -> None:
        super().__init__()
        self.listed = list(self.parameters())

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.listed, lr=0.05)


class CapturedGAN(GAN):
    """A GAN that does so."""

    def __init__(self) -> None:
        super().__init__(generator=ToyGenerator(), discriminator=ToyCritic(), latent_dim=LATENT)
        self.listed = [list(network.parameters()) for network in (self.discriminator, self.generator)]

    def configure_optimizers(self) -> Any:
        return [torch.optim.SGD(parameters, lr=0.05) for parameters in self.listed]


def test_weights_that_no_optimizer_has_are_refused_when_fit_starts() -> None:
    def message(layer: str, critic: str) -> str:
        return (
            rf"^Bottleneck: layer='{layer}' has new weights in front of it that no optimizer has; make the optimizer "
            rf"in configure_optimizers, from the parameters of '{critic}' as they are then$"
        )

    with pytest.raises(ValueError, match=message("critic.output", "critic")):
        penalty = Bottleneck(layer="critic.output", discriminator="critic", generator="decoder")
        toy_trainer(penalty, limit_train_batches=1).fit(Captured(), toy_loader(classes=2))
    with pytest.raises(ValueError, match=message("discriminator.output", "discriminator")):
        moved_by(Bottleneck(layer="discriminator.output"), module=CapturedGAN())


def test_vgan_brings_its_own() -> None:
    penalty = Bottleneck()
    assert penalty.encoder_path == "discriminator.bottleneck"
    assert Bottleneck(discriminator="netD").encoder_path == "netD.bottleneck"
    module = VGAN(code_features=3, **SMALL["R1ResNet"])
    assert all(moved_by_one_step(module, Bottleneck(initial_beta=0.1), size=8).values())


def test_bad_settings_and_encoders_are_refused_before_the_first_step() -> None:
    with pytest.raises(ValueError, match=r"information_constraint=-1\.0"):
        Bottleneck(information_constraint=-1.0)
    with pytest.raises(ValueError, match=r"initial_beta=-1\.0"):
        Bottleneck(initial_beta=-1.0)
    with pytest.raises(ValueError, match=r"beta_step_size=-1\.0"):
        Bottleneck(beta_step_size=-1.0)
    for encoder, message in [
        ("discriminator.encoder", "has no network 'discriminator.encoder'"),
        ("discriminator.output", r"returns a Tensor instead of \(mean, log_variance\)"),
        ("generator.hidden", "returns a Tensor"),
        ("generator_ema", "was not called for real and for fake images"),
    ]:
        with pytest.raises(ValueError, match=message):
            moved_by(Bottleneck(encoder=encoder), module=bottleneck_gan())
