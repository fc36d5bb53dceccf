"""A conditional model on a folder of images, one sub-folder per class, and an image of each class.

The game: a DCGAN whose two networks are told the class. The folder is read as it is: the names of its sub-folders are
the classes, in alphabetical order. What was understood is printed in one line before training.

Added from this package: all of it. `ImageFolder` reads the files, also from a zip or with a `dataset.json`; the model's
number of classes is the data's; `model.sample(labels=)` makes the classes that are asked for.

To change for a real project: `path`, `image_size=64` with the default widths, `resize` for images of other sizes, and
some hundred times as many images. The same on the command line, which also fills in size, channels and classes:
`python cli.py fit --config dcgan.yaml --images FOLDER --image_size 64 --labels`, and then
`python cli.py generate runs/RUN --classes all`.
"""

import tempfile
from pathlib import Path

import torch
from lightning.pytorch import Trainer
from PIL import Image, ImageDraw
from torch import Tensor

from lightning_gan import Training
from lightning_gan.callbacks import EMA, StopAtKimg
from lightning_gan.data import ImageFolder
from lightning_gan.models import DCGAN
from lightning_gan.optimizers import GANAdam

SIZE = 16
COLOURS = {"circles": (230, 60, 60), "crosses": (60, 200, 80), "squares": (70, 90, 240)}


def draw(kind: str, seed: int) -> Image.Image:
    """A shape of random place, size and brightness on a dark ground."""
    random = torch.Generator().manual_seed(seed)
    x, y, radius, brightness = torch.rand(4, generator=random).tolist()
    x, y, radius = 5 + 6 * x, 5 + 6 * y, 3 + 2 * radius
    colour = tuple(int(value * (0.6 + 0.4 * brightness)) for value in COLOURS[kind])
    picture = Image.new("RGB", (SIZE, SIZE), (10, 10, 20))
    pen = ImageDraw.Draw(picture)
    box = (x - radius, y - radius, x + radius, y + radius)
    if kind == "circles":
        pen.ellipse(box, fill=colour)
    elif kind == "squares":
        pen.rectangle(box, fill=colour)
    else:
        pen.line(box, fill=colour, width=2)
        pen.line((box[0], box[3], box[2], box[1]), fill=colour, width=2)
    return picture


def make_folder(folder: Path, *, per_class: int) -> None:
    """Write the images of each class into a sub-folder with the class's name."""
    for number, kind in enumerate(COLOURS):
        (folder / kind).mkdir(parents=True)
        for index in range(per_class):
            draw(kind, seed=1000 * number + index).save(folder / kind / f"{index:04}.png")


def colours_of(images: Tensor) -> Tensor:
    """The class whose colour an image has most: the channel of red, green and blue with the largest mean."""
    return images.mean(dim=(2, 3)).argmax(dim=1)


def main(total_kimg: float = 10.0, per_class: int = 100) -> None:
    """Train on a folder that is made first, and print how many samples are of the class that was asked for.

    Args:
        total_kimg: thousands of images to train on.
        per_class: number of images that are made of each class.
    """
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as name:
        make_folder(Path(name) / "shapes", per_class=per_class)
        data = ImageFolder(path=str(Path(name) / "shapes"), image_size=SIZE, labels=True, batch_size=32)
        model = DCGAN(
            image_size=SIZE,
            number_of_classes=len(COLOURS),
            latent_dim=16,
            generator_width=16,
            discriminator_width=16,
            training=Training(
                generator_optimizer=lambda parameters: GANAdam(parameters, lr=0.001),
                discriminator_optimizer=lambda parameters: GANAdam(parameters, lr=0.001),
            ),
        )
        trainer = Trainer(
            accelerator="cpu",
            max_epochs=-1,
            callbacks=[EMA(half_life_kimg=0.5), StopAtKimg(total_kimg=total_kimg)],
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
        )
        trainer.fit(model, data)
    asked = torch.arange(300) % len(COLOURS)
    samples = model.sample(300, asked, seed=0)
    share = (colours_of(samples) == asked).float().mean().item()
    print(f"after {model.images_seen:,} images, {share:.0%} of 300 samples have the colour of the class asked for")


if __name__ == "__main__":
    main()
