"""A generator and a critic that are both transformers, with a relativistic loss and penalties by finite differences.

The game: images are tokens, one for each patch of 4x4 pixels. The generator's tokens are learnt places, and the latent
shifts and scales the normalized tokens of every block; the critic has one more token, from which the score is read.
Transformers of this kind are trained against each other in GAT (Hyun et al. 2025, arXiv:2509.24935), in the latent
space of an autoencoder and much larger. This is a small pair in pixels after that paper's description: its layers,
its guidance at several depths and its learning rates by width are not copied, so that its numbers are not comparable.
It shows how such networks are wired. In 40 seconds of one core the distance to real images halves, and is still large.

Added from this package: the loop (`GAN`), the loss of pairs, the average, and R1 and R2 by finite differences on a
quarter of the batch. These need no second derivative, which attention kernels often do not have.

To change for a real project: WIDTH, DEPTH and the patch size; for latents of an autoencoder, CHANNELS and the data.
Both networks work for any height and width that the patch size divides; here they are 16 and 24.
"""

import torch
from einops.layers.torch import Rearrange
from lightning.pytorch import Callback, Trainer
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.data import DataLoader, TensorDataset

from lightning_gan import GAN, Training
from lightning_gan.callbacks import EMA, FiniteDifferenceR1, FiniteDifferenceR2, StopAtKimg
from lightning_gan.losses import RelativisticStandard
from lightning_gan.metrics import frechet_distance, gaussian
from lightning_gan.optimizers import GANAdam

HEIGHT, WIDTH_OF_IMAGES, CHANNELS, PATCH = 16, 24, 1, 4
LATENT_DIM, WIDTH, DEPTH, HEADS = 16, 64, 2, 4
ROWS, COLUMNS = HEIGHT // PATCH, WIDTH_OF_IMAGES // PATCH


class Attention(nn.Module):
    """Self-attention whose queries and keys have length 1, so that its logits stay bounded."""

    def __init__(self) -> None:
        super().__init__()
        self.to_heads = nn.Sequential(
            nn.Linear(WIDTH, 3 * WIDTH),
            Rearrange("batch token (part head width) -> part batch head token width", part=3, head=HEADS),
        )
        self.join = nn.Sequential(
            Rearrange("batch head token width -> batch token (head width)"), nn.Linear(WIDTH, WIDTH)
        )
        self.scale = nn.Parameter(torch.full((HEADS, 1, 1), 4.0))

    def forward(self, tokens: Tensor) -> Tensor:
        queries, keys, values = self.to_heads(tokens)
        queries, keys = (nn.functional.normalize(part, dim=-1) for part in (queries, keys))
        joined: Tensor = self.join(scaled_dot_product_attention(queries * self.scale, keys, values, scale=1.0))
        return joined


class Block(nn.Module):
    """Attention and a perceptron, both added to their input; with a latent, it shifts and scales what they get."""

    def __init__(self, *, latent_dim: int = 0) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH, elementwise_affine=latent_dim == 0) for _ in range(2))
        self.modulation = nn.Linear(latent_dim, 4 * WIDTH) if latent_dim else None
        perceptron = nn.Sequential(nn.Linear(WIDTH, 2 * WIDTH), nn.GELU(), nn.Linear(2 * WIDTH, WIDTH))
        self.layers = nn.ModuleList([Attention(), perceptron])

    def forward(self, tokens: Tensor, latents: Tensor | None = None) -> Tensor:
        shifts = [0.0] * 4 if self.modulation is None else self.modulation(latents)[:, None].chunk(4, dim=-1)
        for norm, layer, shift, scale in zip(self.norms, self.layers, shifts[:2], shifts[2:], strict=True):
            tokens = tokens + layer(norm(tokens) * (1 + scale) + shift)
        return tokens


