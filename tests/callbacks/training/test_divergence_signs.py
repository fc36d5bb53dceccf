"""Signs of divergence and collapse: measured in the logged batches, without changing training, and warned of once."""

from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from lightning_gan import models
from lightning_gan.callbacks import R1, DivergenceSigns
from lightning_gan.callbacks.training.divergence_signs import variety
from lightning_gan.imitation import GAIL
from lightning_gan.loop.gan import GAN
from tests.callbacks.training.test_non_finite import Classifier
from tests.models.test_every_model import data_of, small
from tests.parts import classes_of
from tests.toys import FAST, equal, toy_gan, toy_loader, toy_trainer, weights_of


def test_variety_is_the_mean_distance_of_pairs() -> None:
    fakes, reals = torch.randn(6, 2, 3, 3), torch.randn(9, 2, 3, 3)

    def distance(images: torch.Tensor) -> torch.Tensor:
        pairs = torch.combinations(torch.arange(len(images)))
        return (images[pairs[:, 0]] - images[pairs[:, 1]]).square().mean().sqrt()

    torch.testing.assert_close(variety(fakes, reals), distance(fakes) / distance(reals))
    assert variety(fakes[:1].expand(4, -1, -1, -1), reals) == 0
    torch.testing.assert_close(variety(reals + 5, reals), torch.tensor(1.0))


def test_the_numbers_are_those_of_the_training() -> None:
    norms: list[float] = []

    class See(Callback):
        def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
            gradients = [p.grad.flatten() for group in optimizer.param_groups for p in group["params"]]
            norms.append(torch.cat(gradients).norm().item())

    trainer = toy_trainer(See(), DivergenceSigns(), R1(gamma=1.0), limit_train_batches=1)
    module = toy_gan()
    trainer.fit(module, toy_loader())
    metrics = trainer.callback_metrics
    assert metrics["signs/discriminator_gradient_norm"].item() == pytest.approx(norms[0], rel=1e-5)
    assert metrics["signs/generator_gradient_norm"].item() == pytest.approx(norms[1], rel=1e-5)
    assert 0 < metrics["signs/variety"].item() < 2 and abs(metrics["signs/logit_gap"].item()) < 1


def test_the_gap_is_of_real_minus_generated_images() -> None:
    module = toy_gan()
    with torch.no_grad():  # the critic is the sum of the pixels; the generator's images are all 1
        for network in (module.discriminator, module.generator):
            for parameter in network.parameters():
                parameter.zero_()
        module.generator.output.bias.fill_(1.0)  # type: ignore[union-attr]

    def summed(images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1).sum(1, keepdim=True)

    module.discriminator.forward = summed  # type: ignore[method-assign]
    batch = torch.full((4, 1, 4, 4), -0.5)
    signs = DivergenceSigns().measure(_attached(module), batch)
    assert signs["signs/logit_gap"].item() == pytest.approx(16 * (-0.5 - 1.0))


def _attached(module: GAN) -> GAN:
    module.trainer = toy_trainer()
    return module


def test_training_is_the_same_bit_for_bit() -> None:
    ends = []
    for callbacks in ([], [DivergenceSigns()]):
        module = toy_gan(training=FAST)
        toy_trainer(R1(gamma=1.0), *callbacks).fit(module, toy_loader())
        ends.append(weights_of(module))
    assert equal(*ends)


def test_only_logged_batches_are_measured() -> None:
    measured: list[int] = []

    class Counted(DivergenceSigns):
        def measure(self, gan: GAN, batch: Any) -> Any:
            measured.append(gan.images_seen)
            return super().measure(gan, batch)

    toy_trainer(Counted(), log_every_n_steps=5).fit(toy_gan(), toy_loader())
    assert measured == [20, 40, 60]


@pytest.mark.parametrize("kind", classes_of(models, LightningModule))
def test_every_model_is_measured(kind: type[GAN]) -> None:
    model: Any = small(kind)
    trainer = toy_trainer(DivergenceSigns(), limit_train_batches=1, limit_val_batches=0)
    trainer.fit(model, data_of(model))
    measured = {name: value for name, value in trainer.callback_metrics.items() if name.startswith("signs/")}
    assert {"signs/logit_gap", "signs/variety", "signs/generator_gradient_norm"} <= set(measured)
    assert all(value.isfinite() for value in measured.values())


@pytest.mark.parametrize(
    ("name", "good", "bad", "message"),
    [
        (
            "signs/logit_gap",
            -99.0,
            -101.0,
            r"signs/logit_gap is -101 at 0\.000 kimg, beyond largest_logit_gap=100\.0",
        ),
        ("signs/generator_gradient_norm", 1.0, 2e4, r"above largest_gradient_norm=10000\.0: .*generator_optimizer\.lr"),
        ("signs/variety", 0.5, 0.01, r"signs/variety is 0\.01 at .*below smallest_variety=0\.1: .*almost the same"),
    ],
)
def test_a_number_that_stays_beyond_its_threshold_is_warned_of_once(
    name: str, good: float, bad: float, message: str
) -> None:
    callback = DivergenceSigns(in_a_row=3, start_kimg=0.0)
    for value in (good, bad, bad, good, bad, bad):
        assert callback.warn({name: value}) == []
    with pytest.warns(UserWarning, match=message):
        assert len(callback.warn({name: bad})) == 1
    for value in (bad, good, bad, bad, bad, bad):
        assert callback.warn({name: value}) == []


def test_thresholds_can_be_left_out_and_wait_for_the_start() -> None:
    numbers = {"signs/logit_gap": 1e9, "signs/variety": 0.0, "signs/generator_gradient_norm": 1e9}
    assert DivergenceSigns(in_a_row=1, start_kimg=0.1).warn(numbers) == []
    silent = DivergenceSigns(
        in_a_row=1, start_kimg=0.0, largest_logit_gap=None, largest_gradient_norm=None, smallest_variety=None
    )
    assert silent.warn(numbers) == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"largest_logit_gap": 0.0}, "largest_logit_gap=0.0 must be positive; None never warns"),
        ({"smallest_variety": float("nan")}, "smallest_variety=nan must be positive"),
        ({"in_a_row": 0}, "in_a_row=0 must be at least 1"),
        ({"images": 1}, "images=1 at least 2"),
        ({"start_kimg": -1.0}, "start_kimg=-1.0 must not be negative"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DivergenceSigns(**settings)


def test_modules_without_images_or_a_game_are_refused() -> None:
    with pytest.raises(ValueError, match=r"DivergenceSigns: Classifier is no lightning_gan\.GAN"):
        toy_trainer(DivergenceSigns()).fit(Classifier(), toy_loader())
    model = GAIL(observation_size=3, action_size=2, discrete_actions=False)
    with pytest.raises(ValueError, match="DivergenceSigns: GAIL makes no images"):
        toy_trainer(DivergenceSigns()).fit(model, toy_loader())
