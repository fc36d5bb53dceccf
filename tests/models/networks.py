"""Networks alone, with the arguments that their model has by default."""

from inspect import Parameter, signature
from typing import Any, TypeVar

from torch import nn

from lightning_gan.loop.gan import GAN

Network = TypeVar("Network", bound=nn.Module)


def network_of(model: type[GAN], kind: type[Network], **settings: Any) -> Network:
    """A network as `model` makes it by default, but for these settings.

    A model's `generator_width` is its generator's `width`, and its `generator_channels` the `base_channels`.
    """
    defaults = {
        name: parameter.default
        for name, parameter in signature(model).parameters.items()
        if parameter.default is not Parameter.empty
    }
    prefix = f"{kind.__name__.lower()}_"
    arguments = {}
    for name in signature(kind).parameters:
        for at_the_model in (name, prefix + name, prefix + name.removeprefix("base_")):
            if at_the_model in defaults:
                arguments[name] = defaults[at_the_model]
    return kind(**{**arguments, **settings})
