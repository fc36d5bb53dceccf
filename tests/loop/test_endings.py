"""A training on data without an end ends, or is refused."""

from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping
from torch.utils.data import DataLoader, IterableDataset

from lightning_gan.callbacks import R1, StopAtKimg
from lightning_gan.loop.endings import ends
from tests.toys import SIZE, toy_gan, toy_trainer


class Endless(IterableDataset[Any]):
    """Images without end."""

    def __iter__(self) -> Any:
        while True:
            yield torch.zeros(1, SIZE, SIZE)


def test_steps_time_and_callbacks_end_a_training() -> None:
    stop = StopAtKimg(total_kimg=1.0)
    assert not ends(max_steps=-1, max_time=None, callbacks=[R1(gamma=1.0)])
    assert ends(max_steps=3, max_time=None, callbacks=[])
    assert ends(max_steps=-1, max_time="00:01:00:00", callbacks=[])
    assert ends(max_steps=-1, max_time=None, callbacks=[stop])
    assert ends(max_steps=-1, max_time=None, callbacks=[EarlyStopping(monitor="a")])


def test_epochs_alone_do_not_end_endless_data() -> None:
    trainer = toy_trainer(max_epochs=3)
    with pytest.raises(ValueError, match=r"max_epochs=3 would never be reached: .*give a number of batches"):
        trainer.fit(toy_gan(), DataLoader(Endless(), batch_size=4))
    assert trainer.global_step == 0


@pytest.mark.parametrize("settings", [{"max_steps": 2}, {"limit_train_batches": 2}, {"max_time": {"seconds": 1}}])
def test_epochs_with_another_end_train(settings: dict[str, Any]) -> None:
    trainer = toy_trainer(max_epochs=1, **settings)
    trainer.fit(toy_gan(), DataLoader(Endless(), batch_size=4))
    assert trainer.global_step >= 2
