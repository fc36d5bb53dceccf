"""Finds networks by their attribute paths."""

from torch import nn
from torch.nn.parameter import UninitializedParameter


def network_of(module: nn.Module, path: str, *, setting: str) -> nn.Module:
    """The network at an attribute path such as `"generator"` or `"nets.generator"`.

    Args:
        module: module that the path starts from.
        path: attribute names, joined by dots.
        setting: name of the callback and its argument, for the error message.

    Raises:
        ValueError: if there is no such network; the message lists the networks that exist. If its layers are lazy, so
            that its weights have no shape yet.
    """
    try:
        network = module.get_submodule(path)
        is_found = bool(path)  # an empty path is the module itself
    except AttributeError:
        is_found = False
    if not is_found:
        names = ", ".join(_names_around(module, path)) or "none"
        raise ValueError(f"{setting}: {type(module).__name__} has no network {path!r}; its networks are {names}")
    lazy = [name for name, parameter in network.named_parameters() if isinstance(parameter, UninitializedParameter)]
    if lazy:
        raise ValueError(
            f"{setting}: {path!r} has weights without a shape ({lazy[0]}), because its layers are lazy; run it once on "
            "a batch in the constructor of the module"
        )
    return network


def _names_around(module: nn.Module, path: str) -> list[str]:
    """Paths of the networks that exist at the level of the first missing part of the path.

    Example:
        >>> generator = nn.ModuleDict({"mapping": nn.Identity(), "synthesis": nn.Identity()})
        >>> _names_around(nn.ModuleDict({"generator": generator}), "generator.style.affine")
        ['generator.mapping', 'generator.synthesis']
    """
    prefix = ""
    for name in path.split("."):
        children = dict(module.named_children())
        if name not in children:
            break
        module, prefix = children[name], f"{prefix}{name}."
    return [f"{prefix}{name}" for name, _ in module.named_children()]
