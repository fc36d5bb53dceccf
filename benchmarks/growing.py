"""What growing saves: images per second at every stage, and the whole schedule beside training at the final resolution.

    python benchmarks/growing.py
    python benchmarks/growing.py --model stylegan --image-size 64 --channel-base 512 --channel-max 64
    python benchmarks/growing.py --model pggan --image-size 1024 --channel-base 512 --channel-max 32 --batch 1

The first command measures the network and schedule of `configs/stylegan.yaml`, the others any model of `throughput.py`
with the authors' schedules. The third is PGGAN as its authors grow it, to 1024x1024 within 12 million images, with a
sixteenth of the channels, so that a CPU can. StyleGAN's schedule shows 16.6 of its 25 million images at 1024x1024, and
cannot cost less than 66 %.

A batch is the discriminator's and the generator's turn in the loop of `GAN`, penalties at their intervals included,
without loading data. Stages take turns within one run, so that a slow moment of the machine hits all of them. The cost
of a schedule adds up seconds per image of every stage, stable and fading, times the images that it shows there; the
comparison shows the same images at the final resolution, stable, in batches of the same size. Nothing is said of sizes
that were not measured.
"""

import argparse
import statistics
from collections.abc import Callable

import torch
from lightning.pytorch import Callback
from throughput import MODELS, quiet, seconds_per_batch

from lightning_gan.callbacks import R1
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.settings import Training
from lightning_gan.models import StyleGAN
from lightning_gan.schedules.growth import GrowthSchedule

BATCHES = 4
"""Timed at a stretch, so that each stretch holds one turn with a penalty that is due in every fourth."""

SCHEDULES: dict[str, Callable[[int], tuple[GrowthSchedule, float]]] = {
    "configs/stylegan.yaml": lambda size: (GrowthSchedule(final_resolution=size, hold_kimg=4.0, fade_kimg=4.0), 160.0),
    # StyleGAN on FFHQ begins at 8x8 and ends after 25 million images; PGGAN's begins at 4x4 and ends after 12 million.
    "stylegan": lambda size: (GrowthSchedule(final_resolution=size, start_resolution=8), 25_000.0),
    "pggan": lambda size: (GrowthSchedule(final_resolution=size), 12_000.0),
}
"""Schedules by name: made for an image size, with their thousands of images in total."""


def images_of(schedule: GrowthSchedule, *, total_kimg: float) -> dict[tuple[int, bool], float]:
    """How many images a schedule shows in every phase, a resolution that is fading in (True) or stable."""
    total = 1000 * total_kimg
    ends = (*schedule.stage_starts[1:], total)
    images: dict[tuple[int, bool], float] = {}
    for resolution, start, fade, end in zip(
        schedule.resolutions, schedule.stage_starts, schedule.fade_images, ends, strict=True
    ):
        stable_from = min(start + fade, end, total)
        images[resolution, True] = max(stable_from - start, 0.0)
        images[resolution, False] = max(min(end, total) - stable_from, 0.0)
    return {phase: count for phase, count in images.items() if count > 0}


def digits() -> tuple[GAN, list[Callback]]:
    """Networks and penalty of configs/stylegan.yaml."""
    model = StyleGAN(
        image_size=32,
        image_channels=1,
        latent_dim=64,
        style_dim=64,
        mapping_layers=4,
        mapping_width=64,
        channel_base=256,
        channel_max=64,
    )
    return model, [R1(gamma=5.0, every_n_turns=4)]


def seconds_per_image(
    model: GAN, penalties: list[Callback], *, image_size: int, batch: int, rounds: int
) -> dict[tuple[int, bool], float]:
    """Medians for every (resolution, fading), the phases in turns."""
    sizes = [4 * 2**level for level in range(image_size.bit_length() - 2)]
    phases = [(size, fading) for size in sizes for fading in (True, False) if size > 4 or not fading]
    seconds: dict[tuple[int, bool], list[float]] = {phase: [] for phase in phases}
    for _ in range(rounds):
        for resolution, fading in phases:
            model.grow(resolution, 0.5 if fading else 1.0)
            measured = seconds_per_batch(model, penalties, resolution=resolution, batch=batch, batches=BATCHES)
            seconds[resolution, fading].append(sum(measured) / BATCHES / batch)
    return {phase: statistics.median(values) for phase, values in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=MODELS, help="with the widths below; without it, that of the digits")
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--channel-base", type=int, default=512)
    parser.add_argument("--channel-max", type=int, default=64)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    quiet()
    torch.manual_seed(0)
    if options.model is None:
        if options.image_size != 32:
            parser.error("the model of the digits has 32x32 pixels; give a --model for another --image-size")
        model, penalties = digits()
    else:
        widths = {"channel_base": options.channel_base, "channel_max": options.channel_max}
        model, penalties = MODELS[options.model](options.image_size, widths, Training())
    costs = seconds_per_image(
        model, penalties, image_size=options.image_size, batch=options.batch, rounds=options.rounds
    )
    final = costs[options.image_size, False]
    print("| resolution | phase | img/s | cost of an image |\n|---|---|---|---|")
    for (resolution, fading), cost in costs.items():
        print(f"| {resolution} | {'fading' if fading else 'stable'} | {1 / cost:.1f} | {100 * cost / final:.0f} % |")
    print(
        f"\n| schedule up to {options.image_size} | total kimg | cost beside the same images at {options.image_size} |"
    )
    print("|---|---|---|")
    for name, make in SCHEDULES.items():
        schedule, total_kimg = make(options.image_size)
        shown = images_of(schedule, total_kimg=total_kimg)
        share = sum(count * costs[phase] for phase, count in shown.items()) / (1000 * total_kimg * final)
        print(f"| {name} | {total_kimg:.0f} | {100 * share:.0f} % |")


if __name__ == "__main__":
    main()
