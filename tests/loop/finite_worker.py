"""Two ranks, of which the second has a loss, and then a weight, that is not a number. Each rank writes its error."""

import os
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightning_gan.loop.finite import NonFiniteError
from lightning_gan.loop.settings import Training
from lightning_gan.losses import NonSaturating
from tests.toys import toy_gan, toy_loader, toy_trainer


class Spoiled(NonSaturating):
    """On the second rank not a number from the third batch on."""

    def __init__(self, *, rank: int) -> None:
        super().__init__()
        self.rank, self.turns = rank, 0

    def generator(self, real_logits: Any, fake_logits: Any) -> Tensor:
        self.turns += 1
        cost = super().generator(real_logits, fake_logits)
        # Without a graph, so that the gradients of both ranks stay finite and the loss alone tells.
        return cost + (torch.nan if self.rank == 1 and self.turns > 2 else 0.0)


def main(target: Path) -> None:
    rank = int(os.environ["RANK"])
    settings: dict[str, Any] = {"devices": 2, "strategy": "gan_ddp", "log_every_n_steps": 1000}
    module = toy_gan()
    trainer = toy_trainer(**settings, limit_train_batches=2)
    trainer.fit(module, toy_loader())
    if rank == 1:
        with torch.no_grad():
            module.generator.output.bias.fill_(torch.nan)  # type: ignore[union-attr]
    try:
        trainer.save_checkpoint(target / "bad.ckpt")
    except NonFiniteError as error:
        (target / f"weight_{rank}.txt").write_text(str(error))
    module = toy_gan(training=Training(loss=Spoiled(rank=rank)))
    try:
        toy_trainer(**settings).fit(module, toy_loader())
    except NonFiniteError as error:  # Lightning ends the group of processes after an error
        (target / f"loss_{rank}.txt").write_text(str(error))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
