"""A 3-D autoencoder of volumes in the style of medical imaging projects, with a patch critic that R1 regularizes.

The game: a batch is a dictionary, `{"image": batch 1 depth height width}`. The autoencoder returns a reconstruction, a
mean and a standard deviation of its codes, and steps first. The critic returns the list of its features, whose last
entry is the map of scores, and steps second. In the first `WARM_UP_EPOCHS`, the critic is not called and does not step.

Added from this package: the function `callbacks`, and its list in the Trainer. `generator="autoencoder"` is the network
whose output the critic judges, and `scores.last` says which part of the critic's list is scored. R1 waits for nothing:
it is added to the steps that the critic takes, from the first one on. The penalty is a sum over all voxels and patches,
so that gamma must be smaller for larger volumes.

To change for a real project: your volumes, MONAI's networks (their critics return such lists), a perceptual loss on
slices, a warm-up of some epochs, mixed precision, and every_n_turns=16, because the second derivatives of 3-D
convolutions cost most.
"""

import torch
import torch.nn.functional as F
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.utils.data import DataLoader, Dataset

from lightning_gan.callbacks import EMA, R1
from lightning_gan.foreign import scores

WARM_UP_EPOCHS = 2


def callbacks() -> tuple[R1, EMA]:
    """What this package adds to the project."""
    r1 = R1(gamma=0.1, every_n_turns=4, generator="autoencoder", scores=scores.last)
    return r1, EMA(half_life_kimg=0.1, generator="autoencoder")


class Phantoms(Dataset[dict[str, Tensor]]):
    """A bright ellipsoid with a dark kernel, in a noisy volume in [0, 1]."""

    def __init__(self, count: int = 64, size: int = 16, seed: int = 0) -> None:
        random = torch.Generator().manual_seed(seed)
        axis = torch.linspace(-1, 1, size)
        grid = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"))
        centre = 0.6 * torch.rand(count, 3, 1, 1, 1, generator=random) - 0.3
        radii = 0.4 + 0.4 * torch.rand(count, 3, 1, 1, 1, generator=random)
        distance = ((grid - centre) / radii).square().sum(1, keepdim=True)
        body = 0.8 * (distance < 1) - 0.5 * (distance < 0.15)
        self.volumes = (0.1 + body + 0.02 * torch.randn(body.shape, generator=random)).clamp(0, 1)

    def __len__(self) -> int:
        return len(self.volumes)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"image": self.volumes[index]}


class AutoencoderKL(nn.Module):
    def __init__(self, width: int = 16, latent_channels: int = 4) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            *(nn.Conv3d(1, width, 4, 2, 1), nn.SiLU(), nn.Conv3d(width, width, 4, 2, 1), nn.SiLU()),
            nn.Conv3d(width, 2 * latent_channels, 1),
        )
        self.decoder = nn.Sequential(
            *(nn.Conv3d(latent_channels, width, 3, 1, 1), nn.SiLU()),
            *(nn.ConvTranspose3d(width, width, 4, 2, 1), nn.SiLU()),
            *(nn.ConvTranspose3d(width, width, 4, 2, 1), nn.SiLU(), nn.Conv3d(width, 1, 3, 1, 1)),
        )

    def encode(self, volumes: Tensor) -> tuple[Tensor, Tensor]:
        z_mu, z_log_sigma = self.encoder(volumes).chunk(2, 1)
        return z_mu, z_log_sigma.clamp(-10, 5).exp()

    def forward(self, volumes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        z_mu, z_sigma = self.encode(volumes)
        return self.decoder(z_mu + z_sigma * torch.randn_like(z_sigma)), z_mu, z_sigma


class PatchDiscriminator(nn.Module):
    def __init__(self, width: int = 16) -> None:
        super().__init__()
        middle = nn.Conv3d(width, 2 * width, 4, 2, 1, bias=False), nn.InstanceNorm3d(2 * width), nn.LeakyReLU(0.2)
        self.initial = nn.Sequential(nn.Conv3d(1, width, 4, 2, 1), nn.LeakyReLU(0.2))
        self.middle = nn.Sequential(*middle)
        self.final = nn.Conv3d(2 * width, 1, 3, 1, 1)

    def forward(self, volumes: Tensor) -> list[Tensor]:
        first = self.initial(volumes)
        second = self.middle(first)
        return [first, second, self.final(second)]


class VolumeAutoencoder(LightningModule):
    def __init__(self, kl_weight: float = 1e-5, adv_weight: float = 0.01) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.kl_weight, self.adv_weight = kl_weight, adv_weight
        self.autoencoder = AutoencoderKL()
        self.discriminator = PatchDiscriminator()

    def discriminator_loss(self, reconstruction: Tensor, images: Tensor) -> Tensor:
        logits_fake = self.discriminator(reconstruction)[-1]
        logits_real = self.discriminator(images)[-1]
        return (logits_fake.square().mean() + (logits_real - 1).square().mean()) / 2

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        optimizer_g, optimizer_d = self.optimizers()  # type: ignore[attr-defined]
        images, is_warm = batch["image"], self.current_epoch >= WARM_UP_EPOCHS

        optimizer_g.zero_grad(set_to_none=True)
        reconstruction, z_mu, z_sigma = self.autoencoder(images)
        kl_loss = 0.5 * (z_mu.square() + z_sigma.square() - 2 * z_sigma.log() - 1).sum((1, 2, 3, 4)).mean()
        loss_g = F.l1_loss(reconstruction, images) + self.kl_weight * kl_loss
        if is_warm:
            logits_fake = self.discriminator(reconstruction.contiguous())[-1]
            loss_g = loss_g + self.adv_weight * (logits_fake - 1).square().mean()
        self.manual_backward(loss_g)
        optimizer_g.step()

        if is_warm:
            optimizer_d.zero_grad(set_to_none=True)
            loss_d = self.discriminator_loss(reconstruction.contiguous().detach(), images.contiguous().detach())
            self.manual_backward(loss_d)
            optimizer_d.step()

    def configure_optimizers(self) -> list[Optimizer]:
        return [Adam(self.autoencoder.parameters(), lr=2e-3), Adam(self.discriminator.parameters(), lr=1e-3)]


def main(epochs: int = 10) -> None:
    torch.manual_seed(0)
    model, added = VolumeAutoencoder(), callbacks()
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    trainer = Trainer(max_epochs=epochs, callbacks=[*added], accelerator="cpu", **quiet)
    trainer.fit(model, DataLoader(Phantoms(), 4, shuffle=True))
    held_out = Phantoms(16, seed=1).volumes
    with torch.no_grad(), added[-1].applied(model):
        error = F.l1_loss(model.autoencoder(held_out)[0], held_out)
    print(f"held-out volumes: L1 error {error:.3f} with averaged weights")


if __name__ == "__main__":
    main()
