"""What a penalty says when it cannot work in somebody's module, and that it leaves a `GAN` to its own loop."""

from typing import Any

import pytest
import torch
from jsonargparse import ArgumentParser
from lightning.pytorch import LightningModule
from torch import Tensor

from lightning_gan.callbacks import R1, R2, Bottleneck, ConsistencyTerm, LeCam, OrthogonalDiscriminator
from lightning_gan.foreign.penalty import Penalty
from lightning_gan.foreign.scores import last
from tests.foreign.automatic import AutomaticCritic
from tests.foreign.comparison import loader_for
from tests.foreign.detaching import DetachingGAN
from tests.foreign.toggling import TogglingGAN
from tests.toys import toy_gan, toy_loader, toy_trainer


def fit(module: LightningModule, *penalties: Penalty) -> None:
    toy_trainer(*penalties, limit_train_batches=2).fit(module, loader_for(module))


def test_a_wrong_name_is_refused_with_the_names_that_there_are() -> None:
    with pytest.raises(
        ValueError,
        match=r"R1\(discriminator=\.\.\.\): DetachingGAN has no network 'discriminator'; its networks are .*netG",
    ):
        fit(DetachingGAN(), R1(gamma=1.0))
    with pytest.raises(ValueError, match=r"R1\(generator=\.\.\.\): DetachingGAN has no network 'generator'; .*netG"):
        fit(DetachingGAN(), R1(gamma=1.0, discriminator="netD"))


def test_lazy_layers_are_refused_by_name() -> None:
    class Lazy(DetachingGAN):
        def __init__(self) -> None:
            super().__init__()
            self.netD = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LazyLinear(1))  # type: ignore[assignment]

    with pytest.raises(
        ValueError, match=r"R1\(discriminator=\.\.\.\): 'netD' has weights without a shape \(1.weight\)"
    ):
        fit(Lazy(), R1(gamma=1.0, discriminator="netD", generator="netG"))


def test_a_network_that_no_optimizer_moves_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"R1: no optimizer updates a parameter of 'decoder' of AutomaticCritic; name the network"
    ):
        fit(AutomaticCritic(), R1(gamma=1.0, discriminator="decoder", generator="critic"))


def test_a_network_that_is_never_called_itself_is_named() -> None:
    class Direct(DetachingGAN):
        """Calls `forward`, which runs no hooks."""

        def __init__(self) -> None:
            super().__init__()
            self.score = self.netD.forward

        def training_step(self, batch: Any, batch_idx: int) -> None:
            opt_d, _ = self.optimizers()  # type: ignore[attr-defined]
            opt_d.zero_grad()
            self.manual_backward(self.score(batch[0]).mean())
            opt_d.step()

    with pytest.raises(
        ValueError, match=r"R1: 'netD' was not called with gradients .* name the network that is called"
    ):
        fit(Direct(), R1(gamma=1.0, discriminator="netD", generator="netG"))


def test_steps_that_lightning_does_not_see_are_an_error_in_the_first_batch() -> None:
    class Raw(TogglingGAN):
        """Steps the optimizers themselves, which Lightning does not notice."""

        def optimizers(self, use_pl_optimizer: bool = True) -> Any:
            return super().optimizers(use_pl_optimizer=False)

    module = Raw()
    with pytest.raises(
        ValueError,
        match="R1: it has no effect, because Lightning did not see a step of the optimizer of 'discriminator'",
    ):
        fit(module, R1(gamma=1.0))
    assert module.trainer.fit_loop.epoch_loop.batch_idx == 0


def test_a_network_that_never_steps_is_a_warning_when_fit_ends() -> None:
    class Asleep(DetachingGAN):
        def training_step(self, batch: Any, batch_idx: int) -> None:
            self.netD(batch[0])

    with pytest.warns(
        UserWarning, match="R1: it had no effect in 2 batches, because the optimizer of 'netD' was never"
    ):
        fit(Asleep(), R1(gamma=1.0, discriminator="netD", generator="netG"))


def test_nothing_is_said_of_a_fit_without_batches() -> None:
    module = TogglingGAN()
    toy_trainer(R1(gamma=1.0), limit_train_batches=0).fit(module, loader_for(module))


