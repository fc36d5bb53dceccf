"""Image translation in the style of pix2pix, with a conditional patch critic that R1 regularizes, and averaged weights.

The game: a batch is a dictionary of pairs, `{"A": condition, "B": image}`. The critic is given both in one tensor,
concatenated along channels, `netD(torch.cat([A, B], 1))`. It steps first, and scores the fake pair before the real one.
The generator, a small U-Net, steps second, while the critic's parameters do not require gradients.

Added from this package: the function `callbacks`, and its list in the Trainer. Neither pair lies in the memory of the
batch or of the generator any more, so that R1 is told that the second call of the critic's turn is the real one:
`real=1`. If the number of calls changes, mark the images in the step instead: `from lightning_gan import real`, then
`self.netD(real(torch.cat([A, B], 1)))`. R1 differentiates by the whole pair, condition included. For the slope by the
image alone, let the critic concatenate: `netD(A, B)` with `image=` and the name of its second argument.

To change for a real project: pairs from files with flips and crops, a U-Net with eight levels, L1 with weight 100, a
learning rate of 2e-4 that decays, and every_n_turns=16. Batch normalization in the critic would falsify R1; instance
norm does not.
"""

import torch
import torch.nn.functional as F
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.utils.data import DataLoader, Dataset

from lightning_gan.callbacks import EMA, R1


def callbacks() -> tuple[R1, EMA]:
    """What this package adds to the project."""
    r1 = R1(gamma=0.1, every_n_turns=2, discriminator="netD", generator="netG", real=1)
    return r1, EMA(half_life_kimg=0.2, generator="netG")


class Facades(Dataset[dict[str, Tensor]]):
    """A: the edges of two rectangles. B: the rectangles, filled with a pattern of stripes. Both are in [-1, 1]."""

    def __init__(self, count: int = 256, size: int = 32, seed: int = 0) -> None:
        random = torch.Generator().manual_seed(seed)
        y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
        corner = torch.randint(2, size // 2, (2, 2, count, 1, 1), generator=random)
        extent = torch.randint(6, size // 2, (2, 2, count, 1, 1), generator=random)
        depth = torch.minimum(
            torch.minimum(x - corner[0], corner[0] + extent[0] - x),
            torch.minimum(y - corner[1], corner[1] + extent[1] - y),
        ).amax(0)  # of the deeper rectangle, in pixels; negative outside
        self.edges = (depth == 0).float()[:, None] * 2 - 1
        stripes = torch.sin(0.8 * (x + y)) * 0.4 + 0.5
        colour = torch.tensor([0.9, -0.2, -0.6]).view(3, 1, 1)
        self.images = torch.where((depth >= 0)[:, None], stripes * colour, -stripes * colour)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"A": self.edges[index], "B": self.images[index]}


def block(inputs: int, outputs: int, *, up: bool = False) -> nn.Sequential:
    kind = nn.ConvTranspose2d if up else nn.Conv2d
    return nn.Sequential(kind(inputs, outputs, 4, 2, 1, bias=False), nn.InstanceNorm2d(outputs), nn.LeakyReLU(0.2))


class UNet(nn.Module):
    def __init__(self, width: int = 24) -> None:
        super().__init__()
        self.down1, self.down2, self.down3 = block(1, width), block(width, 2 * width), block(2 * width, 2 * width)
        self.up3, self.up2 = block(2 * width, 2 * width, up=True), block(4 * width, width, up=True)
        self.dropout = nn.Dropout(0.5)  # in place of a latent
        self.up1 = nn.ConvTranspose2d(2 * width, 3, 4, 2, 1)

    def forward(self, condition: Tensor) -> Tensor:
        d1 = self.down1(condition)
        d2 = self.down2(d1)
        u3 = self.dropout(self.up3(self.down3(d2)))
        u2 = self.up2(torch.cat([u3, d2], 1))
        images: Tensor = self.up1(torch.cat([u2, d1], 1)).tanh()
        return images


class Pix2Pix(LightningModule):
    def __init__(self, l1_weight: float = 20.0) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.l1_weight = l1_weight
        self.netG = UNet()
        self.netD = nn.Sequential(
            *(nn.Conv2d(4, 32, 4, 2, 1), nn.LeakyReLU(0.2)),
            *(nn.Conv2d(32, 64, 4, 2, 1, bias=False), nn.InstanceNorm2d(64), nn.LeakyReLU(0.2)),
            nn.Conv2d(64, 1, 4, 1, 1),
        )

    def criterion(self, scores: Tensor, is_real: bool) -> Tensor:
        return F.binary_cross_entropy_with_logits(scores, torch.full_like(scores, float(is_real)))

    def discriminator_loss(self, fake_pair: Tensor, real_pair: Tensor) -> Tensor:
        return (self.criterion(self.netD(fake_pair), False) + self.criterion(self.netD(real_pair), True)) / 2

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        opt_g, opt_d = self.optimizers()  # type: ignore[attr-defined]
        condition, image = batch["A"], batch["B"]
        fake = self.netG(condition)

        self.netD.requires_grad_(True)
        opt_d.zero_grad()
        pairs = torch.cat([condition, fake.detach()], 1), torch.cat([condition, image], 1)
        self.manual_backward(self.discriminator_loss(*pairs))
        opt_d.step()

        self.netD.requires_grad_(False)
        opt_g.zero_grad()
        g_loss = self.criterion(self.netD(torch.cat([condition, fake], 1)), True)
        self.manual_backward(g_loss + self.l1_weight * F.l1_loss(fake, image))
        opt_g.step()

    def configure_optimizers(self) -> list[Optimizer]:
        return [Adam(net.parameters(), lr=1e-3, betas=(0.5, 0.999)) for net in (self.netG, self.netD)]


def main(batches: int = 250) -> None:
    torch.manual_seed(0)
    model, added = Pix2Pix(), callbacks()
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    trainer = Trainer(max_steps=2 * batches, callbacks=[*added], accelerator="cpu", **quiet)
    trainer.fit(model, DataLoader(Facades(), 8, shuffle=True))
    held_out = Facades(64, seed=1)
    model.eval()
    with torch.no_grad(), added[-1].applied(model):
        error = F.l1_loss(model.netG(held_out.edges), held_out.images)
    mean_image = held_out.images.mean(0).expand_as(held_out.images)
    print(f"held-out pairs: L1 error {error:.3f} with averaged weights")
    print(f"(of the mean image for every condition: {F.l1_loss(mean_image, held_out.images):.3f})")


if __name__ == "__main__":
    main()
