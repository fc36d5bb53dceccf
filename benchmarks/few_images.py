"""Trains on some images of a set, with and without augmentation, and compares the samples with the set's other images.

    python benchmarks/few_images.py --images 100 --augmentation none --minutes 8 --out none.json
    python benchmarks/few_images.py --images 100 --augmentation ada --minutes 8 --out ada.json
    python benchmarks/few_images.py --folder emoji64.zip --images 1000 --augmentation ada --kimg 150 --out ada_1000.json
    python benchmarks/few_images.py --images 100 --augmentation apa --minutes 8 --out apa.json
    python benchmarks/few_images.py --draw none.json ada.json apa.json --out few_images.png

Of the digits: DCGAN at 16x16 pixels with half of the paper's feature maps, and the features of the package's
classifier. Of a folder or zip: StyleGAN2 at 32x32 with 128, 64, 32, 16 feature maps at 4 to 32 pixels, mirrored
images, and the features of a network with random weights. Both without labels, on one thread. Every 20,000 images it
measures the Fréchet distance of 2,500 samples to the images that training has not seen, and the mean scores of the
training images and of the others, which drift apart when the discriminator learns images by heart.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from lightning_gan.callbacks import (
    EMA,
    R1,
    AdaptiveAugmentation,
    AdaptivePseudoAugmentation,
    DiffAugment,
    ImageClock,
)
from lightning_gan.data.datamodule import GANData
from lightning_gan.data.decoding import Resize
from lightning_gan.data.digits import load_digits
from lightning_gan.data.folder import ImageFolder
from lightning_gan.data.images import ImageSource, MemoryImages, box_mean
from lightning_gan.foreign.clock import crosses_multiple
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.settings import Training
from lightning_gan.metrics import DigitFeatures, RandomFeatures, frechet_distance, gaussian
from lightning_gan.models import DCGAN, StyleGAN2
from lightning_gan.optimizers import GANAdam
from lightning_gan.tensors.image_bytes import to_bytes

SAMPLES = 2500
BATCH_SIZE = 32
GAMMA = 0.01  # about 0.0002 * 32^2 / 32, by the rule of StyleGAN2-ADA (arXiv:2006.06676)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What is trained and how it is measured.

    Args:
        images: all images, uint8, in a fixed random order.
        mirror: whether half of the training images are flipped.
        features: features of uint8 images.
        module: a new model.
        callbacks: its callbacks.
    """

    images: Tensor
    mirror: bool
    features: Callable[[Tensor], Tensor]
    module: Callable[[], GAN]
    callbacks: list[Callback]


def shuffled(images: Tensor) -> Tensor:
    return images[torch.randperm(len(images), generator=torch.Generator().manual_seed(0))]


def adam(parameters: Any, *, lr: float, betas: tuple[float, float]) -> GANAdam:
    return GANAdam(parameters, lr=lr, betas=betas)


def training(*, lr: float, betas: tuple[float, float]) -> Training:
    optimizer = partial(adam, lr=lr, betas=betas)
    return Training(generator_optimizer=optimizer, discriminator_optimizer=optimizer)


def trial_of_digits() -> Trial:
    images, _ = load_digits()
    extractor = DigitFeatures().eval()
    return Trial(
        images=shuffled(box_mean(torch.nn.functional.pad(images, [2] * 4), resolution=16)),
        mirror=False,
        features=lambda images: extractor(images.repeat_interleave(2, 2).repeat_interleave(2, 3)),
        module=lambda: DCGAN(
            image_size=16,
            image_channels=1,
            generator_width=32,
            discriminator_width=32,
            training=training(lr=0.0002, betas=(0.5, 0.999)),
        ),
        callbacks=[EMA(half_life_kimg=2.0)],
    )


def trial_of_folder(path: Path) -> Trial:
    source = ImageFolder(path=path, image_size=32, resize=Resize.center_crop, labels=False).source
    return Trial(
        images=shuffled(source.read(torch.arange(len(source)), resolution=32)),
        mirror=True,
        features=RandomFeatures(),
        module=lambda: StyleGAN2(
            image_size=32,
            latent_dim=64,
            style_dim=64,
            mapping_layers=2,
            channel_base=512,
            channel_max=128,
            style_mixing=0.0,
            training=training(lr=0.0025, betas=(0.0, 0.99)),
        ),
        callbacks=[R1(gamma=GAMMA, every_n_turns=8), EMA(half_life_kimg=10.0)],
    )


class FewImages(GANData):
    """Images in memory, without labels."""

    def __init__(self, images: Tensor, *, mirror: bool) -> None:
        super().__init__(
            image_size=images.shape[-1],
            image_channels=images.shape[1],
            number_of_classes=0,
            batch_size=BATCH_SIZE,
            seed=0,
            mirror=mirror,
        )
        self.images = images

    def open_source(self) -> ImageSource:
        return MemoryImages(images=self.images, labels=None)


