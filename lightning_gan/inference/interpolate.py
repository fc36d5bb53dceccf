"""Writes the images between several latents or images: the work of the command `interpolate`."""

import sys
from collections.abc import Iterator, Sequence
from enum import Enum
from pathlib import Path

import torch

from lightning_gan.callbacks.figures.pictures import Grid, Table, image_grid
from lightning_gan.data.progress_report import ProgressReport
from lightning_gan.inference.chosen_classes import chosen_classes
from lightning_gan.inference.images_in import image_for, paths_in
from lightning_gan.inference.images_out import check_absent, check_size, png_bytes, write_new
from lightning_gan.inference.keyframes import (
    CodeKeyframes,
    Keyframes,
    LatentKeyframes,
    StyleKeyframes,
    labels_of,
    places,
)
from lightning_gan.inference.mixed_styles import style_mixing
from lightning_gan.inference.number_lists import whole_numbers
from lightning_gan.inference.trained_model import Device, TrainedModel, trained_model
from lightning_gan.inference.videos import gif_rate, require_av, write_gif, write_mp4
from lightning_gan.tensors.numbers import check_at_least
from lightning_gan.tensors.shapes import ImageBytes

ENLARGED = 512
"""Height and width in pixels that the frames of videos and animations of small images are enlarged to, at most."""


class Space(Enum):
    """The space of the paths."""

    z = "z"
    """The latents."""

    w = "w"
    """The styles of a StyleGAN."""


class Kind(Enum):
    """What a file shows, by its ending."""

    strip = ".png"
    gif = ".gif"
    mp4 = ".mp4"


def kind_of(path: Path) -> Kind:
    """What the user wants in a file.

    Args:
        path: path of the file.

    Raises:
        ValueError: for another ending.
    """
    for kind in Kind:
        if path.suffix.lower() == kind.value:
            return kind
    raise ValueError(
        f"{path} must end in {', '.join(kind.value for kind in Kind)}: a video, an animation, or a strip of frames"
    )


def interpolate(
    checkpoint: str,
    out: str,
    *,
    seeds: str | None = None,
    images: str | None = None,
    space: Space = Space.z,
    loop: bool = False,
    frames: int | None = None,
    fps: int = 30,
    rows: int = 1,
    columns: int = 1,
    classes: str | None = None,
    truncation: float = 1.0,
    mix: str | None = None,
    mix_seeds: str | None = None,
    ema: bool = True,
    device: Device = Device.auto,
    overwrite: bool = False,
) -> None:
    """Write the images between several seeds: a video, an animation, or a strip of frames.

    The ending of OUT decides: .mp4 is a video (it needs the package av), .gif an animation, .png a strip with the
    frames side by side. Every frame is computed alone and has the noise that is stored with the weights, so that the
    same command writes the same images. With --images, the paths go through the codes of image files, for models with
    an encoder. With --mix, OUT.png is a table of mixed styles, as figure 3 of StyleGAN.

    Args:
        checkpoint: a checkpoint file, the folder of a run such as runs/stylegan, or its folder of checkpoints.
        out: the file, which ends in .mp4, .gif or .png.
        seeds: seeds of the keyframes, such as 0-7 or 1,5,7; those of `generate`. Several paths get equal parts of them.
            By default 0-3 for one path.
        images: image files as keyframes, such as a.png,b.png, in place of seeds.
        space: z follows the paths of the model's prior; w, for StyleGAN, straight lines between styles.
        loop: go back to the first keyframe at the end.
        frames: number of frames from one keyframe to the next. By default 60, and 7 in a strip.
        fps: frames per second of a video or an animation.
        rows: number of rows of paths that are shown at once.
        columns: number of paths per row; a strip has a row for each path.
        classes: class of all keyframes, or one for each, such as 3 or 0-7. Between classes, the rows of the labels are
            interpolated. By default the classes of `generate`, seed modulo the number of classes.
        truncation: strength of the truncation trick, for models that have one. 1 does not truncate.
        mix: layers, such as 0-3, that take their styles from the seeds of --mix_seeds, for StyleGAN. The rows of the
            table are images of --seeds.
        mix_seeds: seeds of the columns of the table of --mix, such as 10-15.
        ema: use averaged weights if the checkpoint has them.
        device: where the networks compute. auto is the GPU if there is one.
        overwrite: replace the file if it exists.

    Raises:
        ValueError: for settings that do not fit the model or each other, and if the file exists.
        ImportError: for a video if the package av is not installed.
    """
    path = Path(out)
    kind = kind_of(path)
    if kind is Kind.mp4:
        require_av()
    check_at_least(1, rows=rows, columns=columns, frames=frames, fps=fps)
    if kind is Kind.gif:
        rate = gif_rate(fps)
        if rate != fps:
            print(f"{path}: GIF files count in hundredths of seconds, so that it has {rate:.3g} fps", file=sys.stderr)
    _check_choice(seeds=seeds, images=images, space=space, classes=classes, mix=mix, mix_seeds=mix_seeds, kind=kind)
    check_absent(path, overwrite=overwrite)
    trained = trained_model(checkpoint, device=device, ema=ema)
    print(trained.description, file=sys.stderr)
    if mix is not None and mix_seeds is not None:
        table = style_mixing(
            trained,
            layers=mix,
            seeds=whole_numbers(seeds or "0-3", option="seeds"),
            mix_seeds=whole_numbers(mix_seeds, option="mix_seeds"),
            classes=None if classes is None else chosen_classes(classes, trained=trained),
            truncation=truncation,
        )
        write_new(path, png_bytes(table.drawn()), overwrite=overwrite)
        print(f"wrote a table of mixed styles to {path}")
        return
    keyframes = _keyframes(
        trained, seeds=seeds, images=images, space=space, classes=classes, truncation=truncation, paths=rows * columns
    )
    count = len(keyframes) // (rows * columns)
    steps = list(places(count, frames=frames or (7 if kind is Kind.strip else 60), loop=loop))
    if kind is Kind.strip:
        _, height, width = trained.image_shape
        check_size(rows=rows * columns, columns=len(steps), height=height, width=width)
        write_new(path, png_bytes(strip_of(keyframes, steps, paths=rows * columns)), overwrite=overwrite)
    else:
        writer = write_mp4 if kind is Kind.mp4 else write_gif
        shown_frames = _frames(keyframes, steps, paths=rows * columns)
        writer(path, _grids(trained, shown_frames, rows=rows, columns=columns), fps=fps)
    print(f"wrote {len(steps)} frames to {path}")


