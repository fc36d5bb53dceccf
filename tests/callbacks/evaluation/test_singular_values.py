"""The largest singular values of every layer, as they are logged."""

from typing import Any

import pytest
import torch
from lightning.pytorch.loggers import Logger

from lightning_gan.callbacks.evaluation.singular_values import SingularValues
from lightning_gan.layers.spectral_normalization import spectrally_normalized
from tests.toys import equal, toy_gan, toy_loader, toy_trainer, weights_of


class Memory(Logger):
    """Keeps what it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.logged: list[dict[str, float]] = []

    name = "memory"
    version = "0"

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        pass

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        if any(name.startswith("singular_values/") for name in metrics):
            self.logged.append(metrics)


def test_every_layer_is_logged_at_the_interval() -> None:
    memory, module = Memory(), toy_gan()
    trainer = toy_trainer(SingularValues(every_kimg=0.008, count=2), limit_train_batches=4, logger=memory)
    trainer.fit(module, toy_loader())
    assert [logged["kimg"] for logged in memory.logged] == [0.008, 0.016]
    expected = torch.linalg.svdvals(module.discriminator.conv.weight.flatten(1))  # type: ignore[operator, union-attr]
    for rank in range(2):
        assert memory.logged[-1][f"singular_values/discriminator.conv/{rank}"] == pytest.approx(expected[rank].item())
    layers = ("generator.hidden", "generator.output", "discriminator.conv", "discriminator.output")
    assert sum(name.startswith("singular_values/") for name in memory.logged[-1]) == 2 * len(layers) - 1


def test_stored_weights_count_and_looking_moves_nothing() -> None:
    module = toy_gan()
    before = SingularValues().measure(module)
    spectrally_normalized(module.discriminator)
    state = weights_of(module), [buffer.clone() for buffer in module.buffers()]
    assert SingularValues().measure(module) == pytest.approx(before)
    assert equal(state[0], weights_of(module)) and equal(state[1], list(module.buffers()))


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="count=0"):
        SingularValues(count=0)
    with pytest.raises(ValueError, match="no network 'critic'"):
        toy_trainer(SingularValues(networks=("critic",))).fit(toy_gan(), toy_loader())
