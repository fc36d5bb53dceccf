"""Trains a toy with APA eagerly and compiled, for `test_adaptive_pseudo_augmentation.py`, and prints how they compare.

A process of its own, because the suite's run-time checks of shapes wrap every function and cannot be compiled.
"""

import json

import torch
from torch import Tensor

from lightning_gan.callbacks import R1, AdaptivePseudoAugmentation
from lightning_gan.loop.settings import Training
from tests.toys import fast_adam, toy_gan, toy_loader, toy_trainer, weights_of


def trained(*, compile: bool) -> list[Tensor]:
    training = Training(generator_optimizer=fast_adam, discriminator_optimizer=fast_adam, compile=compile)
    module = toy_gan(training=training)
    callback = AdaptivePseudoAugmentation(initial_probability=0.3, adaptation_kimg=0.1, interval=2, target=-0.999)
    toy_trainer(callback, R1(gamma=1.0), limit_train_batches=6).fit(module, toy_loader())
    return weights_of(module)


if __name__ == "__main__":
    eager, start = trained(compile=False), weights_of(toy_gan())
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    compiled = trained(compile=True)
    print(
        json.dumps(
            {
                "error": max((a - b).abs().max().item() for a, b in zip(compiled, eager, strict=True)),
                "moved": max((a - b).abs().max().item() for a, b in zip(start, eager, strict=True)),
                "graphs": torch._dynamo.utils.counters["stats"]["unique_graphs"],
            }
        )
    )
