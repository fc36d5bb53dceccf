"""A vocoder in the style of HiFi-GAN and Vocos, with two banks of critics that R1 regularizes, and averaged weights.

The game: a batch is a tensor of waves, `batch time`. The generator makes waves from spectrograms. The critics step
first, on detached waves. A bank is called once for both kinds, `critic(y, y_hat)`, and returns scores of real and of
generated waves, lists over sub-critics, and features of both. Losses: least squares, features, a log spectrogram.

Added from this package: the function `callbacks`, and its list in the Trainer. `discriminator` names both banks,
`image="y"` the argument with real waves, and `scores.first` the list of their scores. R1 is then the sum over banks of
the squared slope of a bank's summed score, exactly. For the slope of each sub-critic, name them, without `image`:
R1(discriminator=["mpd.0", "mpd.1", ...], scores=scores.first). `FiniteDifferenceR1` has the same settings.

To change for a real project: recordings cut into pieces, mel spectrograms, wider networks with weight normalization,
AdamW with a learning rate of 2e-4 that decays, every_n_turns=16, and a gamma that suits the length of a piece.
"""

import torch
import torch.nn.functional as F
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.utils.data import DataLoader

from lightning_gan.callbacks import EMA, R1
from lightning_gan.foreign import scores

LENGTH, HOP, N_FFT = 1024, 64, 256


def callbacks() -> tuple[R1, EMA]:
    """What this package adds to the project."""
    r1 = R1(gamma=0.1, every_n_turns=2, discriminator=["mpd", "mrd"], image="y", scores=scores.first)
    return r1, EMA(half_life_kimg=0.2)


def waves(count: int = 256, seed: int = 0) -> Tensor:
    """Sums of five harmonics of a random tone, `count time`, in [-1, 1]."""
    pitch, phase, loudness = torch.rand(3, count, 5, 1, generator=torch.Generator().manual_seed(seed))
    pitch, order = 0.02 * 4 ** pitch[:, :1], torch.arange(1, 6)[:, None]  # radians per sample
    return 0.5 * (loudness / order * torch.sin(order * pitch * torch.arange(LENGTH) + 6.283 * phase)).sum(1)


def spectrum(y: Tensor, n_fft: int, hop: int) -> Tensor:
    """The real and the imaginary part of the spectrum, `batch 2 frequencies frames`."""
    window = torch.hann_window(n_fft, dtype=y.dtype, device=y.device)
    spectra = torch.stft(y.flatten(1), n_fft, hop, window=window, return_complex=True)
    return torch.view_as_real(spectra).permute(0, 3, 1, 2)


def log_spectrogram(y: Tensor) -> Tensor:
    return spectrum(y, N_FFT, HOP).square().sum(1).add(1e-5).log()[..., :-1] / 2


class Generator(nn.Module):
    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.conv_pre = nn.Conv1d(N_FFT // 2 + 1, width, 7, padding=3)
        self.ups = nn.ModuleList([nn.ConvTranspose1d(width, width, 16, 8, 4) for _ in range(2)])
        self.convs = nn.ModuleList([nn.Conv1d(width, width, 7, padding=9, dilation=3) for _ in range(2)])
        self.conv_post = nn.Conv1d(width, 1, 7, padding=3)

    def forward(self, spectrogram: Tensor) -> Tensor:
        x = self.conv_pre(spectrogram)
        for up, conv in zip(self.ups, self.convs, strict=True):
            x = up(F.leaky_relu(x, 0.1))
            x = x + conv(F.leaky_relu(x, 0.1))
        return self.conv_post(F.leaky_relu(x, 0.1)).tanh()


class SubCritic(nn.Module):
    """Scores a wave as a picture: folded by a period, or as a spectrum."""

    def __init__(self, *, period: int = 0, n_fft: int = 0, width: int = 16) -> None:
        super().__init__()
        self.period, self.n_fft = period, n_fft
        inputs = [1 if period else 2, width]
        self.convs = nn.ModuleList([nn.Conv2d(channels, width, (5, 3), (3, 1), (2, 1)) for channels in inputs])
        self.conv_post = nn.Conv2d(width, 1, 3, padding=1)

    def forward(self, y: Tensor) -> tuple[Tensor, list[Tensor]]:
        if self.period:
            x = F.pad(y, (0, -y.shape[-1] % self.period), "reflect").unflatten(-1, (-1, self.period))
        else:
            x = spectrum(y, self.n_fft, self.n_fft // 4)
        features = [x]
        for conv in self.convs:
            features.append(F.leaky_relu(conv(features[-1]), 0.1))
        return self.conv_post(features[-1]).flatten(1), features[1:]


class Critics(nn.ModuleList):
    """A bank of sub-critics."""

    def forward(self, y: Tensor, y_hat: Tensor) -> tuple[list[Tensor], ...]:
        real, fake = ([critic(wave) for critic in self] for wave in (y, y_hat))
        y_d_rs, y_d_gs = ([score for score, _ in answers] for answers in (real, fake))
        fmap_rs, fmap_gs = ([feature for _, own in answers for feature in own] for answers in (real, fake))
        return y_d_rs, y_d_gs, fmap_rs, fmap_gs


class Vocoder(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.generator = Generator()
        self.mpd = Critics([SubCritic(period=period) for period in (2, 3, 5)])
        self.mrd = Critics([SubCritic(n_fft=n_fft) for n_fft in (64, 256)])

    def discriminator_loss(self, y: Tensor, y_hat: Tensor) -> Tensor:
        loss = torch.zeros((), device=self.device)
        for y_d_rs, y_d_gs, _, _ in (self.mpd(y, y_hat), self.mrd(y, y_hat)):
            loss = loss + sum(((1 - r) ** 2).mean() + (g**2).mean() for r, g in zip(y_d_rs, y_d_gs, strict=True))
        return loss

    def training_step(self, batch: Tensor, batch_idx: int) -> None:
        opt_g, opt_d = self.optimizers()  # type: ignore[attr-defined]
        y = batch.unsqueeze(1)
        y_hat = self.generator(log_spectrogram(y))

        opt_d.zero_grad()
        self.manual_backward(self.discriminator_loss(y, y_hat.detach()))
        opt_d.step()

        opt_g.zero_grad()
        loss = 10 * F.l1_loss(log_spectrogram(y_hat), log_spectrogram(y))
        for critic in (self.mpd, self.mrd):
            _, y_d_gs, fmap_rs, fmap_gs = critic(y, y_hat)
            loss = loss + sum(((1 - g) ** 2).mean() for g in y_d_gs)
            loss = loss + 2 * sum(F.l1_loss(g, r.detach()) for r, g in zip(fmap_rs, fmap_gs, strict=True))
        self.manual_backward(loss)
        opt_g.step()

    def configure_optimizers(self) -> list[Optimizer]:
        players = [self.generator], [self.mpd, self.mrd]
        return [AdamW(nn.ModuleList(networks).parameters(), 1e-3, (0.8, 0.99)) for networks in players]


def main(batches: int = 120) -> None:
    torch.manual_seed(0)
    model, added = Vocoder(), callbacks()
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    trainer = Trainer(max_steps=2 * batches, callbacks=[*added], accelerator="cpu", **quiet)
    trainer.fit(model, DataLoader(waves(), 8, shuffle=True))
    wanted = log_spectrogram(waves(32, seed=1))
    with torch.no_grad(), added[-1].applied(model):
        error = F.l1_loss(log_spectrogram(model.generator(wanted)), wanted)
    print(f"held-out waves: mean error of the log spectrogram {error:.3f} with averaged weights")


if __name__ == "__main__":
    main()
