"""Finds and draws directions in the latent space of a checkpoint: the work of the command `directions`."""

import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TypeAlias, final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from lightning_gan.callbacks.figures.pictures import Table
from lightning_gan.data.progress_report import ProgressReport
from lightning_gan.data.shown import listed
from lightning_gan.inference.chosen_classes import chosen_classes
from lightning_gan.inference.closed_form import directions_of
from lightning_gan.inference.images_out import check_absent, check_size, png_bytes, write_new
from lightning_gan.inference.keyframes import labels_of, latents_of, styles_of
from lightning_gan.inference.latent_layers import ROWS, LatentLayer, layers_of_latents, layers_of_styles
from lightning_gan.inference.latent_spaces import SAMPLES, style_samples
from lightning_gan.inference.mixed_styles import style_layers
from lightning_gan.inference.number_lists import numbers_in, whole_numbers
from lightning_gan.inference.trained_model import Device, TrainedModel, trained_model
from lightning_gan.loop.style_based import StyleBased
from lightning_gan.tensors.numbers import check_at_least
from lightning_gan.tensors.seeds import derived_seed
from lightning_gan.tensors.shapes import ImageBytes

Step: TypeAlias = Float[Tensor, " latent"]
"""What is added to a latent or to a style."""

LEAST_VALUE = 1e-9
"""Eigenvalues below this share of the largest one are 0 but for rounding: the layers do not see such directions."""


class Movable(ABC):
    """Images that can be moved along directions, and the layers by which directions are found.

    Attributes:
        space: name of the space, z or w.
        layers: the layers whose matrices are factorized.
    """

    space: str
    layers: list[LatentLayer]

    @abstractmethod
    def samples(self) -> Float[Tensor, "samples latent"]:
        """Many random points of the space, of which the deviation along a direction is computed."""

    @abstractmethod
    def moved(self, image: int, step: Step) -> ImageBytes:
        """An image after a step, `1 channels height width`.

        Args:
            image: number of the image.
            step: what is added to its latent, or to its styles in the chosen layers.
        """


@final
class MovableLatents(Movable):
    """Images that are moved in z, by the layers of the generator that take latents.

    Args:
        trained: the model.
        seeds: seeds of the images.
        labels: number of the class of each; None without classes.
        layers: numbers of the layers, such as 0-3, among those that take latents; None takes the first.
        truncation: strength of the truncation trick.

    Raises:
        ValueError: if the first layer takes something else than latents, or there is no layer of this number.
    """

    space = "z"

    def __init__(
        self,
        trained: TrainedModel,
        *,
        seeds: Sequence[int],
        labels: Sequence[int] | None,
        layers: str | None,
        truncation: float,
    ) -> None:
        self.trained = trained
        self.seeds, self.labels = seeds, labels
        self.truncation = truncation
        self.latents = latents_of(trained, seeds)
        model = trained.model
        network = model.sampling_generator if trained.ema else model.generator
        first = torch.zeros(ROWS, dtype=torch.int64, device=model.device) if model.number_of_classes else None
        latents, _ = model.draw_latents(ROWS, seed=0)
        found = layers_of_latents(
            network,
            latents,
            lambda given: model.truncated(network, given, first, truncation=1.0, fresh_noise=False),
        )
        if not found:
            raise ValueError(
                f"{trained.name}: none of its linear layers takes the latents, so that it has no directions"
            )
        chosen = [0] if layers is None else whole_numbers(layers, option="layers")
        if max(chosen) >= len(found):
            names = listed([f"{number} ({layer.name})" for number, layer in enumerate(found)], most=20)
            raise ValueError(f"layers={layers}: the layers that take the latents are {names}")
        self.layers = [found[number] for number in chosen]

    def samples(self) -> Float[Tensor, "samples latent"]:
        random = torch.Generator().manual_seed(derived_seed(0, "latents along directions"))
        return self.trained.model.prior(SAMPLES, random)

    def moved(self, image: int, step: Step) -> ImageBytes:
        labels = None if self.labels is None else torch.tensor([self.labels[image]])
        latents = self.latents[image] + step.to(self.latents)
        what = f"seed {self.seeds[image]} along a direction"
        return self.trained.image(latents[None], labels, truncation=self.truncation, what=what)


@final
class MovableStyles(Movable):
    """Images that are moved in w, by the layers that take styles. Only the styles of the chosen layers are moved.

    Args:
        trained: the model, which has styles.
        seeds: seeds of the images.
        labels: number of the class of each; None without classes.
        layers: numbers of the layers, such as 0-3; None takes all.
        truncation: strength of the truncation trick.

    Raises:
        ValueError: if there is no layer of this number, or none takes its style as it is.
    """

    space = "w"

    def __init__(
        self,
        trained: TrainedModel,
        *,
        seeds: Sequence[int],
        labels: Sequence[int] | None,
        layers: str | None,
        truncation: float,
    ) -> None:
        self.trained = trained
        self.seeds = seeds
        self.styles = styles_of(trained, seeds, labels, truncation=truncation, asker="layers")
        model, styled = trained.model, trained.style_based(asker="layers")
        every = list(range(len(styled.style_resolutions)))
        self.chosen = every if layers is None else style_layers(layers, trained=trained, option="layers")
        network = model.sampling_generator if trained.ema else model.generator
        found = layers_of_styles(network, styled, style_dim=self.styles.shape[-1], ema=trained.ema)
        self.layers = [layer for layer in found if layer.style in self.chosen]
        missing = sorted(set(self.chosen) - {layer.style for layer in self.layers})
        if missing:
            raise ValueError(
                f"{trained.name}: no linear layer takes the style of layer {missing[0]} as it is, so that it has no "
                "directions in closed form"
            )

    def samples(self) -> Float[Tensor, "samples latent"]:
        return style_samples(self.trained, label=None, seed=0, asker="directions").cpu()

    def moved(self, image: int, step: Step) -> ImageBytes:
        styles = self.styles[image].clone()
        styles[self.chosen] += step.to(styles)
        return self.trained.styled_image(styles[None], what=f"seed {self.seeds[image]} along a direction")


