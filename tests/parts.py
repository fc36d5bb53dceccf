"""What the package has, found by walking its folders, so that tests need no list of parts.

A part that can be made from its defaults is tested without a word here. One that needs arguments, or settings that suit
the tests' small networks, has them in `ARGUMENTS`.
"""

import inspect
import pkgutil
from collections.abc import Mapping
from dataclasses import MISSING, fields
from importlib import import_module
from types import ModuleType
from typing import Any, Protocol, TypeVar

from lightning.pytorch import Callback

import lightning_gan
import lightning_gan.callbacks.regularizers
from lightning_gan import losses
from lightning_gan.callbacks import (
    BCR,
    CR,
    AdaptiveAugmentation,
    AdaptivePseudoAugmentation,
    Augmentation,
    FreezeD,
    InstanceNoise,
    RothFGAN,
)
from lightning_gan.losses import FGAN, AdversarialLoss, Divergence, Hinge, JensenShannon, PearsonChiSquared, TopK

Part = TypeVar("Part")

ARGUMENTS: Mapping[type, dict[str, Any]] = {
    AdaptiveAugmentation: {"initial_probability": 0.5},  # 0 by default, which does nothing in a few steps
    AdaptivePseudoAugmentation: {"initial_probability": 0.5},
    Augmentation: {"probability": 0.5},
    BCR: {"largest_shift": 1},  # the tests' images are 4x4
    CR: {"largest_shift": 1},
    FGAN: {"divergence": JensenShannon()},
    FreezeD: {"layers": ["conv"]},
    InstanceNoise: {"standard_deviation": 0.1},  # 0 by default, which does nothing
    RothFGAN: {"divergence": PearsonChiSquared()},
    TopK: {"loss": Hinge(), "fraction": 0.5},
}
"""Arguments with which tests make parts that cannot be made, or do nothing to small networks, by their defaults."""


def modules_of(package: ModuleType) -> list[str]:
    """The dotted names of all modules in a package and in its folders, sorted."""
    return sorted(module.name for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."))


def is_abstract(kind: type) -> bool:
    """Whether a class leaves an abstract method open, or is a protocol."""
    names = dir(kind)  # not inspect.isabstract, which sees this only in classes with ABCMeta: callbacks have none
    left_open = any(getattr(inspect.getattr_static(kind, name), "__isabstractmethod__", False) for name in names)
    return left_open or Protocol in kind.__bases__


def classes_of(package: ModuleType, *kinds: type[Part]) -> list[type[Part]]:
    """The public classes in a package's files that can be used as they are, by name.

    A class is abstract or final in this package: one that leaves methods open, or that others here derive from, is
    a base.

    Args:
        package: where to look, in all its folders.
        kinds: of which classes they must be a kind of; nothing for any.
    """
    everything = [kind for name in modules_of(lightning_gan) for kind in vars(import_module(name)).values()]
    ours = {kind for kind in everything if inspect.isclass(kind) and kind.__module__.startswith("lightning_gan.")}
    bases = {base for kind in ours for base in kind.__bases__}
    found = {
        kind
        for kind in ours
        if kind.__module__.startswith(f"{package.__name__}.") and issubclass(kind, kinds or (object,))
        if not kind.__name__.startswith("_") and kind not in bases and not is_abstract(kind)
    }
    return sorted(found, key=lambda kind: kind.__name__)


def needed_arguments(kind: type) -> list[str]:
    """Arguments of a class's constructor that have no default."""
    parameters = inspect.signature(kind).parameters.values()
    return [parameter.name for parameter in parameters if parameter.default is parameter.empty]


def made(kind: type[Part], **settings: Any) -> Part:
    """A part, by its defaults and what `ARGUMENTS` says of it.

    Raises:
        ValueError: if it needs an argument that `ARGUMENTS` does not give.
    """
    arguments = {**ARGUMENTS.get(kind, {}), **settings}
    missing = [name for name in needed_arguments(kind) if name not in arguments]
    if missing:
        raise ValueError(f"{kind.__name__} needs {', '.join(missing)}: add a line to ARGUMENTS in tests/parts.py")
    return kind(**arguments)


def regularizers() -> list[type[Callback]]:
    """All regularizers: the callbacks of `callbacks/regularizers/`."""
    return classes_of(lightning_gan.callbacks.regularizers, Callback)


def all_losses() -> list[AdversarialLoss]:
    """One of each objective, and one f-GAN for each divergence."""
    divergences = [made(kind) for kind in classes_of(losses, Divergence)]
    plain = [made(kind) for kind in classes_of(losses, AdversarialLoss) if kind is not FGAN]
    return [*plain, *(made(FGAN, divergence=divergence) for divergence in divergences)]


def renamed_networks(kind: type, names: Mapping[str, str]) -> dict[str, str]:
    """Settings for networks with other names: for each setting by whose default a network, or a part of one, is named.

    Args:
        kind: a dataclass, as penalties are.
        names: the other names by ours: `{"generator": "netG"}` also turns `generator.mapping` into `netG.mapping`.
    """
    settings: dict[str, str] = {}
    for field in fields(kind):  # type: ignore[arg-type]
        if field.init and isinstance(field.default, str) and field.default is not MISSING:
            first, *rest = field.default.split(".")
            if first in names:
                settings[field.name] = ".".join([names[first], *rest])
    return settings
