"""Trains on some of the digits, with and without augmentation, and compares the samples with the other digits.

    python benchmarks/few_images.py --images 100 --augmentation none --minutes 8 --out none.json
    python benchmarks/few_images.py --images 100 --augmentation ada --minutes 8 --out ada.json
    python benchmarks/few_images.py --images 100 --augmentation apa --minutes 8 --out apa.json
    python benchmarks/few_images.py --draw none.json ada.json apa.json --out few_images.png

DCGAN at 16x16 pixels with half of the paper's feature maps, without labels, on one thread. Every 20,000 images it
measures the Fréchet distance of 2,500 samples to the digits that training has not seen, and the mean scores of the
training images and of the others, which drift apart when the discriminator learns images by heart.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from lightning_gan.callbacks import EMA, AdaptiveAugmentation, AdaptivePseudoAugmentation, DiffAugment, ImageClock
from lightning_gan.data.datamodule import GANData
from lightning_gan.data.digits import load_digits
from lightning_gan.data.images import ImageSource, MemoryImages, box_mean
from lightning_gan.foreign.clock import crosses_multiple
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.settings import Training
from lightning_gan.metrics import DigitFeatures, frechet_distance, gaussian
from lightning_gan.models import DCGAN
from lightning_gan.optimizers import GANAdam
from lightning_gan.tensors.image_bytes import to_bytes

SIZE = 16
SAMPLES = 2500


def digits() -> Tensor:
    """All digits at 16x16, in a fixed random order."""
    images, _ = load_digits()
    small = box_mean(torch.nn.functional.pad(images, [2] * 4), resolution=SIZE)
    return small[torch.randperm(len(small), generator=torch.Generator().manual_seed(0))]


class FewDigits(GANData):
    """The first digits."""

    def __init__(self, images: Tensor) -> None:
        super().__init__(image_size=SIZE, image_channels=1, number_of_classes=0, batch_size=32, seed=0, mirror=False)
        self.images = images

    def open_source(self) -> ImageSource:
        return MemoryImages(images=self.images, labels=None)


class Measure(ImageClock):
    """Measures every few thousand images, and stops after some minutes."""

    def __init__(self, *, train: Tensor, others: Tensor, seconds: float, out: Path) -> None:
        self.train, self.others, self.seconds, self.out = train, others, seconds, out
        self.extractor = DigitFeatures().eval()
        self.real = self.features(others)
        self.rows: list[dict[str, Any]] = []
        self.start = time.monotonic()

    @torch.no_grad()
    def features(self, images: Tensor) -> Any:
        large = images.repeat_interleave(2, 2).repeat_interleave(2, 3)
        return gaussian(torch.cat([self.extractor(part) for part in large.split(250)]))

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        late = time.monotonic() - self.start > self.seconds
        if crosses_multiple(self.images_before, self.images_seen, every_images=20_000) or late:
            self.rows.append(self.row(trainer, pl_module))
            print(json.dumps(self.rows[-1]), flush=True)
            self.out.write_text(json.dumps(self.rows))
        trainer.should_stop = late

    @torch.no_grad()
    def row(self, trainer: Trainer, module: LightningModule) -> dict[str, Any]:
        assert isinstance(module, GAN)
        latents, _ = module.draw_latents(SAMPLES, seed=9)
        samples = torch.cat([to_bytes(module.sample(part)) for part in latents.split(250)])
        scores = {
            name: module.discriminator(images[:1000].float() / 127.5 - 1).mean().item()
            for name, images in (("train", self.train), ("others", self.others), ("samples", samples))
        }
        logged = {
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

    figure, (distances, scores, probabilities) = plt.subplots(1, 3, figsize=(12, 3.2), layout="constrained")
    for color, record in zip(("tab:orange", "tab:blue", "tab:green"), records, strict=False):
        rows = json.loads(record.read_text())
        kimg = [row["kimg"] for row in rows]
        distances.plot(kimg, [row["frechet_distance"] for row in rows], color=color, label=record.stem)
        for name, style in (("train", "-"), ("others", "--"), ("samples", ":")):
            label = f"{record.stem}: {name}"
            scores.plot(kimg, [row["scores"][name] for row in rows], color=color, linestyle=style, label=label)
        if "p" in rows[-1]:
            probabilities.plot(kimg, [row["p"] for row in rows], color=color, label=record.stem)
    distances.set(title="Fréchet distance to digits not trained on", yscale="log")
    scores.set(title="mean score")
    probabilities.set(title="p", ylim=(0, 1))
    for axes in (distances, scores, probabilities):
        axes.set_xlabel("thousand images")
        axes.legend(fontsize=7)
    figure.savefig(out, dpi=110)


def adam(parameters: Any) -> GANAdam:
    return GANAdam(parameters, lr=0.0002, betas=(0.5, 0.999))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--augmentation", choices=("none", "ada", "apa", "diffaugment"), default="none")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--draw", type=Path, nargs="+", help="records to draw, in place of a training")
    given = parser.parse_args()
    if given.draw:
        draw(given.draw, given.out)
        return
    torch.set_num_threads(1)
    torch.manual_seed(0)
    images = digits()
    train, others = images[: given.images], images[given.images :]
    added = {
        "none": [],
        "ada": [AdaptiveAugmentation(adaptation_kimg=50.0)],
        "apa": [AdaptivePseudoAugmentation(adaptation_kimg=50.0)],
        "diffaugment": [DiffAugment()],
    }[given.augmentation]
    module = DCGAN(
        image_size=SIZE,
        image_channels=1,
        generator_width=32,
        discriminator_width=32,
        training=Training(generator_optimizer=adam, discriminator_optimizer=adam),
    )
    measure = Measure(train=train, others=others, seconds=60 * given.minutes, out=given.out)
    floor = frechet_distance(measure.features(train), measure.real)
    print(f"the training images themselves: {float(floor):.2f}", flush=True)
    trainer = Trainer(
        accelerator="cpu",
        callbacks=[*added, EMA(half_life_kimg=2.0), measure],
        max_epochs=-1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=25,
    )
    trainer.fit(module, FewDigits(train))


if __name__ == "__main__":
    main()