def directions(
    checkpoint: str,
    out: str,
    *,
    count: int = 5,
    strengths: str = "-3,-2,-1,0,1,2,3",
    seeds: str = "0",
    layers: str | None = None,
    classes: str | None = None,
    truncation: float = 1.0,
    ema: bool = True,
    device: Device = Device.auto,
    overwrite: bool = False,
) -> None:
    """Find the directions along which the first layers of a generator change most, and draw them as strips of images.

    They are the eigenvectors of A^T A, where A is the matrix of the layers that take the latents or styles (closed-form
    factorization, SeFa, Shen and Zhou 2021, arXiv:2007.06600). No image and no training is needed. For StyleGAN these
    are the layers that turn styles into scales and shifts, and only the chosen layers are moved; for other models it is
    the first layer of the generator. OUT.png has a row for each direction and seed. OUT.npz beside it has the
    directions (a row each), all eigenvalues, the standard deviations of latents along the directions, and the layers.

    Args:
        checkpoint: a checkpoint file, the folder of a run such as runs/stylegan, or its folder of checkpoints.
        out: the picture, which ends in .png.
        count: number of directions, those with the largest eigenvalues first.
        strengths: how far images are moved, in standard deviations of the model's latents along the direction.
        seeds: seeds of the images that are moved, such as 0-3; those of `generate`.
        layers: layers whose matrices are factorized, such as 0-3. By default all layers of a StyleGAN, and the first
            layer that takes the latents of another model.
        classes: class of the images, or one for each seed. By default the classes of `generate`.
        truncation: strength of the truncation trick of the images that are moved. 1 does not truncate.
        ema: use averaged weights if the checkpoint has them.
        device: where the networks compute. auto is the GPU if there is one.
        overwrite: replace files that exist.

    Raises:
        ValueError: for settings that do not fit the model, a model whose first layer takes something else than latents,
            and files that exist.
    """
    path = Path(out)
    if path.suffix.lower() != ".png":
        raise ValueError(f"{out} must end in .png; the directions are written beside it in a file that ends in .npz")
    check_at_least(1, count=count)
    numbers = whole_numbers(seeds, option="seeds")
    amounts = numbers_in(strengths, option="strengths")
    check_absent(path, path.with_suffix(".npz"), overwrite=overwrite)
    trained = trained_model(checkpoint, device=device, ema=ema)
    chosen = None if classes is None else chosen_classes(classes, trained=trained)
    print(trained.description, file=sys.stderr)
    kind = MovableStyles if isinstance(trained.model, StyleBased) else MovableLatents
    movable = kind(
        trained, seeds=numbers, labels=labels_of(trained, numbers, chosen), layers=layers, truncation=truncation
    )
    found, values = directions_of(torch.cat([layer.matrix for layer in movable.layers]))
    seen = int((values > LEAST_VALUE * values[0]).sum())
    if count > seen:
        raise ValueError(
            f"count={count}: the layers have {seen} directions along which they change; give at most {seen}"
        )
    found = found[:count]
    deviations = (movable.samples().double().cpu() @ found.T).std(dim=0)  # count
    _, height, width = trained.image_shape
    check_size(rows=count * len(numbers), columns=len(amounts), height=height, width=width)
    progress = ProgressReport(images=count * len(numbers) * len(amounts), what="moving along directions")
    rows: list[ImageBytes] = []
    for direction, deviation in zip(found, deviations, strict=True):
        for image in range(len(numbers)):
            rows.append(torch.cat([movable.moved(image, amount * deviation * direction) for amount in amounts]))
            progress.report(len(rows) * len(amounts))
    table = Table(
        rows=rows,
        row_labels=[f"direction {place + 1}" for place in range(count) for _ in numbers],
        column_labels=[f"{amount:+g}" if amount else "0" for amount in amounts],
        gaps_above=range(len(numbers), len(rows), len(numbers)) if len(numbers) > 1 else (),
    )
    write_new(path, png_bytes(table.drawn()), overwrite=overwrite)
    arrays = BytesIO()
    np.savez(
        arrays,
        directions=found.numpy(),
        eigenvalues=values.numpy(),
        deviations=deviations.numpy(),
        space=np.array(movable.space),
        layers=np.array([layer.name for layer in movable.layers]),
        styles=np.array([-1 if layer.style is None else layer.style for layer in movable.layers]),
    )
    write_new(path.with_suffix(".npz"), arrays.getvalue(), overwrite=overwrite)
    names = listed([layer.name for layer in movable.layers], most=3)
    print(f"wrote {count} directions of {movable.space} (from {names}) to {path} and {path.with_suffix('.npz')}")
