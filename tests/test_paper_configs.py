"""Every configuration of a paper trains at its full size, on small made data in the real formats, and is as large as
its header says.

Of a configuration only the batches are made smaller (to two images, one from 256 pixels on, and slices to one), and
what draws, evaluates or saves is left out, as are StyleGAN2's penalties from 512 pixels on. Networks, objectives,
penalties, optimizers, schedules and data are as they stand in the file; orthogonal starts, which take half a minute of
BigGAN's, are normal ones here. All of it takes about a quarter of an hour on two free cores, most of it BigGAN's and
StyleGAN2's from 256 pixels on.
"""

import gc
import re
import zipfile
from collections.abc import Iterator
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
from lightning_gan.schedules import Cosine, CosineDecay, Schedule
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
TRAINING = ("AdamBetas", "ProgressiveGrowing", "LearningRate", "EMA", "StopAtKimg")
"""Callbacks that stay, beside the regularizers."""

COUNT = re.compile(r"([\d,]{5,}) (?:parameters )?in the (generator|discriminator|critic|encoder|decoder)\b")


def header_of(name: str) -> str:
    """The comments in front of the settings."""
    return (shipped_folder() / name).read_text().split("\nmodel:")[0]


def config_of(name: str) -> dict[str, Any]:
    """A paper's configuration, by its name without folder and ending."""
    config: dict[str, Any] = yaml.safe_load((shipped_folder() / "paper" / f"{name}.yaml").read_text())
    return config


def callbacks_of(name: str, kind: str) -> list[dict[str, Any]]:
    """The arguments of a paper's callbacks of one class."""
    callbacks = config_of(name)["trainer"]["callbacks"]
    return [callback["init_args"] for callback in callbacks if callback["class_path"].endswith(f".{kind}")]


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
    # One image from 256 pixels on, so that all of it lasts minutes on two cores.
    size = config["data"]["init_args"].get("image_size", 32)
    batch = 1 if size >= 256 else 2
    # Its depthwise filters are differentiated twice channel by channel, which takes minutes at this size on a CPU.
    without_penalties = config["model"]["class_path"].endswith(".StyleGAN2") and size >= 512
    if "accumulate_slices" in training:
        training["accumulate_slices"] = batch
    config["data"]["init_args"] |= {"batch_size": batch, "number_of_workers": 0}
    kept = []
    for callback in config["trainer"]["callbacks"]:
        name = callback["class_path"].rsplit(".", 1)[-1]
        if name in TRAINING or (name in REGULARIZERS and not without_penalties):
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
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    yield
    gc.collect()  # a trainer and its model refer to each other; twenty models of this size do not fit into memory


@pytest.mark.parametrize("name", NAMES)
def test_a_header_says_what_to_expect_and_whether_we_have_seen_it(name: str) -> None:
    header = header_of(name).replace("\n# ", " ")
    assert "Expected" in header and "eproduced by us" in header


