"""A project that imports `pytorch_lightning`, after this package, as sorted imports do; run by its test.

It trains to 12 and then, resumed, to 24 images, and prints what its trainer and its folder contain. That package is
imported inside of the functions, so that it is not in the process of the tests, which look for doctests in all files.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lightning_gan.callbacks import EMA, KimgCheckpoint, KimgProgressBar, SampleGrid, StopAtKimg


def their_module() -> Any:
    """Two networks and two optimizers."""
    from pytorch_lightning import LightningModule

    class Theirs(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(7)
            self.automatic_optimization = False
            self.generator = nn.Sequential(nn.Linear(4, 16), nn.Unflatten(1, (1, 4, 4)))
            self.discriminator = nn.Sequential(nn.Flatten(), nn.Linear(16, 1))
            self.validated: list[Tensor] = []

        def training_step(self, batch: Tensor, batch_idx: int) -> None:
            generator, discriminator = self.optimizers()
            random = torch.Generator().manual_seed(int(batch.sum() * 1000))
            fakes = self.generator(torch.randn(4, 4, generator=random))
            discriminator.zero_grad()
            self.manual_backward(self.discriminator(fakes.detach()).mean() - self.discriminator(batch).mean())
            discriminator.step()
            generator.zero_grad()
            self.manual_backward(-self.discriminator(fakes).mean())
            generator.step()

        def validation_step(self, batch: Tensor, batch_idx: int) -> None:
            self.validated = [parameter.clone() for parameter in self.generator.parameters()]

        def configure_optimizers(self) -> list[torch.optim.Optimizer]:
            return [torch.optim.SGD(net.parameters(), lr=0.1) for net in (self.generator, self.discriminator)]

    return Theirs()


def run(folder: Path, images: int, ckpt_path: str | None = None) -> tuple[Any, Any]:
    """The trainer and the module, after training with callbacks of this package."""
    from pytorch_lightning import Trainer
    from pytorch_lightning.loggers import TensorBoardLogger

    callbacks = [
        EMA(half_life_kimg=0.01),
        SampleGrid(latent_dim=4, rows=1, columns=2, every_kimg=0.008),
        KimgProgressBar(line_seconds=0.0),
        KimgCheckpoint(every_kimg=0.008),
        StopAtKimg(total_kimg=images / 1000),
    ]
    logger = TensorBoardLogger(folder, name="board", version="")
    settings: dict[str, Any] = {"max_epochs": -1, "accelerator": "cpu", "log_every_n_steps": 1}
    trainer = Trainer(callbacks=callbacks, default_root_dir=folder, logger=logger, **settings)
    module = their_module()
    loader = DataLoader(torch.rand(12, 1, 4, 4, generator=torch.Generator().manual_seed(3)), batch_size=4)
    trainer.fit(module, loader, loader, ckpt_path=ckpt_path)
    return trainer, module


def same(first: list[Tensor], second: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def main(folder: Path) -> None:
    assert "pytorch_lightning" not in sys.modules  # this package does not import it
    whole_trainer, whole = run(folder / "whole", 24)
    run(folder / "cut", 12)
    cut_trainer, cut = run(folder / "cut", 24, ckpt_path="last")
    from pytorch_lightning.callbacks import Checkpoint, ProgressBar

    (ema,) = (callback for callback in whole_trainer.callbacks if isinstance(callback, EMA))
    shadow = [ema.state_dict()["shadow"][name] for name, _ in whole.generator.named_parameters()]
    report: dict[str, Any] = {
        "bars": [type(c).__name__ for c in cut_trainer.callbacks if isinstance(c, ProgressBar)],
        "checkpoints": [type(c).__name__ for c in cut_trainer.callbacks if isinstance(c, Checkpoint)],
        "last callback": type(cut_trainer.callbacks[-1]).__name__,
        "saved": sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.ckpt")),
        "grids": sorted(path.name for path in (folder / "whole" / "samples").iterdir()),
        "resumes exactly": same(list(whole.parameters()), list(cut.parameters())),
        "validates with the average": same(whole.validated, shadow),
        "trains without": not same(list(whole.generator.parameters()), shadow),
    }
    print("REPORT " + json.dumps(report))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
