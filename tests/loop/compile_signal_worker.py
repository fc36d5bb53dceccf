"""Trains with compiled turns, for `test_compile_signal.py`: `python -m tests.loop.compile_signal_worker FOLDER`.

It goes on from the folder's checkpoint, if there is one, and prints as JSON how often torch found a compiled graph in
its cache. A process of its own, because the suite's run-time checks of shapes wrap every function and cannot be
compiled.
"""

import json
import os
import sys
from pathlib import Path

import torch

from lightning_gan.callbacks import EMA, R1, KimgCheckpoint, StopAtKimg, StopOnSignal
from lightning_gan.loop.checkpointing import AtomicCheckpointIO
from lightning_gan.loop.settings import Training
from tests.callbacks.training.growing_toys import ToyData, growing_gan
from tests.toys import fast_adam, toy_trainer


def main(folder: Path) -> None:
    """Six batches of four images over all ranks; the kinds of turns are new in batch 0 (both turns) and 1."""
    torch.set_num_threads(1)
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    trainer = toy_trainer(
        KimgCheckpoint(every_kimg=1.0),
        StopOnSignal(),
        R1(gamma=1.0, every_n_turns=2),
        EMA(),
        StopAtKimg(total_kimg=0.024),
        default_root_dir=folder,
        enable_checkpointing=True,
        max_epochs=-1,
        limit_val_batches=0,
        devices=ranks,
        strategy="gan_ddp" if ranks > 1 else "auto",
        plugins=[AtomicCheckpointIO()],
    )
    module = growing_gan(Training(compile=True, generator_optimizer=fast_adam, discriminator_optimizer=fast_adam))
    resume = "last" if any(folder.rglob("last.ckpt")) else None
    trainer.fit(module, datamodule=ToyData(batch_size=4 // ranks), ckpt_path=resume)
    counters = torch._dynamo.utils.counters
    print(json.dumps({**counters["aot_autograd"], "graphs": counters["stats"]["unique_graphs"]}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
