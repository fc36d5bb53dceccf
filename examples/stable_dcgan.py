"""A plain DCGAN, made stable by three callbacks: R1, instance noise, and averaged weights.

The game: that of PyTorch's tutorial. A batch is (images, labels), of which labels are not used. Fakes are made once per
batch. The critic `netD` steps first, on real images and detached fakes. The generator `netG` steps second, on the same
fakes.

Added from this package: the function `callbacks`, and its list in the Trainer. Real images are found in the batch's
memory, fakes in the generator's. Every call of the critic sees noise that fades within 12,000 images. R1 differentiates
by the images before noise. With batch normalization in the critic, as in the tutorial, the slope at one image depends
on the others of the batch, and R1 warns. It is group normalization here, the only change in the networks. Batch
normalization in the generator stays: the average of the weights takes its running statistics along.

To change for a real project: your images in [-1, 1], five layers of 64 to 512 channels, a gamma of 0.0002 *
resolution^2 / batch size to begin with, every_n_turns=16, and half_life_kimg=10. `LeCam` in place of noise suits data
sets of a few thousand images.
"""

import torch
import torch.nn.functional as F
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.utils.data import DataLoader, TensorDataset

from lightning_gan.callbacks import EMA, R1, InstanceNoise
from lightning_gan.schedules import LinearDecay

NZ, NGF, NDF = 32, 32, 32


def callbacks() -> tuple[R1, InstanceNoise, EMA]:
    """What this package adds to the project."""
    return (
        R1(gamma=0.5, every_n_turns=2, discriminator="netD", generator="netG"),
        InstanceNoise(standard_deviation=0.1, schedule=LinearDecay(end_kimg=12.0), network="netD"),
        EMA(half_life_kimg=1.0, generator="netG"),
    )


def blobs(count: int = 1024, size: int = 16, seed: int = 0) -> TensorDataset:
    """Grey images of one soft spot of random place, width and brightness in [-1, 1], with a label of their side."""
    random = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.linspace(-1, 1, size), torch.linspace(-1, 1, size), indexing="ij")
    place = torch.rand(count, 2, 1, 1, generator=random) - 0.5
    width = 0.2 + 0.2 * torch.rand(count, 1, 1, generator=random)
    brightness = 1 + torch.rand(count, 1, 1, generator=random)
    spots = brightness * torch.exp(-((x - place[:, 0]) ** 2 + (y - place[:, 1]) ** 2) / (2 * width**2)) - 1
    return TensorDataset(spots[:, None], (place[:, 0, 0, 0] > 0).long())


def weights_init(m: nn.Module) -> None:
    if isinstance(m, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(m.weight, 0.0, 0.02)


class DCGAN(LightningModule):
    def __init__(self, critic_norm: type[nn.Module] | None = None) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.netG = nn.Sequential(
            *(nn.ConvTranspose2d(NZ, 2 * NGF, 4, 1, 0, bias=False), nn.BatchNorm2d(2 * NGF), nn.ReLU()),
            *(nn.ConvTranspose2d(2 * NGF, NGF, 4, 2, 1, bias=False), nn.BatchNorm2d(NGF), nn.ReLU()),
            *(nn.ConvTranspose2d(NGF, 1, 4, 2, 1), nn.Tanh()),
        )
        norm = nn.GroupNorm(4, 2 * NDF) if critic_norm is None else critic_norm(2 * NDF)
        self.netD = nn.Sequential(
            *(nn.Conv2d(1, NDF, 4, 2, 1), nn.LeakyReLU(0.2)),
            *(nn.Conv2d(NDF, 2 * NDF, 4, 2, 1, bias=False), norm, nn.LeakyReLU(0.2)),
            *(nn.Conv2d(2 * NDF, 1, 4, 1, 0), nn.Flatten(0)),
        )
        self.apply(weights_init)

    def noise(self, count: int) -> Tensor:
        return torch.randn(count, NZ, 1, 1, device=self.device)

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        output_real, output_fake = self.netD(real), self.netD(fake)
        errD_real = F.binary_cross_entropy_with_logits(output_real, torch.ones_like(output_real))  # noqa: N806
        errD_fake = F.binary_cross_entropy_with_logits(output_fake, torch.zeros_like(output_fake))  # noqa: N806
        return errD_real + errD_fake

    def training_step(self, batch: list[Tensor], batch_idx: int) -> None:
        optimizerD, optimizerG = self.optimizers()  # type: ignore[attr-defined]  # noqa: N806
        real, _ = batch
        fake = self.netG(self.noise(len(real)))

        optimizerD.zero_grad()
        self.manual_backward(self.discriminator_loss(real, fake.detach()))
        optimizerD.step()

        optimizerG.zero_grad()
        output = self.netD(fake)
        self.manual_backward(F.binary_cross_entropy_with_logits(output, torch.ones_like(output)))
        optimizerG.step()

    def configure_optimizers(self) -> list[Optimizer]:
        return [Adam(network.parameters(), lr=2e-3, betas=(0.5, 0.999)) for network in (self.netD, self.netG)]


def sliced_wasserstein(first: Tensor, second: Tensor) -> float:
    """The mean distance of two sets of images along random directions; 0 for equal distributions."""
    directions = F.normalize(torch.randn(first[0].numel(), 256, generator=torch.Generator().manual_seed(2)), dim=0)
    a, b = ((images.flatten(1) @ directions).sort(0).values for images in (first, second))
    return (a - b).abs().mean().item()


def main(batches: int = 300) -> None:
    torch.manual_seed(0)
    model, added = DCGAN(), callbacks()
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    loader = DataLoader(blobs(), batch_size=64, shuffle=True)
    trainer = Trainer(max_steps=2 * batches, callbacks=[*added], accelerator="cpu", **quiet)
    trainer.fit(model, loader)
    model.eval()
    fresh, others = blobs(seed=1).tensors[0], blobs(seed=2).tensors[0]
    with torch.no_grad():
        noise = model.noise(len(fresh))
        latest = sliced_wasserstein(model.netG(noise), fresh)
        with added[-1].applied(model):
            averaged = sliced_wasserstein(model.netG(noise), fresh)
    print(
        f"distance of samples from real images: {averaged:.3f} with averaged weights, {latest:.3f} with the last ones"
    )
    print(f"(distance between two sets of real images: {sliced_wasserstein(others, fresh):.3f})")


if __name__ == "__main__":
    main()
