"""Every argument of a model is documented and has its default in one place, where `--help` finds both."""

import pkgutil
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from importlib import import_module
from inspect import Parameter, cleandoc, getmembers, isclass, isfunction, signature
from types import ModuleType
from typing import Any, get_args

import pytest
from lightning.pytorch import LightningDataModule, LightningModule

import lightning_gan.data
import lightning_gan.imitation
import lightning_gan.models
from lightning_gan.loop.settings import Training


def modules_of(*packages: ModuleType) -> list[ModuleType]:
    return [
        import_module(f"{package.__name__}.{found.name}")
        for package in packages
        for found in pkgutil.iter_modules(package.__path__)
    ]


def documented(described: Any) -> set[str]:
    """The arguments that a docstring explains."""
    section = re.search(r"^Args:\n((?:(?: .*)?\n)*)", cleandoc(described.__doc__ or "") + "\n", re.MULTILINE)
    return set(re.findall(r"^ {4}(\w+):", section[1], re.MULTILINE)) if section else set()


def defaulted(described: Any) -> set[str]:
    """The arguments that need not be given."""
    return {name for name, each in signature(described).parameters.items() if each.default is not Parameter.empty}


def has_constructor(kind: type) -> bool:
    return "__init__" in vars(kind)


def is_model(kind: type) -> bool:
    return issubclass(kind, LightningModule | LightningDataModule)


def defined_in(module: ModuleType) -> tuple[list[type], list[Any]]:
    """The models of a module, and what else in it takes arguments by name."""
    classes = [kind for _, kind in getmembers(module, isclass) if kind.__module__ == module.__name__]
    classes = [kind for kind in classes if has_constructor(kind)]
    functions = [each for _, each in getmembers(module, isfunction) if each.__module__ == module.__name__]
    return [kind for kind in classes if is_model(kind)], [k for k in classes if not is_model(k)] + functions


def repetitions(models: list[type], others: list[Any]) -> Iterator[str]:
    """Arguments of models that something else documents or gives a default, too."""
    for index, model in enumerate(models):
        for what, found in (("documented", documented), ("defaulted", defaulted)):
            for other in others:
                for name in sorted(set(signature(model).parameters) & found(other)):
                    yield f"{other.__name__}: {name} is an argument of {model.__name__}, which alone has it {what}"
            for second in models[index + 1 :]:
                for name in sorted(found(model) & found(second) - {"training"}):
                    yield f"{second.__name__}: {name} is {what} in {model.__name__}, too"


FILES = modules_of(lightning_gan.models, lightning_gan.imitation)
DATA = modules_of(lightning_gan.data)
MODELS = sorted({kind for module in (*FILES, *DATA) for kind in defined_in(module)[0]}, key=lambda kind: kind.__name__)


@pytest.mark.parametrize("module", FILES, ids=lambda module: module.__name__.removeprefix("lightning_gan."))
def test_arguments_of_a_file_are_documented_and_defaulted_at_its_model_alone(module: ModuleType) -> None:
    assert list(repetitions(*defined_in(module))) == []


@pytest.mark.parametrize("module", DATA, ids=lambda module: module.__name__.removeprefix("lightning_gan."))
def test_two_data_modules_of_a_file_do_not_repeat_each_other(module: ModuleType) -> None:
    assert list(repetitions(defined_in(module)[0], [])) == []


def test_there_are_models_to_look_at() -> None:
    assert len(MODELS) > 25
    assert any(others for module in FILES for models, others in [defined_in(module)] if models)


@pytest.mark.parametrize("model", MODELS, ids=lambda kind: kind.__name__)
def test_what_is_documented_is_an_argument(model: type) -> None:
    assert documented(model) <= set(signature(model).parameters)


@pytest.mark.parametrize("model", [kind for kind in MODELS if defaulted(kind)], ids=lambda kind: kind.__name__)
def test_every_argument_of_a_model_is_explained(model: type) -> None:
    """In the model's docstring, or in that of the dataclass that it is."""
    for name, parameter in signature(model).parameters.items():
        groups = [group for group in (parameter.annotation, *get_args(parameter.annotation)) if is_dataclass(group)]
        for group in groups:
            assert {field.name for field in fields(group)} <= documented(group), group
        assert name in documented(model) or Training in groups, name


class Network:
    """Makes images.

    Args:
        width: of layers.
        depth: how many layers.
    """

    def __init__(self, *, width: int, depth: int = 3) -> None: ...


class First(LightningModule):
    """A model.

    Args:
        width: feature maps.
    """

    def __init__(self, *, width: int = 8, training: Training = Training()) -> None: ...


class Second(LightningModule):
    """Another one; it says nothing."""

    def __init__(self, *, width: int = 8, depth: int, training: Training = Training()) -> None: ...


def test_repetitions_are_found() -> None:
    """By hand: what each of three small classes says of the same two arguments."""
    assert list(repetitions([First], [Network])) == [
        "Network: width is an argument of First, which alone has it documented"
    ]
    assert list(repetitions([Second], [Network])) == [
        "Network: depth is an argument of Second, which alone has it documented",
        "Network: width is an argument of Second, which alone has it documented",
        "Network: depth is an argument of Second, which alone has it defaulted",
    ]
    assert list(repetitions([First, Second], [])) == ["Second: width is defaulted in First, too"]
