"""Trains BiGAN and ALI on every rank that started it: `test_adversarial_inference.py` compares the weights.

Run as `python -m torch.distributed.run --nproc_per_node=2 -m tests.models.adversarial_inference_worker FOLDER`, or
without the launcher.
"""

import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

from lightning_gan.callbacks import EMA, R1, EncoderEvaluation
from lightning_gan.data import GANData, ImageSource, MemoryImages
from lightning_gan.models.adversarial_inference import AdversarialInference
from lightning_gan.models.ali import ALI
from lightning_gan.models.ali_tables import ENCODER_32, GENERATOR_32, Architecture, CIFAR10Tables, Row
from lightning_gan.models.bigan import BiGAN, Perceptrons
from lightning_gan.models.bigan_alexnet import AlexNet
from lightning_gan.tensors.image_bytes import to_bytes
from tests.equality import start_of
from tests.toys import FAST, toy_trainer

STRATEGIES = ("gan_ddp", "gan_fsdp")
MODELS = ("bigan", "bigan_convolutional", "ali")


@dataclass(frozen=True, kw_only=True)
class WithoutDropout(Architecture):
    """ALI's convolutions, narrow: dropout is each rank's own, all else is the same for any number of ranks."""

    image_size: ClassVar[int] = 32
    latent_dim: ClassVar[int] = 3
    encoder_rows: ClassVar[tuple[Row, ...]] = ENCODER_32
    generator_rows: ClassVar[tuple[Row, ...]] = GENERATOR_32
    leak: ClassVar[float] = 0.1
    image_rows: ClassVar[tuple[Row, ...]] = ENCODER_32[:5]
    code_channels: ClassVar[int] = 64
    joint_channels: ClassVar[int] = 64
    image_dropouts: ClassVar[tuple[float, float]] = (0.0, 0.0)
    code_dropouts: ClassVar[tuple[float, float]] = (0.0, 0.0)
    joint_dropout: ClassVar[float] = 0.0

    divisor: int = 16


class Pictures(GANData):
    """Random grey 32x32 images of three classes in memory."""

    def __init__(self) -> None:
        super().__init__(
            image_size=32,
            image_channels=1,
            number_of_classes=3,
            batch_size=8,
            seed=0,
            mirror=False,
            number_of_workers=0,
        )

    def open_source(self) -> ImageSource:
        images = torch.rand(24, 1, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
        return MemoryImages(images=to_bytes(images), labels=torch.arange(24) % 3, number_of_classes=3)


def untrained(model: str) -> AdversarialInference:
    torch.manual_seed(7)
    training = replace(FAST, generator_batch_multiple=2)
    if model.startswith("bigan"):
        # The convolutional networks have gains, which are a group of their own in the optimizers.
        convolutional = AlexNet(generator_width=2, discriminator_width=2)
        return BiGAN(
            image_size=32,
            latent_dim=3,
            architecture=convolutional if model == "bigan_convolutional" else Perceptrons(width=8),
            training=training,
        )
    module = ALI(
        image_size=32,
        image_channels=1,
        latent_dim=3,
        architecture=CIFAR10Tables(divisor=16) if model == "ali_with_dropout" else WithoutDropout(),
        training=training,
    )
    # Features of weights as small as the authors' are so small here that normalizing them magnifies rounding.
    with torch.no_grad():
        for weight in (*module.generator.parameters(), *module.discriminator.parameters()):
            weight.mul_(20.0 if weight.dim() == 4 else 1.0)
    module.generator_ema.load_state_dict(module.generator.state_dict())
    return module


def train(model: str, *, strategy: str, ranks: int, folder: Path) -> dict[str, Tensor]:
    """All weights after four batches, in double precision, and reconstructions of some images."""
    module = untrained(model)
    start = start_of(module)
    trainer = toy_trainer(
        R1(gamma=2.0, every_n_turns=2),
        EMA(half_life_kimg=0.02),
        EncoderEvaluation(),
        default_root_dir=str(folder),
        max_steps=4,
        max_epochs=-1,
        precision="64-true",
        devices=ranks,
        strategy=strategy,
    )
    trainer.fit(module, Pictures())
    assert trainer.world_size == ranks
    images = torch.rand(3, 1, 32, 32, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    reconstructions = module.reconstruct(images)
    weights = get_model_state_dict(module, options=StateDictOptions(full_state_dict=True))
    return {**weights, **start, "reconstructions": reconstructions}


def main(folder: Path) -> None:
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    for strategy in STRATEGIES if ranks > 1 else ("auto",):
        for model in MODELS:
            weights = train(model, strategy=strategy, ranks=ranks, folder=folder / f"{strategy}_{model}")
            if int(os.environ.get("RANK", "0")) == 0:
                torch.save(weights, folder / f"{strategy}_{model}.pt")
    if ranks > 1:
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
