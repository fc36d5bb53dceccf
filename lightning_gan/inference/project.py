"""Finds the latent whose image is nearest to a given image: the work of the command `project`.

In w the search is that of StyleGAN2 (Karras et al. 2020, arXiv:1912.04958, appendix D, as other public implementations
describe it): Adam, a learning rate of 0.1 that rises within the first 5 % of the steps and falls as a cosine within the
last 25 %, and normal noise on the style with standard deviation ``0.05 sigma_w t^2``, where t falls from 1 to 0 within
the first 75 %. Different from the paper: the noise maps are those of the checkpoint and are not optimized, so that
their regularization is left out.
"""

import csv
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO, StringIO
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lightning_gan.callbacks.figures.pictures import Table, image_grid
from lightning_gan.data.progress_report import ProgressReport
from lightning_gan.inference.chosen_classes import chosen_classes
from lightning_gan.inference.distances import DistanceKind, clipped_with_gradient
from lightning_gan.inference.images_in import image_for
from lightning_gan.inference.images_out import check_absent, png_bytes, write_new
from lightning_gan.inference.latent_spaces import (
    LatentSpace,
    ProjectionSpace,
    SpaceKind,
    StyleSpace,
    nearest_latent,
)
from lightning_gan.inference.trained_model import Device, TrainedModel, repeatable, trained_model
from lightning_gan.loop.autoencoder import Autoencoder
from lightning_gan.loop.style_based import StyleBased
from lightning_gan.metrics.perceptual_path import Distance
from lightning_gan.tensors.image_bytes import to_bytes
from lightning_gan.tensors.numbers import check_at_least
from lightning_gan.tensors.seeds import derived_seed
from lightning_gan.tensors.shapes import Images

RAMP_UP, RAMP_DOWN = 0.05, 0.25
"""Shares of the steps in which the learning rate rises and falls."""

NOISE, NOISY = 0.05, 0.75
"""Standard deviation of the first noise relative to that of styles, and the share of the steps that have noise."""


@dataclass(frozen=True, kw_only=True)
class Projection:
    """What was found for one image.

    Attributes:
        space: the space, which makes images of points.
        point: the point with the smallest distance among those without noise.
        distances: distance of the image at the start and after every step, with the noise that its point had.
        distance: distance of the image of `point`.
    """

    space: ProjectionSpace
    point: Tensor
    distances: list[float]
    distance: float


def learning_rate_at(share: float, *, largest: float) -> float:
    """The learning rate after a share of the steps: it rises linearly, is constant, and falls as a cosine.

    Args:
        share: share of the steps that are done, in [0, 1].
        largest: the largest learning rate.

    Example:
        >>> [round(learning_rate_at(share, largest=0.1), 3) for share in (0.0, 0.025, 0.5, 0.875, 1.0)]
        [0.0, 0.05, 0.1, 0.05, 0.0]
    """
    falling = min(1.0, (1.0 - share) / RAMP_DOWN)
    return largest * min(1.0, share / RAMP_UP) * (0.5 - 0.5 * math.cos(math.pi * falling))


def noise_at(share: float) -> float:
    """The standard deviation of the noise after a share of the steps, relative to that of styles: ``0.05 t^2``.

    Args:
        share: share of the steps that are done, in [0, 1].

    Example:
        >>> [round(noise_at(share), 4) for share in (0.0, 0.375, 0.75, 1.0)]
        [0.05, 0.0125, 0.0, 0.0]
    """
    return NOISE * max(0.0, 1.0 - share / NOISY) ** 2


def projected(
    space: ProjectionSpace,
    target: Images,
    *,
    distance: Distance,
    steps: int,
    learning_rate: float,
    seed: int,
    report: Callable[[int], None] | None = None,
) -> Projection:
    """Look for the point whose image is nearest to a target.

    Args:
        space: the space, which says where the search begins.
        target: image in [-1, 1], `1 channels height width`.
        distance: distance of images, which is minimized. Images of points are clipped first, as they are shown.
        steps: number of steps; 0 stays at the start.
        learning_rate: largest learning rate of Adam.
        seed: seed of the noise.
        report: is called with the number of steps that are done, after each; None calls nothing.

    Raises:
        ValueError: if the distance at the start is not finite.
    """
    random = torch.Generator().manual_seed(derived_seed(seed, "projection"))
    point = space.start.detach().clone().requires_grad_()
    optimizer = torch.optim.Adam([point], lr=learning_rate)

    def apart_from(point: Tensor) -> Tensor:
        return distance(clipped_with_gradient(space.images(point)), target).sum()

    with torch.no_grad():
        nearest = float(apart_from(point))
    if not math.isfinite(nearest):
        raise ValueError(f"the distance at the start is {nearest}; give a checkpoint whose weights are finite")
    best, distances = space.start.detach().clone(), [nearest]
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = learning_rate_at((step + 1) / (steps + 1), largest=learning_rate)
        deviation = noise_at(step / steps) * space.deviation
        noise = torch.randn(point.shape, generator=random).to(point) * deviation
        optimizer.zero_grad()
        apart = apart_from(point + noise)
        apart.backward()  # type: ignore[no-untyped-call]
        value = float(apart.detach())
        if deviation == 0.0 and value < nearest:
            best, nearest = point.detach().clone(), value
        if step:
            distances.append(value)
        optimizer.step()
        if report is not None:
            report(step + 1)
    if steps:
        with torch.no_grad():
            distances.append(float(apart_from(point)))
        if distances[-1] < nearest:
            best, nearest = point.detach().clone(), distances[-1]
    return Projection(space=space, point=best, distances=distances, distance=nearest)