def _check_choice(
    *,
    seeds: str | None,
    images: str | None,
    space: Space,
    classes: str | None,
    mix: str | None,
    mix_seeds: str | None,
    kind: Kind,
) -> None:
    """Check that the options fit each other.

    Raises:
        ValueError: if they do not.
    """
    if images is not None and (seeds or classes or mix or space is Space.w):
        raise ValueError("images are keyframes in the space of codes; leave out --seeds, --classes, --mix and --space")
    if (mix is None) != (mix_seeds is None):
        raise ValueError("mix and mix_seeds belong together: give --mix 0-3 --mix_seeds 10-15, or neither")
    if mix is not None and kind is not Kind.strip:
        raise ValueError(
            f"mix draws a table, which is a .png file; give another name than one that ends in {kind.value}"
        )


def _keyframes(
    trained: TrainedModel,
    *,
    seeds: str | None,
    images: str | None,
    space: Space,
    classes: str | None,
    truncation: float,
    paths: int,
) -> Keyframes:
    if images is not None:
        if truncation != 1.0:
            raise ValueError(f"truncation={truncation} is for seeds; leave it out with --images")
        trained.autoencoder(asker="images")
        files = paths_in(images, option="images")
        _check_count(len(files), paths=paths, what="images")
        return CodeKeyframes(trained, images=[image_for(trained, file) for file in files])
    numbers = whole_numbers(seeds or f"0-{4 * paths - 1}", option="seeds")
    _check_count(len(numbers), paths=paths, what="seeds")
    chosen = None if classes is None else chosen_classes(classes, trained=trained)
    labels = labels_of(trained, numbers, chosen)
    kind = StyleKeyframes if space is Space.w else LatentKeyframes
    return kind(trained, seeds=numbers, labels=labels, truncation=truncation)


def _check_count(count: int, *, paths: int, what: str) -> None:
    if count % paths or count // paths < 2:
        raise ValueError(
            f"{what}: {count} keyframes for {paths} path{'s' * (paths > 1)} (rows x columns); give "
            f"{2 * paths}, {3 * paths}, {4 * paths} ..., which are at least 2 for each path"
        )


def strip_of(keyframes: Keyframes, steps: Sequence[tuple[int, int, float]], *, paths: int) -> Grid:
    """The picture of all frames side by side, with a row for each path.

    Args:
        keyframes: the keyframes. The paths get equal parts of them, in order.
        steps: the way through the keyframes of a path, see `places`.
        paths: number of paths.
    """
    by_path = torch.stack(list(_frames(keyframes, steps, paths=paths)), dim=1)  # paths frames channels height width
    return Table(rows=list(by_path)).drawn()


def _frames(keyframes: Keyframes, steps: Sequence[tuple[int, int, float]], *, paths: int) -> Iterator[ImageBytes]:
    """The images of all paths, `paths channels height width`, for each frame."""
    count = len(keyframes) // paths
    progress = ProgressReport(images=len(steps) * paths, what="interpolating")
    for number, (first, second, place) in enumerate(steps, start=1):
        yield torch.cat(
            [keyframes.between(path * count + first, path * count + second, place=place) for path in range(paths)]
        )
        progress.report(number * paths)


def _grids(trained: TrainedModel, frames: Iterator[ImageBytes], *, rows: int, columns: int) -> Iterator[Grid]:
    """The picture of every frame. Small images are enlarged by a whole factor, to at most `ENLARGED` pixels."""
    _, height, width = trained.image_shape
    factor = max(ENLARGED // max(rows * height, columns * width), 1)
    return (image_grid(images, columns=columns, factor=factor) for images in frames)
