"""Checks of which optimizer updates which network of a module, before a penalty relies on it."""

from collections.abc import Sequence

from torch import nn
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from lightning_gan.compat import version_of


def owned_parameters(network: nn.Module, optimizer: Optimizer) -> list[nn.Parameter]:
    """The parameters of the network that this optimizer updates."""
    moved = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    return [parameter for parameter in network.parameters() if id(parameter) in moved]


def check_owner(
    module: nn.Module, path: str, *, opponent: str | None, optimizers: Sequence[Optimizer], setting: str
) -> None:
    """Check that exactly one optimizer updates a network, and that it does not update the opponent.

    The steps of this optimizer are then the turns of the network's player.

    Args:
        module: module that contains the networks.
        path: attribute path of the network that a penalty regularizes.
        opponent: attribute path of the network of the other player; None if there is none.
        optimizers: optimizers of the module.
        setting: argument of the penalty that names the network, for the error message.

    Raises:
        ValueError: if there is no such optimizer, or more than one, or it updates the opponent too.
    """
    network = module.get_submodule(path)
    owners = [
        number
        for number, optimizer in enumerate(optimizers)
        if any(parameter.requires_grad for parameter in owned_parameters(network, optimizer))
    ]
    if not owners:
        raise ValueError(
            f"no optimizer updates a parameter of {path!r} of {type(module).__name__}; name the network that is "
            f"trained: {setting}"
        )
    if len(owners) > 1:
        raise ValueError(
            f"the parameters of {path!r} are in {len(owners)} optimizers (numbers {', '.join(map(str, owners))} of "
            "configure_optimizers), so that its turns are not known; put them into one optimizer, with parameter "
            "groups if their learning rates differ"
        )
    if opponent is None:
        return
    own = {id(parameter) for parameter in network.parameters()}
    also = [
        parameter
        for parameter in owned_parameters(module.get_submodule(opponent), optimizers[owners[0]])
        if id(parameter) not in own and parameter.requires_grad
    ]
    if also:
        raise ValueError(
            f"the parameters of {path!r} and of {opponent!r} are in one optimizer, so that the turns of the two "
            "players are not known; give each network an optimizer of its own in configure_optimizers"
        )


class StepsPastLightning:
    """Notices steps of an optimizer that Lightning does not tell callbacks about.

    Args:
        parameters: parameters of the network that a penalty regularizes.
    """

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        self._parameters = [
            parameter for parameter in parameters if parameter.requires_grad and not isinstance(parameter, DTensor)
        ]
        self._versions = self._now()

    @property
    def happened(self) -> bool:
        """Whether all parameters were changed in place, as an optimizer does it."""
        changes = [now != before for now, before in zip(self._now(), self._versions, strict=True)]
        return bool(changes) and all(changes)

    def _now(self) -> list[int]:
        return [version_of(parameter) for parameter in self._parameters]


class GradientsOfEarlierBatches:
    """Notices gradients that are accumulated over several batches under manual optimization.

    A penalty repeats the calls of the present batch only, so that it would be added for the last batch alone.

    Args:
        parameters: parameters of the network that a penalty regularizes.
    """

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        self._parameter = next((parameter for parameter in parameters if parameter.requires_grad), None)
        self._left: object | None = None

    def note_unfinished(self) -> None:
        """Note that a batch ends, in which the network was trained, without a step of its optimizer."""
        # The gradient tensor itself: a later zero_grad() or step replaces it by another one, accumulation does not.
        self._left = None if self._parameter is None else self._parameter.grad

    def note_step(self) -> None:
        """Note a step of the optimizer, or a batch that it was not called in."""
        self._left = None

    @property
    def are_there(self) -> bool:
        """Whether the present gradient contains that of an earlier batch."""
        return self._left is not None and self._parameter is not None and self._parameter.grad is self._left
