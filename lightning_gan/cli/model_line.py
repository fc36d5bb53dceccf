"""One line about a model that begins to train, in place of Lightning's table and its lines about devices."""

from lightning.pytorch import LightningModule, Trainer
from torch import nn


def model_line(trainer: Trainer, module: LightningModule, *, seed: int | bool) -> str:
    """The class of a model, the parameters of each of its networks, the devices, the precision and the seed.

    Args:
        trainer: trainer that is about to train.
        module: the model.
        seed: seed of the run.
    """
    counts = {name: number_of_weights(network) for name, network in module.named_children()}
    networks = ", ".join(f"{name} {count:,}" for name, count in counts.items() if count)
    ranks = f"{trainer.world_size} x " if trainer.world_size > 1 else ""
    device = f"{ranks}{trainer.strategy.root_device.type}"
    return (
        f"model: {type(module).__name__}; parameters: {networks or 'none'}; on {device} in {trainer.precision}; "
        f"seed {seed}"
    )


def number_of_weights(network: nn.Module) -> int:
    """The number of parameters of a network that are trained.

    Example:
        >>> number_of_weights(nn.Linear(3, 2))
        8
    """
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
