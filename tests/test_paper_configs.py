"""Every configuration of a paper trains at its full size, on small made data in the real formats, and is as large as
its header says.

Of a configuration only the batches are made smaller (to two images, and slices to one), and what draws, evaluates or saves
is left out. Networks, objectives, penalties, optimizers, schedules and data are as they stand in the file.
"""

import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn

from lightning_gan import GAN
from lightning_gan.cli import main
from lightning_gan.cli.configs import shipped_configs, shipped_folder
from lightning_gan.models.adversarial_inference import GeneratorAndEncoder
from lightning_gan.models.introspective import IntrospectiveGAN
from tests.data.public_formats import (
    pixels,
    png,
    write_celeba,
    write_cifar10,
    write_imagenet,
    write_lsun,
    write_stl10,
)
from tests.parts import regularizers

NAMES = [name for name in shipped_configs() if name.startswith("paper/")]
IMAGES = [name for name in NAMES if not name.startswith("paper/vail_")]
"""VAIL's are of MuJoCo's environments, which tests do without; tests/imitation trains VAIL on others."""

REGULARIZERS = {kind.__name__ for kind in regularizers()}
TRAINING = ("ProgressiveGrowing", "LearningRate", "EMA", "StopAtKimg", "StandingStatistics")
"""Callbacks that stay, beside the regularizers."""

COUNT = re.compile(r"([\d,]{5,}) (?:parameters )?in the (generator|discriminator|critic|encoder|decoder)\b")


def header_of(name: str) -> str:
    """The comments in front of the settings."""
    return (shipped_folder() / name).read_text().split("\nmodel:")[0]


def stated_counts(name: str) -> dict[str, int]:
    """The numbers of parameters that a file states, by network."""
    text = (shipped_folder() / name).read_text()
    return {network: int(count.replace(",", "")) for count, network in COUNT.findall(text)}


def parameters_of(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def counts_of(module: GAN) -> dict[str, int]:
    """The numbers of parameters of a model's networks, by all names that headers give them."""
    counts = {name: parameters_of(getattr(module, name)) for name in ("generator", "discriminator")}
    counts["critic"] = counts["discriminator"]
    if isinstance(module.generator, GeneratorAndEncoder):
        counts["generator"] = parameters_of(module.generator.generator)
        counts["encoder"] = parameters_of(module.generator.encoder)
    if isinstance(module, IntrospectiveGAN):
        counts["encoder"], counts["decoder"] = counts["discriminator"], counts["generator"]
    return counts


class Inspection(Callback):
    """Notes, after the last batch, how large the networks are and that both players took a turn."""

    found: dict[str, int] | None = None

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, GAN)
        type(self).found = counts_of(pl_module)
        for optimizer in trainer.optimizers:
            assert optimizer.state, "a player took no turn"
        assert all(bool(parameter.isfinite().all()) for parameter in pl_module.parameters())


def write_zip(path: Path, *, size: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(2):
            coarse = np.kron(pixels(8, 8, 3, seed=number), np.ones((size // 8, size // 8, 1), dtype=np.uint8))
            archive.writestr(f"{number}.png", png(coarse))


def write_data(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Writes the small data set that a configuration's data settings name, at the place that they name."""
    kind, arguments = settings["class_path"].rsplit(".", 1)[-1], settings["init_args"]
    root = Path(arguments.get("root", "."))
    root.mkdir(parents=True, exist_ok=True)
    if kind == "ImageFolder":
        write_zip(Path(arguments["path"]), size=arguments["image_size"])
    elif kind == "ImageNet":
        write_imagenet(root)
    else:
        {"CIFAR10": write_cifar10, "STL10": write_stl10, "CelebA": write_celeba, "LSUN": write_lsun}[kind](
            root, monkeypatch
        )


def made_small(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration with small batches, and without callbacks that do not train."""
    training = config["model"]["init_args"]["training"]
    slices = min(training.pop("accumulate_slices", 1), 2)
    training["accumulate_slices"] = slices
    batch = 2
    config["data"]["init_args"] |= {"batch_size": batch, "number_of_workers": 0}
    kept = []
    for callback in config["trainer"]["callbacks"]:
        name = callback["class_path"].rsplit(".", 1)[-1]
        if name in TRAINING or name in REGULARIZERS:
            arguments = callback.get("init_args", {})
            if "batch_sizes" in arguments:
                arguments["batch_sizes"] = dict.fromkeys(arguments["batch_sizes"], batch)
            kept.append(callback)
    config["trainer"] |= {
        "callbacks": [*kept, {"class_path": f"{__name__}.Inspection"}],
        "accelerator": "cpu",
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "fast_dev_run": training.get("discriminator_turns", 1),
    }
    return config


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_a_header_says_what_to_expect_and_whether_we_have_seen_it(name: str) -> None:
    header = header_of(name).replace("\n# ", " ")
    assert "Expected" in header and "eproduced by us" in header


@pytest.mark.slow
# As the header of roth_dcgan_celeba64 says: the authors keep it.
@pytest.mark.filterwarnings("ignore:Roth. the critic has batch normalization")
@pytest.mark.parametrize("name", IMAGES)
def test_it_trains_at_full_size_and_is_as_large_as_its_header_says(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = yaml.safe_load((shipped_folder() / name).read_text())
    write_data(config["data"], monkeypatch)
    Path("small.yaml").write_text(yaml.safe_dump(made_small(config)))
    monkeypatch.setattr(Inspection, "found", None)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        main(["fit", "--config", "small.yaml"])
    finally:
        torch.set_num_threads(threads)
    found = Inspection.found
    assert found is not None, "training did not reach its end"
    stated = stated_counts(name)
    assert {network: found[network] for network in stated} == stated