class Generator(nn.Module):
    """Latents, `batch latent`, to images, `batch channels height width`."""

    def __init__(self) -> None:
        super().__init__()
        self.places = nn.Parameter(0.5 * torch.randn(1, ROWS * COLUMNS, WIDTH))
        self.blocks = nn.ModuleList(Block(latent_dim=LATENT_DIM) for _ in range(DEPTH))
        self.to_pixels = nn.Sequential(
            nn.LayerNorm(WIDTH),
            nn.Linear(WIDTH, PATCH * PATCH * CHANNELS),
            Rearrange("b (rows columns) (y x c) -> b c (rows y) (columns x)", rows=ROWS, y=PATCH, x=PATCH),
        )

    def forward(self, latents: Tensor) -> Tensor:
        tokens = self.places.expand(len(latents), -1, -1)
        for block in self.blocks:
            tokens = block(tokens, latents)
        images: Tensor = self.to_pixels(tokens)
        return images


class Critic(nn.Module):
    """Images to one raw score each."""

    def __init__(self) -> None:
        super().__init__()
        self.to_tokens = nn.Sequential(
            nn.Conv2d(CHANNELS, WIDTH, PATCH, PATCH),
            Rearrange("batch width rows columns -> batch (rows columns) width"),
        )
        self.places = nn.Parameter(0.02 * torch.randn(1, ROWS * COLUMNS, WIDTH))
        self.score_token = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.blocks = nn.ModuleList(Block() for _ in range(DEPTH))
        self.to_score = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 1))

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.to_tokens(images) + self.places
        tokens = torch.cat([self.score_token.expand(len(images), -1, -1), tokens], dim=1)
        for block in self.blocks:
            tokens = block(tokens)
        scores: Tensor = self.to_score(tokens[:, 0])
        return scores.squeeze(1)


def waves(count: int = 1024, seed: int = 0) -> Tensor:
    """Grey images of one wave of random direction, length and phase in [-1, 1]."""
    random = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.arange(HEIGHT) / HEIGHT, torch.arange(WIDTH_OF_IMAGES) / HEIGHT, indexing="ij")
    angle, phase = 2 * torch.pi * torch.rand(2, count, 1, 1, generator=random)
    cycles = 1 + torch.rand(count, 1, 1, generator=random)
    return torch.sin(2 * torch.pi * cycles * (x * angle.cos() + y * angle.sin()) + phase)[:, None]


def distance(first: Tensor, second: Tensor) -> float:
    """The Fréchet distance of two sets of images, whose features are sizes of the lowest waves in them."""
    features = [torch.fft.rfft2(images).abs()[..., :4, :6].flatten(1) / 100 for images in (first, second)]
    return frechet_distance(gaussian(features[0]), gaussian(features[1])).item()


def callbacks(total_kimg: float = 20.0) -> list[Callback]:
    """The penalties, the average and the end."""
    return [
        FiniteDifferenceR1(gamma=0.05, step=0.01, batch_share=0.25),
        FiniteDifferenceR2(gamma=0.05, step=0.01, batch_share=0.25),
        EMA(half_life_kimg=1.0),
        StopAtKimg(total_kimg=total_kimg),
    ]


def main(total_kimg: float = 20.0) -> None:
    """Train, and print how far samples are from real images, before and after.

    Args:
        total_kimg: thousands of images to train on.
    """
    torch.manual_seed(0)
    training = Training(
        loss=RelativisticStandard(),
        generator_optimizer=lambda parameters: GANAdam(parameters, lr=0.002),
        discriminator_optimizer=lambda parameters: GANAdam(parameters, lr=0.002),
    )
    gan = GAN(generator=Generator(), discriminator=Critic(), latent_dim=LATENT_DIM, training=training)
    real = waves()
    before = distance(gan.sample(1024, seed=0), real)
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=-1,
        callbacks=callbacks(total_kimg),
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )
    trainer.fit(gan, DataLoader(TensorDataset(real), batch_size=32, shuffle=True, drop_last=True))
    print(f"distance of samples to real images before training: {before:.3f}")
    print(f"after {gan.images_seen:,} images: {distance(gan.sample(1024, seed=0), real):.3f}")
    print(f"of other real images: {distance(waves(seed=1), real):.3f}")


if __name__ == "__main__":
    main()