NOISE = 1 / 128
TORCHVISION = {"resize": "shorter_side", "resampling": "bilinear", "mirror": True, "dequantization_noise": NOISE}
"""`gan_training/inputs.py` of GAN_stability and of akanazawa/vgan: Resize, CenterCrop, flip, + U(0, 1) / 128."""
DATA: dict[str, dict[str, Any]] = {
    # fuel/converters/celeba.py: convert_celeba_64
    "ali_celeba64": {"crop": "shorter_side", "resampling": "lanczos", "mirror": False, "split": "train"},
    "ali_cifar10": {"number_of_images": 45_000},
    # jeffdonahue/bigan, train_imagenet.sh: --raw_size 72 --crop_size 64; data.py: the minor side by ANTIALIAS, no flip
    "bigan_imagenet64": {
        **{"resize": "shorter_side", "resampling": "lanczos", "random_crop_from": 72, "image_size": 64},
        "mirror": False,
    },
    # ajbrock/BigGAN-PyTorch, launch_cifar_ema.sh: no --augment
    "biggan_cifar10": {"mirror": False},
    # soumith/dcgan.torch: data/crop_celebA.lua, then data/donkey_folder.lua with loadSize 96 and fineSize 64, hflip
    "dcgan_celeba64": {"crop": "square_138", "resampling": "bilinear", "random_crop_from": 96, "mirror": True},
    "dcgan_lsun64": {"resize": "shorter_side", "resampling": "bilinear", "random_crop_from": 96, "mirror": True},
    # rothk/Stabilizing_GANs, carpedm20_DCGAN/main.py: input_height 108; utils.py: scipy's imresize, which is bilinear
    "roth_dcgan_celeba64": {"crop": "square_108", "resampling": "bilinear", "mirror": False},
    # the same inputs.py: npy files are read without the transform
    "r1_celebahq1024": {"mirror": False},
    "vgan_celebahq1024": {"mirror": False},
    "r1_imagenet128": TORCHVISION,
    "r1_lsun256": TORCHVISION,
    "vgan_lsun256": TORCHVISION,
    "vgan_celeba128": {
        **{"crop": "shorter_side", "resampling": "bilinear", "mirror": True},
        "dequantization_noise": NOISE,
    },
    "vgan_cifar10": {"mirror": True, "dequantization_noise": NOISE},
    "vgan_gp_cifar10": {"mirror": True, "dequantization_noise": NOISE},
    # pfnet-research/sngan_projection, datasets/imagenet.py: central square, bilinear, + U(0, 1/128), no flip
    "sngan_imagenet128": {"resampling": "bilinear", "mirror": False, "dequantization_noise": NOISE},
    "sngan_imagenet64": {"resampling": "bilinear", "mirror": False, "dequantization_noise": NOISE},
    # the same, datasets/cifar10.py
    "sngan_cifar10": {"mirror": False, "dequantization_noise": NOISE},
    "sngan_cifar10_conditional": {"mirror": False, "dequantization_noise": NOISE},
    # brownvc/R3GAN, train.py: --mirror
    "r3gan_cifar10": {"mirror": True, "batch_size": 512},
    "r3gan_ffhq64": {"mirror": True, "batch_size": 256},
    "r3gan_ffhq256": {"mirror": True, "batch_size": 256},
    "r3gan_imagenet32": {"mirror": True, "batch_size": 4096},
    "r3gan_imagenet64": {"mirror": True, "batch_size": 4096},
    # igul222/improved_wgan_training, gan_cifar_resnet.py, and biuyq/CT-GAN, CT_gan_cifar_resnet.py: "dequantize"
    "wgan_gp_cifar10": {"mirror": False, "dequantization_noise": NOISE},
    "ct_gan_cifar10": {"mirror": False, "dequantization_noise": NOISE},
}
"""The authors' preparation of images, each with its source."""


@pytest.mark.parametrize("name", DATA)
def test_images_are_prepared_as_by_the_authors(name: str) -> None:
    arguments = config_of(name)["data"]["init_args"]
    assert {key: arguments.get(key) for key in DATA[name]} == DATA[name]


@pytest.mark.parametrize("name", ["ct_gan_cifar10_1000", "wgan_gp_lsun64", "r1_celebahq1024", "vgan_celebahq1024"])
def test_images_get_no_noise_where_the_authors_add_none(name: str) -> None:
    """`CT_gan_cifar.py` and WGAN-GP's `gan_64x64.py` scale by 255 and add nothing; npy files are only scaled."""
    assert "dequantization_noise" not in config_of(name)["data"]["init_args"]


@pytest.mark.parametrize("name", ["vgan_celeba128", "vgan_celebahq1024", "vgan_gp_cifar10", "vgan_lsun256"])
def test_vgan_has_its_authors_gradient_penalty(name: str) -> None:
    """akanazawa/vgan: these are of `reg_type: vgan_real`, where `train.py` adds ``10 ||dD/dx||^2``."""
    (penalty,) = callbacks_of(name, "R1")
    assert penalty["gamma"] / 2 == 10
    (bottleneck,) = callbacks_of(name, "Bottleneck")
    assert bottleneck["information_constraint"] == (0.2 if name == "vgan_celeba128" else 0.1)  # target_kl


