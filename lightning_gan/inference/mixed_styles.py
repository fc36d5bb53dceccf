"""Style mixing: images of sources A, some of whose layers take their styles from sources B."""

from collections.abc import Sequence

import torch

from lightning_gan.callbacks.figures.pictures import Table
from lightning_gan.data.progress_report import ProgressReport
from lightning_gan.inference.images_out import check_size
from lightning_gan.inference.keyframes import labels_of, styles_of
from lightning_gan.inference.number_lists import whole_numbers
from lightning_gan.inference.trained_model import TrainedModel


def style_layers(text: str, *, trained: TrainedModel, option: str) -> list[int]:
    """The layers that a text lists, which are layers of the model at its active resolution.

    Args:
        text: numbers of layers from 0, such as 0-3.
        trained: the model, which has styles.
        option: name of the option that the text was given for, for messages.

    Raises:
        ValueError: if the model has no styles or no such layers.
    """
    resolutions = trained.style_based(asker=option).style_resolutions
    layers = whole_numbers(text, option=option, most=len(resolutions))
    if max(layers) >= len(resolutions):
        raise ValueError(
            f"{option}: there is no layer {max(layers)}; the layers are 0 to {len(resolutions) - 1}, of the "
            f"resolutions {', '.join(map(str, resolutions))}"
        )
    return layers


def style_mixing(
    trained: TrainedModel,
    *,
    layers: str,
    seeds: Sequence[int],
    mix_seeds: Sequence[int],
    classes: Sequence[int] | None,
    truncation: float,
) -> Table:
    """A table of mixed styles, as figure 3 of StyleGAN (Karras et al. 2019, arXiv:1812.04948).

    The first column shows the images of sources A, and the first row those of sources B. The others have the styles of
    A, and in some layers those of B.

    Args:
        trained: the model, which has styles.
        layers: numbers of the layers that take the styles of B, such as 0-3.
        seeds: seeds of the sources A.
        mix_seeds: seeds of the sources B.
        classes: class of all sources, or one for each source of A and then of B; None takes those of `generate`.
        truncation: strength of the truncation trick, for all styles.

    Raises:
        ValueError: if the model has no styles or no such layers.
    """
    chosen = style_layers(layers, trained=trained, option="mix")
    resolutions = trained.style_based(asker="mix").style_resolutions
    both = [*seeds, *mix_seeds]
    styles = styles_of(trained, both, labels_of(trained, both, classes), truncation=truncation, asker="mix")
    channels, height, width = trained.image_shape
    check_size(rows=1 + len(seeds), columns=1 + len(mix_seeds), height=height, width=width)
    from_b = torch.zeros(styles.shape[1], 1, dtype=torch.bool, device=styles.device)
    from_b[chosen] = True
    progress = ProgressReport(images=(1 + len(seeds)) * (1 + len(mix_seeds)) - 1, what="mixing styles")
    done = 0
    blank = torch.full((1, channels, height, width), 255, dtype=torch.uint8)
    rows = []
    for row in [None, *range(len(seeds))]:
        images = []
        for column in [None, *range(len(seeds), len(both))]:
            if row is None and column is None:
                images.append(blank)
                continue
            source = [styles[one] for one in (row, column) if one is not None]
            mixed = source[0] if len(source) == 1 else torch.where(from_b, source[1], source[0])
            images.append(trained.styled_image(mixed[None], what=f"the mixture of row {row} and column {column}"))
            done += 1
            progress.report(done)
        rows.append(torch.cat(images))
    span = sorted({resolutions[layer] for layer in chosen})
    where = " to ".join(dict.fromkeys(map(trained.size_at, (span[0], span[-1]))))
    return Table(
        rows=rows,
        row_labels=["", *(f"seed {seed}" for seed in seeds)],
        column_labels=["", *(f"seed {seed}" for seed in mix_seeds)],
        gaps_above=[1],
        gaps_left=[1],
        corner=f"layers {layers}\n({where})\nfrom above",
    )