def test_one_call_on_real_and_fake_together_cannot_be_told_apart() -> None:
    class Concatenating(DetachingGAN):
        def training_step(self, batch: Any, batch_idx: int) -> None:
            opt_d, _ = self.optimizers()  # type: ignore[attr-defined]
            real = batch[0]
            fake = self.netG(torch.randn(len(real), 4)).detach()
            opt_d.zero_grad()
            self.manual_backward(self.netD(torch.cat([real, fake])).mean())
            opt_d.step()

    names: Any = {"discriminator": "netD", "generator": "netG"}
    for penalty in (R1(gamma=1.0, **names), R2(gamma=1.0, **names)):
        with pytest.raises(
            ValueError, match=r"the (real|fake) images cannot be told: 'netD' was called once, .* unknown"
        ):
            fit(Concatenating(), penalty)
    fit(Concatenating(), R1(gamma=1.0, real=first_of, **names))
    with pytest.raises(ValueError, match="the fake images cannot be told"):
        fit(Concatenating(), R2(gamma=1.0, real=first_of, **names))


def first_of(batch: Any) -> Tensor:
    """The images of a batch of images and labels."""
    images: Tensor = batch[0]
    return images


def test_configurations_name_the_function_that_finds_the_real_images() -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(Penalty, "penalty")
    arguments = parser.parse_object(
        {
            "penalty": {
                "class_path": "lightning_gan.callbacks.R1",
                "init_args": {"discriminator": "netD", "generator": None, "real": f"{__name__}.first_of"},
            }
        }
    )
    penalty = parser.instantiate_classes(arguments).penalty
    assert (penalty.discriminator, penalty.generator) == ("netD", None)
    assert penalty.real is first_of


def test_configurations_can_say_everything_that_a_penalty_asks() -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(Penalty, "penalty")
    settings = {
        "scores": "lightning_gan.foreign.scores.last",
        "image": "images.high",
        "real": 0,
        "fake": [1, -1],
        "discriminator": ["netD", "nets.E"],
        "mean_over_calls": True,
        "start_step": 50001,
        "weight_schedule": {"class_path": "lightning_gan.schedules.CosineDecay", "init_args": {"end_kimg": 10}},
    }
    arguments = parser.parse_object({"penalty": {"class_path": "lightning_gan.callbacks.R1", "init_args": settings}})
    penalty = parser.instantiate_classes(arguments).penalty
    assert penalty.scores is last and penalty.discriminators == ("netD", "nets.E")
    assert (penalty.real, penalty.fake, penalty.image) == (0, [1, -1], "images.high")
    assert penalty.weight_schedule.at(10_000) == 0


@pytest.mark.parametrize("penalty", [ConsistencyTerm, Bottleneck, OrthogonalDiscriminator, LeCam])
def test_penalties_with_a_state_of_one_network_refuse_several(penalty: Any) -> None:
    with pytest.raises(
        ValueError, match=rf"{penalty.__name__}: discriminator=\['netD', 'netG'\] names several networks"
    ):
        fit(DetachingGAN(), penalty(discriminator=["netD", "netG"], generator="netG"))


def test_hooks_are_gone_after_fit_and_after_an_error() -> None:
    module = TogglingGAN()
    fit(module, R1(gamma=1.0), R2(gamma=1.0))
    assert not module.discriminator._forward_pre_hooks and not module.generator._forward_hooks

    class Failing(TogglingGAN):
        def by_hand(self, real: Tensor, fake: Tensor) -> Tensor:
            raise KeyError("broken")

    failing = Failing()
    with pytest.raises(KeyError, match="broken"):
        fit(failing, R1(gamma=1.0))
    assert not failing.discriminator._forward_pre_hooks and not failing.generator._forward_hooks


def test_a_gan_asks_its_penalties_itself() -> None:
    """No hooks, and no second count of the turns."""
    module, penalty = toy_gan(), R1(gamma=1.0)
    toy_trainer(penalty, limit_train_batches=3).fit(module, toy_loader())
    assert penalty.state_dict() == {"turns_seen": 3}
    assert not module.discriminator._forward_pre_hooks


def test_two_penalties_of_a_class_may_watch_two_critics() -> None:
    assert R1(gamma=1.0, discriminator="coarse").state_key != R1(gamma=1.0, discriminator="fine").state_key
