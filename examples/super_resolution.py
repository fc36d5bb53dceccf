"""Super-resolution in the style of ESRGAN, with a conditional critic that R1 regularizes, and averaged weights.

The game: a batch is a pair of tensors, (low, high), with images of 8 and 32 pixels. The critic is given both,
`net_d(low, high)`, and judges whether the high-resolution image belongs to the other. It steps first, on a detached
image. The losses are those of a relativistic average critic, so that the generator's step scores real images too. Its
other loss is the L1 distance of the images and of the features of a frozen network.

Added from this package: the function `callbacks`, and its list in the Trainer. Nothing else is said: `high` is found to
be the argument with images, because the generator's output is given as `high`, and the real ones among them are in the
batch's memory. R1 differentiates by the high-resolution image alone, and gives the low-resolution one again. If the
step cropped or augmented both kinds, it would mark them: `from lightning_gan import fake, real`, then `self.net_d(low,
real(high))`.

To change for a real project: crops of photographs, generator and critic of ESRGAN without batch normalization in the
critic, features of VGG-19 in place of the random network, a generator that was trained with L1 first, and
every_n_turns=16.
"""

import torch
import torch.nn.functional as F
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.utils.data import DataLoader, TensorDataset

from lightning_gan.callbacks import EMA, R1

SCALE = 4


def callbacks() -> tuple[R1, EMA]:
    """What this package adds to the project."""
    names = {"discriminator": "net_d", "generator": "net_g"}
    return R1(gamma=0.1, every_n_turns=2, **names), EMA(half_life_kimg=0.2, generator="net_g")


def textures(count: int = 256, size: int = 32, seed: int = 0) -> TensorDataset:
    """Pairs of low and high resolution: two gratings, left and right of a slanted edge, in [0, 1]."""
    random = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    angle, phase, tint = torch.rand(3, count, 2, 1, 1, generator=random)
    angle, frequency = 3.14159 * angle, 0.3 + 0.4 * tint
    gratings = 0.5 + 0.4 * torch.sin(frequency * (x * angle.cos() + y * angle.sin()) + 6.283 * phase)
    slope, place = torch.rand(2, count, 1, 1, generator=random)
    grey = torch.where(x + slope * (y - size / 2) < size * (0.3 + 0.4 * place), gratings[:, 0], gratings[:, 1])
    high = grey[:, None] * torch.tensor([1.0, 0.8, 0.6]).view(3, 1, 1)
    return TensorDataset(F.avg_pool2d(high, SCALE), high)


class ResidualBlock(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(width, width, 3, 1, 1), nn.Conv2d(width, width, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + 0.2 * self.conv2(F.leaky_relu(self.conv1(x), 0.2))


class Generator(nn.Module):
    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, width, 3, 1, 1), *(ResidualBlock(width) for _ in range(4)))
        self.up = nn.Sequential(nn.Conv2d(width, 3 * SCALE**2, 3, 1, 1), nn.PixelShuffle(SCALE))

    def forward(self, low: Tensor) -> Tensor:
        images: Tensor = self.up(self.body(low)) + F.interpolate(low, scale_factor=SCALE, mode="bilinear")
        return images


class Discriminator(nn.Module):
    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Conv2d(6, width, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(width, 2 * width, 4, 2, 1), nn.LeakyReLU(0.2)),
            *(
                nn.Conv2d(2 * width, 2 * width, 4, 2, 1),
                nn.LeakyReLU(0.2),
                nn.Flatten(),
                nn.Linear(2 * width * 4 * 4, 1),
            ),
        )

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        logits: Tensor = self.layers(torch.cat([F.interpolate(low, scale_factor=SCALE), high], 1))
        return logits


def relativistic_loss(better: Tensor, worse: Tensor) -> Tensor:
    """The cost of scores that should be above, and of others that should be below the mean of the other kind."""
    return (F.softplus(worse.mean() - better).mean() + F.softplus(worse - better.mean()).mean()) / 2


class SuperResolution(LightningModule):
    def __init__(self, content_weight: float = 10.0, adversarial_weight: float = 0.05) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.content_weight, self.adversarial_weight = content_weight, adversarial_weight
        self.net_g = Generator()
        self.net_d = Discriminator()
        self.features = nn.Sequential(nn.Conv2d(3, 32, 3, 2, 1), nn.ReLU(), nn.Conv2d(32, 32, 3, 2, 1))
        self.features.requires_grad_(False)

    def discriminator_loss(self, low: Tensor, high: Tensor, restored: Tensor) -> Tensor:
        return relativistic_loss(self.net_d(low, high), self.net_d(low, restored))

    def training_step(self, batch: list[Tensor], batch_idx: int) -> None:
        opt_d, opt_g = self.optimizers()  # type: ignore[attr-defined]
        low, high = batch
        restored = self.net_g(low)

        opt_d.zero_grad()
        self.manual_backward(self.discriminator_loss(low, high, restored.detach()))
        opt_d.step()

        content = F.l1_loss(restored, high) + F.l1_loss(self.features(restored), self.features(high))
        adversarial = relativistic_loss(self.net_d(low, restored), self.net_d(low, high).detach())
        opt_g.zero_grad()
        self.manual_backward(self.content_weight * content + self.adversarial_weight * adversarial)
        opt_g.step()

    def configure_optimizers(self) -> list[Optimizer]:
        return [Adam(network.parameters(), lr=1e-3, betas=(0.9, 0.99)) for network in (self.net_d, self.net_g)]


def psnr(images: Tensor, wanted: Tensor) -> float:
    return -10 * F.mse_loss(images.clamp(0, 1), wanted).log10().item()


def main(batches: int = 150) -> None:
    torch.manual_seed(0)
    model, added = SuperResolution(), callbacks()
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    trainer = Trainer(max_steps=2 * batches, callbacks=[*added], accelerator="cpu", **quiet)
    trainer.fit(model, DataLoader(textures(), 8, shuffle=True))
    low, high = textures(64, seed=1).tensors
    with torch.no_grad(), added[-1].applied(model):
        ours = psnr(model.net_g(low), high)
    bilinear = psnr(F.interpolate(low, scale_factor=SCALE, mode="bilinear"), high)
    print(f"held-out images: PSNR {ours:.1f} dB with averaged weights, {bilinear:.1f} dB by bilinear interpolation")


if __name__ == "__main__":
    main()
