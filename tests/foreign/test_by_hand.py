"""A penalty dropped into somebody's module gives the weights of the same penalty written into its step."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.plugins.precision import MixedPrecision
from torch import Tensor

from lightning_gan.callbacks.regularizers.gradient_penalty import R1, R2
from lightning_gan.foreign.penalty import Penalty
from tests.foreign.comparison import MODULES, PENALTIES, critic_of, error, loader_for, r1, r2, trained
from tests.toys import toy_trainer


def both(name: str, **settings: Any) -> list[Penalty]:
    """R1 and R2 together, which must not see each other's looks."""
    settings = {**MODULES[name][1], **settings}
    return [R1(gamma=10.0, **settings), R2(gamma=10.0, **settings)]


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("name", MODULES)
def test_five_steps_end_with_the_same_weights(name: str, penalty: str) -> None:
    make, by_hand = PENALTIES[penalty]
    ours = trained(name, make(MODULES[name][1]), dropout=0.2)
    assert error(ours, trained(name, by_hand=[by_hand], dropout=0.2)) < 1e-6
    assert error(ours, trained(name, dropout=0.2)) > 1e-2


@pytest.mark.parametrize("name", MODULES)
def test_penalties_work_side_by_side(name: str) -> None:
    assert error(trained(name, *both(name)), trained(name, by_hand=[r1, r2])) < 1e-6


def test_in_double_precision_they_are_equal_to_rounding() -> None:
    double: dict[str, Any] = {"precision": "64-true"}
    for name in MODULES:
        assert error(trained(name, *both(name), **double), trained(name, by_hand=[r1, r2], **double)) < 1e-14, name


def penalty_gradient(name: str, *callbacks: Callback, **settings: Any) -> Tensor:
    """The gradient of the critic in the first turn, as one vector."""
    found: list[Tensor] = []

    class See(Callback):
        def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
            if not found:
                gradients = [p.grad.flatten() for group in optimizer.param_groups for p in group["params"]]
                found.append(torch.cat(gradients).double())

    trained(name, *callbacks, See(), limit_train_batches=1, **settings)
    return found[0]


@pytest.mark.parametrize("name", ["detaching", "automatic", "pairs", "marking"])
def test_under_bf16_the_penaltys_own_gradient_is_that_of_fp32(name: str) -> None:
    """The gradient of the loss is that of bf16; what the penalty adds differs only by the rounding of the sum."""
    added = {}
    for precision in ("32-true", "bf16-mixed"):
        ours, plain = (penalty_gradient(name, *own, precision=precision) for own in (both(name), ()))
        added[precision] = ours - plain
    off = (added["bf16-mixed"] - added["32-true"]).norm() / added["32-true"].norm()
    assert off < 3e-3  # the fakes were made in bf16


def half_precision(kind: str) -> dict[str, Any]:
    return {"precision": "bf16-mixed"} if kind == "bf16" else {"plugins": [MixedPrecision("16-mixed", "cpu")]}


@pytest.mark.parametrize("kind", ["bf16", "fp16"])
@pytest.mark.parametrize("name", ["toggling", "detaching", "automatic"])
def test_half_precision_differs_by_its_rounding_alone(name: str, kind: str) -> None:
    """A difference of 1e-8 in a weight now and then rounds to the other side, which later steps magnify."""

    def compare(batches: int) -> tuple[float, float]:
        settings: dict[str, Any] = {"limit_train_batches": batches}
        ours = trained(name, *both(name), **half_precision(kind), **settings)
        by_hand = trained(name, by_hand=[r1, r2], **half_precision(kind), **settings)
        return error(ours, by_hand), error(ours, trained(name, **half_precision(kind), **settings))

    assert compare(1)[0] < 1e-5
    after_five, effect = compare(5)
    assert after_five < 2e-2 * effect


@pytest.mark.parametrize("name", ["toggling", "automatic"])
def test_lazy_penalties_join_every_second_step(name: str) -> None:
    lazy = trained(name, *both(name, every_n_turns=2))
    assert error(lazy, trained(name, by_hand=[r1, r2], every=2)) < 1e-6
    assert error(lazy, trained(name, *both(name))) > 1e-3