def project(
    checkpoint: str,
    images: list[str],
    *,
    out: str | None = None,
    space: SpaceKind | None = None,
    steps: int = 1000,
    learning_rate: float = 0.1,
    distance: DistanceKind = DistanceKind.pixel,
    label: str | None = None,
    seed: int = 0,
    ema: bool = True,
    device: Device = Device.auto,
    overwrite: bool = False,
) -> None:
    """Find the latents whose images are nearest to given images, by gradient descent.

    For every image NAME.png, the folder NAME gets the projected image (projected.png), the target, the start and the
    result side by side (compared.png), the latent (latent.npz), and the distance after every step (distances.csv). The
    arrays of latent.npz are those that Python's `model.sample(latents, label)` and `model.synthesize(styles)` take.
    Models with an encoder, such as BiGAN and IntroVAE, begin at the code of the image; --steps 0 takes the code itself.
    Other searches begin at the mean style (w, w_plus), or at the nearest of 100 random latents (z).

    Args:
        checkpoint: a checkpoint file, the folder of a run such as runs/stylegan, or its folder of checkpoints.
        images: image files. Of another size than the model's, the central square (the largest central rectangle of the
            model's proportions) is resized.
        out: folder of the folders. By default the folder `projected` of the run, or of the working directory for a
            checkpoint that is of no run.
        space: w is one style for all layers of a StyleGAN, w_plus one for each layer, which is nearer to the image and
            less like the model's own images; z is the latent of any model. By default w for StyleGAN and z for others.
        steps: number of steps of gradient descent.
        learning_rate: largest learning rate of Adam. It rises and falls as in StyleGAN2's projection.
        distance: pixel is the mean squared difference of pixels; lpips compares features of VGG-16, whose weights
            must be on this machine.
        label: class of the images, by number or name. By default w and w_plus begin at the mean of all classes, and z
            takes the class of the nearest random latent.
        seed: seed of random latents and noise.
        ema: use averaged weights if the checkpoint has them.
        device: where the networks compute. auto is the GPU if there is one.
        overwrite: replace files that exist.

    Raises:
        ValueError: for settings that do not fit the model, images that cannot be read, and files that exist.
    """
    check_at_least(0, steps=steps)
    if not learning_rate > 0 or not math.isfinite(learning_rate):
        raise ValueError(f"learning_rate={learning_rate} must be a positive number")
    names = [Path(image).stem for image in images]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"two images are called {twice} and would get the same folder; give them in two commands")
    trained = trained_model(checkpoint, device=device, ema=ema)
    kind = space or (SpaceKind.w if isinstance(trained.model, StyleBased) else SpaceKind.z)
    chosen = None if label is None else _one_class(label, trained=trained)
    measure = distance.found(trained.model.device)
    folder = trained.out_folder(out, name="projected")
    check_absent(*(folder / name / file for name in names for file in FILES), overwrite=overwrite)
    print(trained.description, file=sys.stderr)
    targets = [image_for(trained, image) for image in images]
    styles = None if kind is SpaceKind.z else _style_space(trained, kind=kind, label=chosen, seed=seed)
    progress = ProgressReport(images=len(images) * steps, what="projecting", of="steps")
    with repeatable():
        for place, (name, target) in enumerate(zip(names, targets, strict=True)):
            found = projected(
                styles or _latent_space(trained, target, label=chosen, distance=measure, seed=seed),
                target,
                distance=measure,
                steps=steps,
                learning_rate=learning_rate,
                seed=seed,
                report=lambda done, before=place * steps: progress.report(before + done),  # type: ignore[misc]
            )
            _write(found, target, kind=kind, distance=distance, folder=folder / name, overwrite=overwrite)


FILES = ("projected.png", "compared.png", "latent.npz", "distances.csv")
"""The files that are written for each image."""


def _one_class(label: str, *, trained: TrainedModel) -> int:
    chosen = chosen_classes(label, trained=trained, option="label")
    if len(chosen) != 1:
        raise ValueError(f"label={label} are {len(chosen)} classes; give one")
    return chosen[0]


def _style_space(trained: TrainedModel, *, kind: SpaceKind, label: int | None, seed: int) -> StyleSpace:
    return StyleSpace(trained, label=label, each_layer=kind is SpaceKind.w_plus, seed=seed, asker=f"space={kind.value}")


def _latent_space(
    trained: TrainedModel, target: Images, *, label: int | None, distance: Distance, seed: int
) -> LatentSpace:
    """z, beginning at the image's code if the model has an encoder. Such models have no classes."""
    if isinstance(trained.model, Autoencoder):
        return LatentSpace(trained, start=trained.model.encode(target, ema=trained.ema), label=None)
    return nearest_latent(trained, target, label=label, distance=distance, seed=seed)


def _write(
    found: Projection, target: Images, *, kind: SpaceKind, distance: DistanceKind, folder: Path, overwrite: bool
) -> None:
    shown = found.space.shown(found.point)
    start = found.space.shown(found.space.start)
    labels = ["target", f"start: {found.distances[0]:.4g}", f"{kind.value}: {found.distance:.4g}"]
    compared = Table(rows=[torch.cat([to_bytes(target).cpu(), start, shown])], column_labels=labels)
    arrays, table = BytesIO(), StringIO()
    np.savez(arrays, **found.space.saved(found.point))  # type: ignore[arg-type]
    writer = csv.writer(table, lineterminator="\n")
    writer.writerows([("step", distance.value), *enumerate(f"{apart:.8g}" for apart in found.distances)])
    contents = (
        png_bytes(image_grid(shown, columns=1)),
        png_bytes(compared.drawn()),
        arrays.getvalue(),
        table.getvalue().encode(),
    )
    for file, content in zip(FILES, contents, strict=True):
        write_new(folder / file, content, overwrite=overwrite)
    print(f"{folder}: {distance.value} distance {found.distances[0]:.4g} at the start, {found.distance:.4g} projected")
