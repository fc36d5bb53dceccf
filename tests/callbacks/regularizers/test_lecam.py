"""LeCam: when it begins, what its averages follow, and that it survives a resume."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.strategies import SingleDeviceStrategy

from lightning_gan.callbacks.regularizers.lecam import LeCam
from lightning_gan.penalties import lecam_divergence
from tests.callbacks.regularizers.regularizers import assert_resumes, fast_gan, moved_by
from tests.penalties.turns import turn_of
from tests.toys import equal, toy_loader, toy_trainer


def play(penalty: LeCam, *, real: float, fake: float, images_seen: int = 0) -> float:
    """One turn in which every image scores its value; returns the penalty."""
    penalty.begin_at(images_seen)
    value = penalty.penalty(
        turn_of(
            critic=lambda images: images.flatten(1),
            generator=lambda latents: latents[:, :, None, None],
            real=torch.full((2, 1, 1, 1), real),
            latents=torch.full((2, 1), fake),
        )
    )
    penalty.after_step(SingleDeviceStrategy(device="cpu"))
    return value.item()


def test_the_first_turn_costs_nothing_and_starts_the_averages() -> None:
    penalty = LeCam()
    assert play(penalty, real=1.5, fake=-0.5) == 0
    assert penalty.state.tolist() == [1.5, -0.5]


def test_averages_are_those_of_earlier_turns() -> None:
    """12.5 is the value at the averages before this turn moves them."""
    penalty = LeCam(decay=0.9)
    play(penalty, real=1.5, fake=-0.5)
    assert play(penalty, real=2.0, fake=-1.0) == 12.5
    assert penalty.state.tolist() == pytest.approx([1.55, -0.55])


def test_the_authors_averages_are_those_of_the_present_turn_too() -> None:
    """Their averages after the step of ours: `losses.py` and `train_fns.py` of google/lecam-gan update before use. They
    are 1 - decay times the distance to the present means away from ours, and cost 13.005 in place of 12.5."""
    penalty = LeCam(decay=0.9)
    play(penalty, real=1.5, fake=-0.5)
    before = penalty.state
    play(penalty, real=2.0, fake=-1.0)
    torch.testing.assert_close(penalty.state - before, (1 - 0.9) * (torch.tensor([2.0, -1.0]) - before))
    real_average, fake_average = penalty.state.unbind()
    authors = lecam_divergence(
        torch.tensor([2.0]),
        torch.tensor([-1.0]),
        real_average=real_average,
        fake_average=fake_average,
        one_sided=True,
    )
    assert authors.item() == pytest.approx(13.005)


def test_before_its_start_it_costs_nothing_and_the_averages_follow_exactly() -> None:
    penalty = LeCam(decay=0.9, start_kimg=1.0)
    assert [play(penalty, real=value, fake=0.0, images_seen=seen) for value, seen in [(1.0, 0), (2.0, 500)]] == [0, 0]
    assert penalty.state.tolist() == [2, 0]
    assert play(penalty, real=3.0, fake=-1.0, images_seen=1000) == 18
    assert penalty.state.tolist() == pytest.approx([2.1, -0.1])


def test_slices_of_a_turn_average() -> None:
    penalty = LeCam()
    for real in (1.0, 3.0):
        penalty.measure(torch.tensor(real), torch.tensor(0.0))
    penalty.after_step(SingleDeviceStrategy(device="cpu"))
    assert penalty.state.tolist() == [2, 0]


def test_it_moves_the_discriminator_in_its_own_turns_alone() -> None:
    """Nothing in the first batch, in which there are no averages."""
    plain, regular = moved_by(module=fast_gan(), batches=1), moved_by(LeCam(weight=9.0), module=fast_gan(), batches=1)
    assert all(equal(plain[player], regular[player]) for player in plain)
    plain, regular = moved_by(module=fast_gan(), batches=2), moved_by(LeCam(weight=9.0), module=fast_gan(), batches=2)
    assert not equal(plain["discriminator"], regular["discriminator"])
    penalty = LeCam(every_n_turns=2)
    assert [penalty.is_due(p) for p in ("discriminator", "generator") * 3] == [True, False, False, False, True, False]


def test_it_starts_with_the_batch_that_begins_at_its_time() -> None:
    terms: list[bool] = []

    class Read(Callback):
        def on_train_batch_end(self, trainer: Any, pl_module: Any, *arguments: Any) -> None:
            terms.append(bool(trainer.callback_metrics["discriminator/lecam"] > 0))

    module = fast_gan()
    trainer = toy_trainer(LeCam(weight=9.0, start_kimg=0.012, one_sided=False), Read(), limit_train_batches=5)
    trainer.fit(module, toy_loader())
    assert terms == [False, False, False, True, True]
    averages = {name for name in trainer.callback_metrics if "average" in name}
    assert averages == {"discriminator/lecam_real_average", "discriminator/lecam_fake_average"}


@pytest.mark.parametrize("start_kimg", [0.0, 0.012])
def test_it_survives_a_resume(tmp_path: Path, start_kimg: float) -> None:
    assert_resumes(lambda: LeCam(weight=5.0, start_kimg=start_kimg, one_sided=False), tmp_path)


@pytest.mark.parametrize("setting", [{"weight": -1.0}, {"decay": 1.0}, {"start_kimg": -1.0}])
def test_settings_out_of_range_are_refused(setting: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"LeCam: .*{next(iter(setting))}"):
        LeCam(**setting)
