"""What the loop and Lightning cost: one batch of `GAN` under the Trainer beside the same step written in plain torch.

    python benchmarks/loop_overhead.py

Both train a narrow StyleGAN at 32x32 on the same images with the same losses, R1 every 4th turn
and an EMA, on one thread, in turns within one run. It prints the milliseconds per batch of each and the median of their
ratios.
"""

import argparse
import statistics
import warnings
from collections.abc import Callable

import torch
from alternation import Alternate
from lightning.pytorch import Trainer
from torch import Tensor
from torch.nn.functional import softplus

from lightning_gan.callbacks import EMA, R1
from lightning_gan.data import Digits
from lightning_gan.models import StyleGAN
from lightning_gan.optimizers import GANAdam

BATCH = 16
HALF_LIFE_IMAGES = 5000


def default_model() -> StyleGAN:
    """StyleGAN with twice the feature maps of configs/stylegan.yaml from 8x8 on."""
    torch.manual_seed(0)
    return StyleGAN(
        image_size=32,
        image_channels=1,
        latent_dim=64,
        style_dim=64,
        mapping_layers=4,
        mapping_width=64,
        channel_base=256,
        channel_max=64,
    )


def plain_step(model: StyleGAN, images: Tensor) -> Callable[[], None]:
    """The same game without the package: networks, torch and nothing else."""
    generator, critic, average = model.generator.train(), model.discriminator.train(), model.generator_ema
    critic_adam, generator_adam = GANAdam(critic.parameters()), GANAdam(generator.parameters())
    decay = 0.5 ** (BATCH / HALF_LIFE_IMAGES)
    turns = 0

    def step() -> None:
        nonlocal turns
        offset = (turns * BATCH) % (len(images) - BATCH)
        real = images[offset : offset + BATCH].float() / 127.5 - 1
        real = real.contiguous(memory_format=torch.channels_last).requires_grad_(turns % 4 == 0)
        with torch.no_grad():
            fake = generator(torch.randn(BATCH, 64))
        critic_adam.zero_grad()
        real_logits = critic(real)
        loss = softplus(-real_logits).mean() + softplus(critic(fake)).mean()
        if turns % 4 == 0:
            (gradient,) = torch.autograd.grad(real_logits.sum(), real, create_graph=True)
            loss = loss + 0.5 * 4 * gradient.square().sum(dim=(1, 2, 3)).mean()
        loss.backward()
        critic_adam.step()
        critic.requires_grad_(False)
        generator_adam.zero_grad()
        softplus(-critic(generator(torch.randn(BATCH, 64)))).mean().backward()
        generator_adam.step()
        critic.requires_grad_(True)
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), list(generator.parameters()), 1 - decay)
        turns += 1

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=240, help="batches of each, after 20 that are not counted")
    batches = parser.parse_args().batches
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    data = Digits(labels=False, batch_size=BATCH)
    images = data.source.read(torch.arange(5000), resolution=32)
    alternate = Alternate(plain_step(default_model(), images))
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=-1,
        max_steps=batches + 20,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        # The alternation comes last, so that the EMA counts.
        callbacks=[R1(gamma=1.0, every_n_turns=4), EMA(half_life_kimg=HALF_LIFE_IMAGES / 1000), alternate],
    )
    trainer.fit(default_model(), data)
    # In fours, so that every sample holds one turn with R1.
    ours = [sum(alternate.trainer_seconds[i : i + 4]) / 4 for i in range(20, batches + 20, 4)]
    plain = [sum(alternate.step_seconds[i : i + 4]) / 4 for i in range(20, batches + 20, 4)]
    ratio = statistics.median(a / b for a, b in zip(ours, plain, strict=True))
    print(f"{'':24}{'ms per batch':>14}{'images/s':>10}")
    for name, seconds in (("plain torch", plain), ("GAN under the Trainer", ours)):
        median = statistics.median(seconds)
        print(f"{name:24}{1000 * median:14.1f}{BATCH / median:10.0f}")
    print(f"overhead of the loop: {100 * (ratio - 1):+.1f} %  (median of {len(ours)} paired ratios)")


if __name__ == "__main__":
    main()
