"""The numbers that the loop logs beside the terms of the costs, and the precision in which numbers are logged."""

from typing import TypeAlias

import torch
from lightning.pytorch import Trainer
from torch import Tensor

from lightning_gan.loop.turn import Scores
from lightning_gan.tensors.shapes import FakeLogits, Logits, Scalar

SCORES = "scores/"
"""Beginning of the names under which the discriminator's scores are logged."""

RawLogits: TypeAlias = tuple[Logits | None, FakeLogits]
"""Raw scores of a turn's real images (None if it has none) and of its fakes, without gradient."""


def exact(value: float | int) -> Tensor:
    """A number in fp64 on the CPU, to be logged.

    Lightning makes fp32 of Python numbers, which holds whole numbers up to 16.8 million only, and moves them to the
    module's device.

    Args:
        value: the number.

    Example:
        >>> exact(25_000_001).item()
        25000001.0
    """
    return torch.tensor(value, dtype=torch.float64)


def check_logging_interval(trainer: Trainer) -> None:
    """Check that numbers are logged at all, because they are looked at when they are logged.

    Args:
        trainer: trainer of a fit.

    Raises:
        ValueError: if its `log_every_n_steps` is below 1, such as 0, with which Lightning logs nothing.
    """
    interval: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
    if interval < 1:
        raise ValueError(
            f"Trainer(log_every_n_steps={interval}) must be at least 1; to write no logs, give Trainer(logger=False)"
        )


def raw_logits(scores: Scores) -> RawLogits:
    """The raw scores of a turn without gradient.

    Args:
        scores: scores of the turn.
    """
    return None if scores.real_logits is None else scores.real_logits.detach(), scores.fake_logits.detach()


def numbers_of_scores(logits: RawLogits | None) -> dict[str, Scalar]:
    """The mean raw score of the real images and of the fakes, and the share of positive ones, by logged name.

    With a loss of two classes, a positive score means that the discriminator takes an image for a real one. The means
    drift apart, and the shares go to 1 and 0, when the discriminator wins; both shares are about one half when it
    cannot tell real images from fakes.

    Args:
        logits: raw scores of a turn of the discriminator; None if it takes no turns.

    Example:
        >>> numbers = numbers_of_scores((torch.tensor([3.0, 1.0]), torch.tensor([-2.0, 1.0])))
        >>> {name: value.item() for name, value in numbers.items()}
        {'scores/real': 2.0, 'scores/real_positive': 1.0, 'scores/fake': -0.5, 'scores/fake_positive': 0.5}
    """
    numbers: dict[str, Scalar] = {}
    for name, values in zip(("real", "fake"), (None, None) if logits is None else logits, strict=True):
        if values is not None:
            numbers[f"{SCORES}{name}"] = values.mean()
            numbers[f"{SCORES}{name}_positive"] = (values > 0).to(values.dtype).mean()
    return numbers