@pytest.mark.parametrize(
    ("name", "epochs", "images"),
    [
        ("ali_cifar10", 6475, 45_000),
        ("introvae_celebahq1024", 500, 29_000),  # hhb072/IntroVAE, run_1024.sh: --nEpochs=500 --trainsize=29000
        ("roth_dcgan_celeba64", 10, 202_599 // 64 * 64),  # carpedm20_DCGAN/main.py: epochs 10, whole batches
    ],
)
def test_training_lasts_as_long_as_the_authors(name: str, epochs: int, images: int) -> None:
    (stop,) = callbacks_of(name, "StopAtKimg")
    assert stop["total_kimg"] * 1000 == pytest.approx(epochs * images)


def test_gamma_falls_until_roths_training_ends() -> None:
    """carpedm20_DCGAN/model.py: ``gamma * decay_factor ** (batch / (batches - 1))`` over all epochs, to a hundredth."""
    (roth,), (stop,) = callbacks_of("roth_dcgan_celeba64", "Roth"), callbacks_of("roth_dcgan_celeba64", "StopAtKimg")
    assert roth == {"gamma": 2.0, "annealing_kimg": stop["total_kimg"], "final_factor": 0.01}


@pytest.mark.parametrize(
    ("name", "gamma", "half_life_images", "augmented", "images"),
    [
        ("r3gan_cifar10", (0.05, 0.005), 5e6, 0.55, 2e7),
        ("r3gan_ffhq64", (2.0, 0.2), 5e5, 0.3, 2e7),
        ("r3gan_ffhq256", (150.0, 15.0), 5e5, 0.3, 2e7),
        ("r3gan_imagenet32", (0.5, 0.05), 5e7, 0.5, 2e8),
        ("r3gan_imagenet64", (1.0, 0.1), 5e7, 0.4, 2e8),
    ],
)
def test_r3gans_schedules_begin_and_end_where_the_authors_do(
    name: str, gamma: tuple[float, float], half_life_images: float, augmented: float, images: float
) -> None:
    """brownvc/R3GAN, train.py: cosines of the gammas, learning rate, second beta, half-life and probability of
    augmentation over `decay_nimg`."""

    def ends(schedule: dict[str, Any]) -> tuple[float, float]:
        kind, arguments = schedule["class_path"].rsplit(".", 1)[-1], schedule["init_args"]
        made: Schedule = {"Cosine": Cosine, "CosineDecay": CosineDecay}[kind](**arguments)
        assert made.at(int(images) // 2) == pytest.approx((made.at(0) + made.at(int(images))) / 2)  # half-way
        return made.at(0), made.at(int(images))

    for penalty in ("R1", "R2"):
        (settings,) = callbacks_of(name, penalty)
        factors = ends(settings["weight_schedule"])
        assert [settings["gamma"] * factor for factor in factors] == pytest.approx(list(gamma))
        assert "every_n_turns" not in settings
    (rate,), (betas,), (ema,) = (callbacks_of(name, kind) for kind in ("LearningRate", "AdamBetas", "EMA"))
    training = config_of(name)["model"]["init_args"]["training"]
    for player in ("generator", "discriminator"):
        arguments = training[f"{player}_optimizer"]["init_args"]
        (schedule,) = rate["schedules"]
        assert [arguments["lr"] * factor for factor in ends(schedule)] == pytest.approx([2e-4, 5e-5])
        assert arguments["betas"] == [0.0, 0.9]
    assert ends(betas["beta2"]) == pytest.approx((0.9, 0.99))
    assert ends(ema["half_life_kimg"]) == pytest.approx((0.0, half_life_images / 1000))
    (augmentation,) = callbacks_of(name, "Augmentation")
    factors = ends(augmentation["schedule"])
    assert [augmentation["probability"] * factor for factor in factors] == pytest.approx([0.0, augmented])
    assert augmentation["groups"] == {"blit": 1.0, "geometry": 1.0, "colour": 0.5, "cutout": 1.0}


@pytest.mark.parametrize("name", ["sagan_imagenet128", "sngan_imagenet128"])
def test_batch_statistics_are_of_one_device_where_the_authors_are(name: str) -> None:
    """self-attention-gan: 64 images a tower; sngan_projection's conditional batch norm knows one process only."""
    assert config_of(name)["model"]["init_args"]["batch_norm_across_ranks"] is False


@pytest.mark.slow
# As the header of roth_dcgan_celeba64 says: the authors keep it.
@pytest.mark.filterwarnings("ignore:Roth. the critic has batch normalization")
@pytest.mark.filterwarnings("ignore:each .* has 1 image")  # two images make two slices
@pytest.mark.parametrize("name", IMAGES)
def test_it_trains_at_full_size_and_is_as_large_as_its_header_says(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = yaml.safe_load((shipped_folder() / name).read_text())
    write_data(config["data"], monkeypatch)
    Path("small.yaml").write_text(yaml.safe_dump(made_small(config)))
    monkeypatch.setattr(Inspection, "found", None)
    monkeypatch.setattr(nn.init, "orthogonal_", lambda weight: nn.init.normal_(weight, std=0.02))
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
