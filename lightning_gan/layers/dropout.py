"""Dropout whose masks do not depend on how a batch is divided among processes."""

from torch import Tensor, nn

from lightning_gan.tensors.draws_by_position import dropout


class Dropout(nn.Dropout):
    """Dropout, ``x * mask / (1 - p)``, with the masks of one process on any number of processes.

    In the training loop of a `GAN`, the masks of all samples are drawn on each process, and it uses those of its own.

    Args:
        p: probability of an element to be set to 0, in [0, 1).
    """

    def forward(self, input: Tensor) -> Tensor:
        return dropout(input, self.p, training=self.training)
