"""Averages of several networks of a module that is no GAN, and averaged weights out of a checkpoint."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lightning_gan.callbacks import EMA, SampleGrid, load_averaged_weights
from lightning_gan.foreign.average import averages
from tests.callbacks.training.growing_toys import ForeignGAN, assert_same_state, fit, growing_gan
from tests.toys import equal, toy_trainer, weights_of

LOADER = DataLoader(torch.rand(24, 4, generator=torch.Generator().manual_seed(1)), batch_size=4)


class Coder(LightningModule):
    """An encoder, a codebook and a decoder, as in a VQGAN without its critic."""

    def __init__(self, *, width: int = 3) -> None:
        super().__init__()
        torch.manual_seed(7)
        self.save_hyperparameters()
        self.encoder = nn.Sequential(nn.Linear(4, width), nn.BatchNorm1d(width))
        self.nets = nn.ModuleDict({"quantizer": nn.Linear(width, width), "decoder": nn.Linear(width, 4)})

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        return (self.nets["decoder"](self.nets["quantizer"](self.encoder(batch))) - batch).square().mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.5)

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        """Nothing."""


PATHS = ["encoder", "nets.quantizer", "nets.decoder"]


def ema(generator: str | list[str]) -> EMA:
    return EMA(half_life_kimg=0.01, generator=generator)


def run(*callbacks: Callback, save: Path | None = None, resume: Path | None = None, epochs: int = 1) -> Coder:
    module, trainer = Coder(), toy_trainer(*callbacks, max_epochs=epochs)
    trainer.fit(module, LOADER, ckpt_path=resume)
    if save is not None:
        trainer.save_checkpoint(save)
    return module


def state_of(module: nn.Module, paths: list[str]) -> list[Tensor]:
    return [tensor.clone() for path in paths for tensor in module.get_submodule(path).state_dict().values()]


def test_averages_of_several_networks_are_those_of_one_callback_for_each() -> None:
    together, apart = ema(PATHS), [ema(path) for path in PATHS]
    run(together)
    run(*apart)
    shadow = together.state_dict()["shadow"]
    single = {
        f"{path}.{name}": tensor
        for path, own in zip(PATHS, apart, strict=True)
        for name, tensor in own.state_dict()["shadow"].items()
    }
    assert shadow.keys() == single.keys() >= {"encoder.0.weight", "encoder.1.running_mean", "nets.decoder.bias"}
    torch.testing.assert_close(shadow, single, rtol=0, atol=0)


def test_several_networks_validate_with_the_average_and_train_without() -> None:
    class Look(Callback):
        def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
            self.seen = {name: tensor.clone() for name, tensor in pl_module.state_dict().items()}

    averaged, look, module, alone = ema(PATHS), Look(), Coder(), Coder()
    toy_trainer(averaged, look).fit(module, LOADER, LOADER)
    torch.testing.assert_close(look.seen, dict(averaged.state_dict()["shadow"]), rtol=0, atol=0)
    toy_trainer().fit(alone, LOADER, LOADER)
    assert equal(list(alone.state_dict().values()), list(module.state_dict().values()))
    raw = state_of(module, PATHS)
    with averaged.applied(module):
        assert not equal(state_of(module, PATHS), raw)
    assert equal(state_of(module, PATHS), raw)


def test_shared_weights_are_those_of_training_again_after_validation() -> None:
    class Tied(Coder):
        def __init__(self) -> None:
            super().__init__()
            self.nets["decoder"].bias = self.encoder[0].weight = nn.Parameter(torch.ones(4))
            self.encoder[0] = nn.Identity()
            self.encoder.register_parameter("tied", self.nets["decoder"].bias)
            self.encoder[1] = nn.Linear(4, 3)

    module, averaged = Tied(), ema(["encoder", "nets.decoder"])
    toy_trainer(averaged).fit(module, LOADER)
    raw = weights_of(module)
    averaged.on_validation_start(toy_trainer(), module)
    assert not equal(weights_of(module), raw)
    averaged.on_validation_end(toy_trainer(), module)
    assert equal(weights_of(module), raw)


def test_a_resumed_average_of_several_networks_goes_on_bit_for_bit(tmp_path: Path) -> None:
    def trained(epochs: int, resume: Path | None = None) -> Trainer:
        trainer = toy_trainer(ema(PATHS), max_epochs=epochs)
        trainer.fit(Coder(), LOADER, ckpt_path=resume)
        return trainer

    whole = trained(2)
    trained(1).save_checkpoint(tmp_path / "cut.ckpt")
    assert_same_state(whole, trained(2, tmp_path / "cut.ckpt"))


def test_the_state_of_a_single_path_is_what_it_was() -> None:
    averaged = ema("encoder")
    run(averaged)
    assert averaged.state_key == "EMA{'generator': 'encoder'}"
    assert averaged.state_dict()["shadow"].keys() == Coder().encoder.state_dict().keys()
    assert ema(PATHS).state_key == f"EMA{{'generator': {PATHS}}}"


@pytest.mark.parametrize("path", ["nets", "nets.decoder", "encoder"])
def test_a_part_a_whole_and_one_of_several_networks_are_averaged_where_they_are_sampled(path: str) -> None:
    assert averages(ema(PATHS), path)
    assert not averages(ema(PATHS), "nets.decode") and not averages(ema("nets.decoder"), "nets.decoder2")


def test_a_grid_of_one_of_several_averaged_networks_shows_its_average(tmp_path: Path) -> None:
    class Drawer(Coder):
        def __init__(self) -> None:
            super().__init__()
            self.nets["decoder"] = nn.Sequential(nn.Linear(3, 4), nn.Unflatten(1, (1, 2, 2)))

        def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
            return self.nets["decoder"](self.nets["quantizer"](self.encoder(batch))).mean()

    files = []
    for frozen in (["encoder", "nets.decoder"], ["encoder"]):
        average = EMA(half_life_kimg=1e9, generator=frozen)
        grid = SampleGrid(generator="nets.decoder", latent_dim=3, rows=1, directory=str(tmp_path / str(len(frozen))))
        toy_trainer(average, grid).fit(Drawer(), LOADER)
        first, last = sorted((tmp_path / str(len(frozen))).iterdir())
        files.append(first.read_bytes() == last.read_bytes())
    assert files == [True, False]


@pytest.mark.parametrize("paths", [["net", "net"], ["net", "nets", "net.decoder"]])
def test_weights_that_are_named_twice_are_refused(paths: list[str]) -> None:
    with pytest.raises(ValueError, match=r"EMA: generator=\[.*\] names the same weights by 'net' and 'net"):
        EMA(generator=paths)


def test_no_network_and_several_networks_of_a_gan_are_refused() -> None:
    with pytest.raises(ValueError, match=r"EMA: generator=\[\] names no network"):
        EMA(generator=[])
    with pytest.raises(ValueError, match=r"EMA: generator=\['generator', 'discriminator'\] is only for"):
        fit(growing_gan(), EMA(generator=["generator", "discriminator"]), images=4)
    with pytest.raises(ValueError, match="Coder has no network 'decoder'; its networks are encoder, nets"):
        run(ema(["encoder", "decoder"]))


@pytest.mark.parametrize(("first", "second"), [("encoder", PATHS), ("nets", "nets.decoder")])
def test_two_callbacks_for_the_same_weights_are_refused(first: Any, second: Any) -> None:
    message = r"EMA: generator=.* and generator=.* of two callbacks average the same weights; leave one"
    with pytest.raises(ValueError, match=message):
        run(ema(first), ema(second))
    with pytest.raises(ValueError, match=message):
        fit(growing_gan(), ema("generator"), ema("other"), images=4)


# ------------------------------------------------------------------ out of a checkpoint


@pytest.mark.parametrize("generator", [PATHS, "encoder", "nets"])
def test_averaged_weights_are_loaded_into_a_module_in_one_call(tmp_path: Path, generator: str | list[str]) -> None:
    averaged = ema(generator)
    trained = run(averaged, save=tmp_path / "end.ckpt")
    module = Coder.load_from_checkpoint(tmp_path / "end.ckpt")
    assert equal(list(module.state_dict().values()), list(trained.state_dict().values()))
    load_averaged_weights(module, tmp_path / "end.ckpt")
    with averaged.applied(trained):
        assert equal(list(module.state_dict().values()), list(trained.state_dict().values()))
    assert not equal(list(module.state_dict().values()), list(trained.state_dict().values()))


def test_averages_of_several_callbacks_are_all_loaded(tmp_path: Path) -> None:
    averaged = [ema("encoder"), ema("nets.decoder")]
    trained = run(*averaged, save=tmp_path / "end.ckpt")
    module = Coder.load_from_checkpoint(tmp_path / "end.ckpt")
    load_averaged_weights(module, str(tmp_path / "end.ckpt"))
    with averaged[0].applied(trained), averaged[1].applied(trained):
        assert equal(list(module.state_dict().values()), list(trained.state_dict().values()))


def test_which_of_two_averages_of_a_network_is_loaded_is_asked_and_can_be_said(tmp_path: Path) -> None:
    still = EMA(half_life_kimg=1e9, generator="encoder")
    run(still)
    run(ema(PATHS), save=tmp_path / "end.ckpt")
    checkpoint = torch.load(tmp_path / "end.ckpt", weights_only=True)
    checkpoint["callbacks"][still.state_key] = still.state_dict()
    torch.save(checkpoint, tmp_path / "end.ckpt")
    module = Coder.load_from_checkpoint(tmp_path / "end.ckpt")
    trained = state_of(module, PATHS)
    with pytest.raises(ValueError, match=r"several averages of 'encoder'; choose one by generator=\['"):
        load_averaged_weights(module, tmp_path / "end.ckpt")
    assert equal(state_of(module, PATHS), trained)
    load_averaged_weights(module, tmp_path / "end.ckpt", generator="encoder")
    torch.testing.assert_close(weights_of(module.encoder), weights_of(Coder().encoder))  # an average that hardly moves
    with pytest.raises(ValueError, match="contains no average of generator='nets'"):
        load_averaged_weights(module, tmp_path / "end.ckpt", generator="nets")


def test_what_has_no_average_is_refused_with_the_remedy(tmp_path: Path) -> None:
    trainer = fit(growing_gan(), EMA(), images=4)
    trainer.save_checkpoint(tmp_path / "gan.ckpt")
    with pytest.raises(ValueError, match=r"GAN is a lightning_gan\.GAN, whose checkpoint already .*generator_ema"):
        load_averaged_weights(growing_gan(), tmp_path / "gan.ckpt")
    fit(ForeignGAN(), images=4, save=tmp_path / "plain.ckpt")
    with pytest.raises(ValueError, match=r"plain\.ckpt' contains no average; load a checkpoint of a run with"):
        load_averaged_weights(ForeignGAN(), tmp_path / "plain.ckpt")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 2}, r"'0\.weight' of 'encoder' has the shape \[2, 4\], in the saved average \[3, 4\]"),
        ({}, r"only one of the saved average and 'encoder' has a tensor '0\.bias'"),
    ],
)
def test_an_average_of_another_network_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    run(ema("encoder"), save=tmp_path / "end.ckpt")
    module = Coder(**change)
    if not change:
        module.encoder[0] = nn.Linear(4, 3, bias=False)
    with pytest.raises(ValueError, match=message):
        load_averaged_weights(module, tmp_path / "end.ckpt")
