"""Distillation of a diffusion teacher into one step, with a noised critic regularized by finite differences.

The game: real and generated images are noised with the same times t before the critic sees them, `critic(x_t, t)`. The
student makes an image from noise in one step. The critic steps first, real before fake. The student steps second: its
image has to please the critic, and to equal what the teacher makes of it after noise. The teacher is exact here: for a
small data set, the best denoiser is a mean of all images, weighted by their likelihood. It has nothing to train.

Added from this package: the function `callbacks`, and its list in the Trainer. Noised images lie neither in the batch
nor in the student's output, so that calls are numbered: in the critic's turn, call 0 has real images, call 1 has fakes.
`image="x_t"` says which of the two floating-point arguments is the image; the times are given again with it. Both
penalties need no second derivatives, which large critics with fast attention do not have. `R1` and `R2` have the same
settings, and are exact.

To change for a real project: latents of an image model, a pretrained teacher, a critic that begins with the teacher's
weights, text as a third argument of all of them, batch_share=0.25, and a start_step if the critic's loss begins late.
"""

import torch
import torch.nn.functional as F
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.utils.data import DataLoader

from lightning_gan.callbacks import EMA, FiniteDifferenceR1, FiniteDifferenceR2

SIZE = 8


def callbacks() -> tuple[FiniteDifferenceR1, FiniteDifferenceR2, EMA]:
    """What this package adds to the project."""
    names = {"discriminator": "critic", "generator": "student", "image": "x_t"}
    return (
        FiniteDifferenceR1(gamma=0.2, step=0.05, real=0, **names),
        FiniteDifferenceR2(gamma=0.2, step=0.05, fake=1, every_n_turns=2, **names),
        EMA(half_life_kimg=0.5, generator="student"),
    )


def bars(count: int = 512, seed: int = 0) -> Tensor:
    """Grey images of a bright horizontal or vertical bar, `count 1 height width`, in [-1, 1]."""
    random = torch.Generator().manual_seed(seed)
    place = 1.5 + (SIZE - 4) * torch.rand(count, 1, 1, 1, generator=random)
    profile = 2 * torch.exp(-((torch.arange(SIZE).view(1, 1, SIZE, 1) - place) ** 2)) - 1
    images = profile.expand(count, 1, SIZE, SIZE)
    is_vertical = torch.rand(count, 1, 1, 1, generator=random) < 0.5
    return torch.where(is_vertical, images.transpose(2, 3), images)


def add_noise(x_0: Tensor, t: Tensor) -> Tensor:
    """``x_t = (1 - t) x_0 + t noise``, for times t in (0, 1)."""
    t = t.view(-1, 1, 1, 1)
    return (1 - t) * x_0 + t * torch.randn_like(x_0)


class ExactTeacher(nn.Module):
    """The best denoiser of a data set, ``E(x_0 | x_t)``."""

    data: Tensor

    def __init__(self, data: Tensor) -> None:
        super().__init__()
        self.register_buffer("data", data)

    @torch.no_grad()
    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        t = t[:, None]
        distances = torch.cdist(x_t.flatten(1) / (1 - t), self.data.flatten(1))
        weights = (-((distances * (1 - t) / t) ** 2) / 2).softmax(1)  # batch images; rows sum to 1
        return (weights @ self.data.flatten(1)).view_as(x_t)


class Critic(nn.Module):
    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.conv_in, self.down = nn.Conv2d(1, width, 3, padding=1), nn.Conv2d(width, width, 4, 2, 1)
        self.time = nn.Sequential(nn.Linear(1, width), nn.SiLU(), nn.Linear(width, width))
        self.out = nn.Linear(width * SIZE * SIZE // 4, 1)

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        h = F.silu(self.conv_in(x_t) + self.time(t[:, None])[:, :, None, None])
        return self.out(F.silu(self.down(h)).flatten(1))


class Distillation(LightningModule):
    def __init__(self, teacher: nn.Module, distill_weight: float = 4.0) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.distill_weight = distill_weight
        self.teacher = teacher
        self.student = nn.Sequential(
            *(nn.Flatten(), nn.Linear(SIZE * SIZE, 256), nn.SiLU(), nn.Linear(256, 256), nn.SiLU()),
            *(nn.Linear(256, SIZE * SIZE), nn.Unflatten(1, (1, SIZE, SIZE))),
        )
        self.critic = Critic()

    def sample_times(self, x_0: Tensor) -> Tensor:
        return 0.05 + 0.7 * torch.rand(len(x_0), device=self.device, dtype=x_0.dtype)

    def critic_loss(self, real_t: Tensor, fake_t: Tensor, t: Tensor) -> Tensor:
        return F.softplus(-self.critic(real_t, t)).mean() + F.softplus(self.critic(fake_t, t)).mean()

    def training_step(self, batch: Tensor, batch_idx: int) -> None:
        opt_student, opt_critic = self.optimizers()  # type: ignore[attr-defined]
        fake = self.student(torch.randn_like(batch))

        t = self.sample_times(batch)
        opt_critic.zero_grad()
        self.manual_backward(self.critic_loss(add_noise(batch, t), add_noise(fake.detach(), t), t))
        opt_critic.step()

        t = self.sample_times(batch)
        fake_t = add_noise(fake, t)
        distillation = F.mse_loss(fake, self.teacher(fake_t, t))
        opt_student.zero_grad()
        self.manual_backward(F.softplus(-self.critic(fake_t, t)).mean() + self.distill_weight * distillation)
        opt_student.step()

    def configure_optimizers(self) -> list[Optimizer]:
        return [AdamW(network.parameters(), lr=2e-3, betas=(0.0, 0.99)) for network in (self.student, self.critic)]


def main(batches: int = 400) -> None:
    torch.manual_seed(0)
    data = bars()
    model, added = Distillation(ExactTeacher(data)), callbacks()
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    trainer = Trainer(max_steps=2 * batches, callbacks=[*added], accelerator="cpu", **quiet)
    trainer.fit(model, DataLoader(data, 32, shuffle=True))
    with torch.no_grad(), added[-1].applied(model):
        samples = model.student(torch.randn(256, 1, SIZE, SIZE))
    distances = torch.cdist(samples.flatten(1), data.flatten(1)) / SIZE  # root mean square over pixels
    covered = distances.argmin(1).unique().numel()
    print(f"256 samples in one step: {distances.amin(1).mean():.3f} from the nearest image on average,")
    print(f"and nearest to {covered} different images of {len(data)}")


if __name__ == "__main__":
    main()
