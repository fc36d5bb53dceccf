"""The betas of Adam as functions of images seen, as in R3GAN (Huang et al. 2024, arXiv:2501.05441)."""

from typing import Any

from lightning.pytorch import LightningModule, Trainer
from torch.optim import Optimizer

from lightning_gan.callbacks.training.optimizer_schedule import OptimizerSchedule
from lightning_gan.schedules.values import Schedule, check_ends, number_at


class AdamBetas(OptimizerSchedule):
    """Sets the betas of Adam before every batch, and logs them as `beta1` and `beta2`.

    R3GAN's second beta rises from 0.9 to 0.99 with `Cosine`. Adam corrects its averages for their start at 0 by the
    present beta, as PyTorch does, also in the authors' code.

    Args:
        beta1: decay rate of the running average of the gradient, in [0, 1), or a schedule of it; None keeps that of the
            optimizer.
        beta2: decay rate of the running average of the squared gradient, in [0, 1), or a schedule of it; None keeps
            that of the optimizer.
        network: attribute path of the network whose optimizers are scheduled, such as "discriminator"; None schedules
            all optimizers. To schedule networks differently, give one callback for each.

    Raises:
        ValueError: if no beta is given, or one that is out of range; before training, if there is no such network, no
            optimizer that has parameters of this network, or one without betas.
    """

    def __init__(
        self,
        *,
        beta1: float | Schedule | None = None,
        beta2: float | Schedule | None = None,
        network: str | None = None,
    ) -> None:
        super().__init__(network=network)
        self.betas = {name: beta for name, beta in (("beta1", beta1), ("beta2", beta2)) if beta is not None}
        if not self.betas:
            raise ValueError("AdamBetas: beta1 and beta2 are None; give one of them, or leave the callback out")
        for name, beta in self.betas.items():
            check_ends(f"AdamBetas: {name}", beta, least=0.0, below=1.0)

    def set_group(self, group: dict[str, Any]) -> None:
        before = dict(zip(("beta1", "beta2"), group["betas"], strict=True))
        now = {name: number_at(beta, self.images_seen) for name, beta in self.betas.items()}
        group["betas"] = tuple((before | now).values())

    def check_optimizer(self, optimizer: Optimizer) -> None:
        if not all("betas" in group for group in optimizer.param_groups):
            raise ValueError(
                f"AdamBetas: {type(optimizer).__name__} has no betas; use a kind of Adam, or name by network= one that "
                "is trained by Adam"
            )

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        if (batch_idx + 1) % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            prefix = "" if self.network is None else f"{self.network}/"
            numbers = {f"{prefix}{name}": number_at(beta, self.images_before) for name, beta in self.betas.items()}
            pl_module.log_dict(numbers)
