"""An image tokenizer in the style of VQGAN, with a patch critic that R1 and LeCam regularize, and averaged weights.

The game: a batch is a dictionary of channels-last images, `{"image": NHWC in [-1, 1]}`. The autoencoder steps first,
the critic second, on the same reconstruction, detached. The adversarial loss of the autoencoder is weighted by a ratio
of gradient norms at the last layer of the decoder. In the first `DISC_START` steps, the critic's loss is multiplied by
0.

Added from this package: the function `callbacks`, and its list in the Trainer. Nothing in the module knows of it. R1
and LeCam start together with the critic's loss. `generator="decoder"` names the network whose output the critic judges.
EMA averages the weights of the encoder, the quantizer and the decoder.

To change for a real project: your images, wider networks with attention, LPIPS beside the L1 loss, DISC_START near
50,000 (it counts the steps of both optimizers), a smaller gamma for larger images, and every_n_turns=16 for R1.
"""

import torch
import torch.nn.functional as F
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.utils.data import DataLoader, Dataset

from lightning_gan.callbacks import EMA, R1, LeCam

DISC_START = 150  # in steps of both optimizers, as `global_step` counts them
CODES, CODE_CHANNELS = 64, 8


def callbacks() -> tuple[R1, LeCam, EMA]:
    """What this package adds to the project."""
    return (
        R1(gamma=0.1, every_n_turns=2, start_step=DISC_START, generator="decoder"),
        LeCam(weight=0.1, decay=0.9, start_step=DISC_START, generator="decoder"),
        EMA(half_life_kimg=0.2, generator=["encoder", "quantize", "decoder"]),
    )


class Discs(Dataset[dict[str, Tensor]]):
    """Coloured discs on coloured grounds: images `height width channels` in [-1, 1]."""

    def __init__(self, count: int = 512, size: int = 32, seed: int = 0) -> None:
        random = torch.Generator().manual_seed(seed)
        y, x = torch.meshgrid(torch.linspace(-1, 1, size), torch.linspace(-1, 1, size), indexing="ij")
        place = torch.rand(count, 2, 1, 1, generator=random) - 0.5
        radius = 0.2 + 0.4 * torch.rand(count, 1, 1, generator=random)
        inside = ((x - place[:, 0]) ** 2 + (y - place[:, 1]) ** 2 < radius**2)[..., None]
        disc, ground = 1.6 * torch.randint(2, (2, count, 1, 1, 3), generator=random) - 0.8
        self.images = torch.where(inside, disc, ground)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"image": self.images[index]}


class VectorQuantizer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(CODES, CODE_CHANNELS)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        z, codes = F.normalize(z, dim=1), F.normalize(self.embedding.weight, dim=1)
        indices = torch.einsum("bchw,kc->bhwk", z, codes).argmax(-1)
        z_q = codes[indices].permute(0, 3, 1, 2)
        loss = F.mse_loss(z_q, z.detach()) + 0.25 * F.mse_loss(z_q.detach(), z)
        return z + (z_q - z).detach(), loss, indices


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(CODE_CHANNELS, 64, 3, padding=1)
        self.up = nn.ModuleList([nn.ConvTranspose2d(64, 32, 4, 2, 1), nn.ConvTranspose2d(32, 32, 4, 2, 1)])
        self.conv_out = nn.Conv2d(32, 3, 3, padding=1)

    def forward(self, z_q: Tensor) -> Tensor:
        h = F.silu(self.conv_in(z_q))
        for up in self.up:
            h = F.silu(up(h))
        return self.conv_out(h)


class VQGAN(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.encoder = nn.Sequential(
            *(nn.Conv2d(3, 32, 4, 2, 1), nn.SiLU(), nn.Conv2d(32, 64, 4, 2, 1), nn.SiLU()),
            nn.Conv2d(64, CODE_CHANNELS, 3, padding=1),
        )
        self.quantize = VectorQuantizer()
        self.decoder = Decoder()
        self.discriminator = nn.Sequential(
            *(nn.Conv2d(3, 32, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(32, 64, 4, 2, 1), nn.LeakyReLU(0.2)),
            nn.Conv2d(64, 1, 4, 1, 1),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        z_q, codebook_loss, _ = self.quantize(self.encoder(x))
        return self.decoder(z_q), codebook_loss

    def adaptive_weight(self, rec_loss: Tensor, g_loss: Tensor) -> Tensor:
        last = self.decoder.conv_out.weight
        (rec_grad,) = torch.autograd.grad(rec_loss, last, retain_graph=True)
        (g_grad,) = torch.autograd.grad(g_loss, last, retain_graph=True)
        return (rec_grad.norm() / (g_grad.norm() + 1e-4)).clamp(0, 1e4).detach()

    def discriminator_loss(self, x: Tensor, x_rec: Tensor) -> Tensor:
        return (F.relu(1 - self.discriminator(x)).mean() + F.relu(1 + self.discriminator(x_rec)).mean()) / 2

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        opt_ae, opt_disc = self.optimizers()  # type: ignore[attr-defined]
        x = batch["image"].permute(0, 3, 1, 2)
        x_rec, codebook_loss = self(x)

        rec_loss = F.l1_loss(x_rec, x)
        g_loss = -self.discriminator(x_rec).mean()
        disc_factor = float(self.global_step >= DISC_START)
        weight = self.adaptive_weight(rec_loss, g_loss)
        opt_ae.zero_grad()
        self.manual_backward(rec_loss + codebook_loss + 0.1 * disc_factor * weight * g_loss)
        opt_ae.step()

        disc_factor = float(self.global_step >= DISC_START)
        opt_disc.zero_grad()
        self.manual_backward(disc_factor * self.discriminator_loss(x, x_rec.detach()))
        opt_disc.step()

    def configure_optimizers(self) -> list[Optimizer]:
        autoencoder = nn.ModuleList([self.encoder, self.quantize, self.decoder])
        return [Adam(network.parameters(), lr=3e-3, betas=(0.5, 0.9)) for network in (autoencoder, self.discriminator)]


def main(batches: int = 200) -> None:
    torch.manual_seed(0)
    model, added = VQGAN(), callbacks()
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    trainer = Trainer(max_steps=2 * batches, callbacks=[*added], accelerator="cpu", **quiet)
    trainer.fit(model, DataLoader(Discs(), 16, shuffle=True))
    held_out = Discs(64, seed=1).images.permute(0, 3, 1, 2)
    with torch.no_grad(), added[-1].applied(model):
        x_rec, _ = model(held_out)
        used = model.quantize(model.encoder(held_out))[2].unique().numel()
    error = F.l1_loss(x_rec, held_out)
    print(f"held-out images: L1 error {error:.3f} with averaged weights, {used} of {CODES} codes used")


if __name__ == "__main__":
    main()