class Measure(ImageClock):
    """Measures every few thousand images, and stops after some images or minutes, whichever comes first."""

    def __init__(
        self,
        *,
        train: Tensor,
        others: Tensor,
        features: Callable[[Tensor], Tensor],
        kimg: float,
        seconds: float,
        out: Path,
    ) -> None:
        self.train, self.others, self.extractor = train, others, features
        self.images, self.seconds, self.out = round(1000 * kimg), seconds, out
        self.real = self.features(others)
        self.rows: list[dict[str, Any]] = []
        self.start = time.monotonic()

    @torch.no_grad()
    def features(self, images: Tensor) -> Any:
        return gaussian(torch.cat([self.extractor(part) for part in images.split(250)]))

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        ends = self.images_seen >= self.images or time.monotonic() - self.start > self.seconds
        if crosses_multiple(self.images_before, self.images_seen, every_images=20_000) or ends:
            self.rows.append(self.row(trainer, pl_module))
            print(json.dumps(self.rows[-1]), flush=True)
            self.out.write_text(json.dumps(self.rows))
        trainer.should_stop = ends

    @torch.no_grad()
    def row(self, trainer: Trainer, module: LightningModule) -> dict[str, Any]:
        assert isinstance(module, GAN)
        latents, _ = module.draw_latents(SAMPLES, seed=9)
        samples = torch.cat([to_bytes(module.sample(part)) for part in latents.split(250)])
        scores = {
            name: module.discriminator(images[:1000].float() / 127.5 - 1).mean().item()
            for name, images in (("train", self.train), ("others", self.others), ("samples", samples))
        }
        logged: dict[str, Any] = {
            name: float(trainer.callback_metrics[f"{kind}/{name}"])
            for kind in ("augmentation", "pseudo_augmentation")
            for name in ("p", "r_t")
            if f"{kind}/{name}" in trainer.callback_metrics
        }
        return {
            "kimg": self.kimg,
            "minutes": round((time.monotonic() - self.start) / 60, 2),
            "frechet_distance": float(frechet_distance(self.features(samples), self.real)),
            "scores": scores,
            **logged,
        }


def draw(records: list[Path], out: Path) -> None:
    """Draws the distances and the scores of some runs, and p of those that have one, over images."""
    import matplotlib.pyplot as plt

    figure, (distances, scores, probabilities) = plt.subplots(1, 3, figsize=(13, 3.2), layout="constrained")
    for color, record in zip(("tab:orange", "tab:blue", "tab:green"), records, strict=False):
        rows = json.loads(record.read_text())
        kimg = [row["kimg"] for row in rows]
        distances.plot(kimg, [row["frechet_distance"] for row in rows], color=color, label=record.stem)
        for name, style in (("train", "-"), ("others", "--"), ("samples", ":")):
            label = f"{record.stem}: {name}"
            scores.plot(kimg, [row["scores"][name] for row in rows], color=color, linestyle=style, label=label)
        if "p" in rows[-1]:
            probabilities.plot(kimg, [row["p"] for row in rows], color=color, label=record.stem)
    distances.set(title="Fréchet distance to images not trained on", yscale="log")
    scores.set(title="mean score")
    probabilities.set(title="p", ylim=(0, 1))
    for axes in (distances, scores, probabilities):
        axes.set_xlabel("thousand images")
    for axes in (distances, probabilities):
        axes.legend(fontsize=7)
    scores.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))  # beside it, because it has nine lines
    figure.savefig(out, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="folder or zip of images; the digits if it is not given")
    parser.add_argument("--images", type=int, default=100, help="number of images that are trained on")
    parser.add_argument("--augmentation", choices=("none", "ada", "apa", "diffaugment"), default="none")
    parser.add_argument("--kimg", type=float, default=1000.0, help="thousands of images after which it stops")
    parser.add_argument("--minutes", type=float, default=60.0, help="minutes after which it stops")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--draw", type=Path, nargs="+", help="records to draw, in place of a training")
    given = parser.parse_args()
    if given.draw:
        draw(given.draw, given.out)
        return
    torch.set_num_threads(1)
    torch.manual_seed(0)
    trial = trial_of_digits() if given.folder is None else trial_of_folder(given.folder)
    train, others = trial.images[: given.images], trial.images[given.images :]
    added = {
        "none": [],
        "ada": [AdaptiveAugmentation(adaptation_kimg=50.0)],
        "apa": [AdaptivePseudoAugmentation(adaptation_kimg=50.0)],
        "diffaugment": [DiffAugment()],
    }[given.augmentation]
    measure = Measure(
        train=train,
        others=others,
        features=trial.features,
        kimg=given.kimg,
        seconds=60 * given.minutes,
        out=given.out,
    )
    floor = frechet_distance(measure.features(train), measure.real)
    print(f"the training images themselves: {float(floor):.4g}", flush=True)
    trainer = Trainer(
        accelerator="cpu",
        callbacks=[*added, *trial.callbacks, measure],
        max_epochs=-1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=25,
    )
    trainer.fit(trial.module(), FewImages(train, mirror=trial.mirror))


if __name__ == "__main__":
    main()