def test_lightnings_own_clipping_bounds_the_penalty_too() -> None:
    clip: dict[str, Any] = {"gradient_clip_val": 0.1}
    assert (
        error(trained("automatic", *both("automatic"), **clip), trained("automatic", by_hand=[r1, r2], **clip)) < 1e-6
    )


def test_accumulated_batches_all_count() -> None:
    settings: dict[str, Any] = {"accumulate_grad_batches": 2, "limit_train_batches": 6}
    ours = trained("automatic", *both("automatic"), **settings)
    assert error(ours, trained("automatic", by_hand=[r1, r2], **settings)) < 1e-6


def test_both_images_augmented_need_to_be_told_the_real_ones() -> None:
    def augment_both(module: LightningModule) -> None:
        module.augment_fake = True  # type: ignore[assignment]

    names = MODULES["augmenting"][1]
    with pytest.raises(ValueError, match=r"R1: the real images cannot be told: 'nets.D' was called twice"):
        trained("augmenting", R1(gamma=10.0, **names), prepare=augment_both)  # type: ignore[arg-type]
    told = R1(gamma=10.0, real=lambda batch: batch[0].flip(-1), **names)  # type: ignore[arg-type]
    ours = trained("augmenting", told, prepare=augment_both)
    assert error(ours, trained("augmenting", by_hand=[r1], prepare=augment_both)) < 1e-6


def test_augmented_fakes_beside_known_data_are_fakes() -> None:
    def augment_fakes(module: LightningModule) -> None:
        module.augment_real, module.augment_fake = False, True  # type: ignore[assignment]

    ours = trained("augmenting", *both("augmenting"), prepare=augment_fakes)
    assert error(ours, trained("augmenting", by_hand=[r1, r2], prepare=augment_fakes)) < 1e-6


class Reseed(Callback):
    """Makes every batch's latents a function of its number, so that a resumed run can repeat them."""

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        torch.manual_seed(100 * trainer.current_epoch + batch_idx)


def test_a_resumed_run_goes_on_within_the_interval(tmp_path: Path) -> None:
    """Three steps to an epoch and an interval of two: the second epoch begins without the penalty."""

    def run(epochs: int, resume: str | None = None) -> tuple[LightningModule, Trainer]:
        torch.manual_seed(7)
        module = MODULES["toggling"][0]()
        trainer = toy_trainer(R1(gamma=10.0, every_n_turns=2), Reseed(), limit_train_batches=3, max_epochs=epochs)
        trainer.fit(module, loader_for(module), ckpt_path=resume, weights_only=True)
        return module, trainer

    whole, _ = run(2)
    _, first = run(1)
    first.save_checkpoint(tmp_path / "first.ckpt")
    resumed, _ = run(2, str(tmp_path / "first.ckpt"))
    assert error(whole, resumed) == 0


def test_networks_keep_their_buffers() -> None:
    """The additional look is none of the module's own: spectral normalization does not go on because of it."""

    def normalize(module: LightningModule) -> None:
        torch.nn.utils.parametrizations.spectral_norm(module.netD.conv)  # type: ignore[union-attr, arg-type]

    module = trained("detaching", R1(gamma=0.0, **MODULES["detaching"][1]), prepare=normalize)  # type: ignore[arg-type]
    plain = trained("detaching", prepare=normalize)
    assert error(module, plain) == 0
    for ours, theirs in zip(module.buffers(), plain.buffers(), strict=True):
        assert torch.equal(ours, theirs)


def test_the_value_is_logged_without_the_lazy_factor() -> None:
    module = trained("toggling", R1(gamma=10.0, every_n_turns=4), limit_train_batches=1)
    torch.manual_seed(7)
    untrained = MODULES["toggling"][0]()
    images = next(iter(loader_for(module)))[0]
    logged = module.trainer.callback_metrics["discriminator/r1"]
    torch.testing.assert_close(logged, r1(critic_of(untrained), images, images).detach())
