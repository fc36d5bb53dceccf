"""Files in the original formats of other projects, made of the tensors of the goldens."""

import json
import pickle
import sys
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tests.interop.goldens import Golden


@contextmanager
def importable(**classes: Any) -> Iterator[None]:
    """Makes classes and functions importable from where they say they are, so that they can be pickled."""
    before = dict(sys.modules)
    for kind in classes.values():
        parts = kind.__module__.split(".")
        for end in range(1, len(parts) + 1):
            sys.modules.setdefault(".".join(parts[:end]), ModuleType(".".join(parts[:end])))
        setattr(sys.modules[kind.__module__], kind.__name__, kind)
    try:
        yield
    finally:
        for name in set(sys.modules) - set(before):
            del sys.modules[name]


# ---------------------------------------------------------------------- TensorFlow


class Network:
    """A network of TensorFlow, which is pickled as a dictionary."""

    def __init__(self, state: dict[str, Any]) -> None:
        self.state = state

    def __getstate__(self) -> dict[str, Any]:
        return self.state


class EasyDict(dict[str, Any]):
    """A dictionary of their own class."""


def tensorflow_pickle(path: Path, networks: list[Network], *, module: str) -> Path:
    Network.__module__, Network.__qualname__ = module, "Network"
    EasyDict.__module__, EasyDict.__qualname__ = "dnnlib.util", "EasyDict"
    with importable(network=Network, easy=EasyDict), path.open("wb") as file:
        pickle.dump(tuple(networks), file, protocol=pickle.HIGHEST_PROTOCOL)
    return path


def network(
    variables: Mapping[str, Tensor], settings: dict[str, Any], components: dict[str, Network] | None = None
) -> Network:
    state = {
        "version": 2,
        "name": "G",
        "static_kwargs": EasyDict(settings),
        "build_module_src": "raise SystemExit('this text must never run')",
        "build_func_name": "G_paper",
        "variables": [(name, value.numpy()) for name, value in variables.items()],
    }
    return Network(state if components is None else {**state, "components": EasyDict(components)})


def pggan(path: Path, *, lod: float = 0.0, **settings: Any) -> Path:
    golden = Golden("pggan_official")
    config = {name: golden.config[name] for name in ("num_channels", "resolution", "label_size")} | settings
    generator, discriminator = ({**golden.state[name], "lod": torch.tensor(lod)} for name in ("G", "D"))
    average = {name: value if name == "lod" else value * 0.5 for name, value in generator.items()}
    networks = [network(variables, config) for variables in (generator, discriminator, average)]
    return tensorflow_pickle(path, networks, module="tfutil")


def stylegan(path: Path, *, lod: float = 0.0, **settings: Any) -> Path:
    golden = Golden("stylegan_official")
    config = {name: golden.config[name] for name in ("num_channels", "resolution", "label_size", "mapping_lrmul")}
    config |= {"truncation_psi": 0.7, "truncation_cutoff": 4, **settings}
    synthesis = {**golden.state["G_synthesis"], "lod": torch.tensor(lod)}

    def generator(scale: float) -> Network:
        parts = {"mapping": golden.state["G_mapping"], "synthesis": synthesis}
        components = {
            name: network({n: v if n == "lod" else v * scale for n, v in part.items()}, config)
            for name, part in parts.items()
        }
        return network({"dlatent_avg": golden["input/w_avg"], "lod": torch.tensor(lod)}, config, components)

    networks = [generator(1.0), network({**golden.state["D"], "lod": torch.tensor(lod)}, config), generator(0.5)]
    return tensorflow_pickle(path, networks, module="dnnlib.tflib.network")


# ---------------------------------------------------------------------- NVIDIA's pickles of PyTorch


def _reconstruct_persistent_obj(meta: dict[str, Any]) -> None:
    """The function that their pickles name, and that no reader of ours may call."""
    raise SystemExit("the source text of the pickle must never run")


_reconstruct_persistent_obj.__module__ = "torch_utils.persistence"


class Persistent:
    """A layer or network that is pickled with the text of its source, and its attributes."""

    def __init__(self, name: str, **arguments: Any) -> None:
        self.name = name
        self.attributes: dict[str, Any] = {
            **{"training": False, "_init_args": (), "_init_kwargs": EasyDict(arguments)},
            **{"_parameters": OrderedDict(), "_buffers": OrderedDict(), "_modules": OrderedDict()},
        }

    def __reduce__(self) -> tuple[Any, ...]:
        source = "raise SystemExit('this text must never run')"
        meta = {"type": "class", "version": 6, "module_src": source, "class_name": self.name, "state": self.attributes}
        return _reconstruct_persistent_obj, (meta,)


def persistent(
    name: str, state: Mapping[str, Tensor], *, of_layers: Mapping[str, Mapping[str, Any]], **arguments: Any
) -> Persistent:
    """A network of nested layers with these weights; layers of the names in `of_layers` have arguments, too."""
    network = Persistent(name, **arguments)
    for path, value in state.items():
        owner = network
        *inner, last = path.split(".")
        for step in inner:
            layer = Persistent("Layer", **of_layers.get(step, {}))
            owner = owner.attributes["_modules"].setdefault(step, layer)
        kind = "_buffers" if last in ("w_avg", "noise_const", "resample_filter") else "_parameters"
        owner.attributes[kind][last] = value if kind == "_buffers" else nn.Parameter(value)
    return network


def stylegan2_ada(
    path: Path,
    *,
    state: Mapping[str, Mapping[str, Tensor]] | None = None,
    networks: tuple[str, ...] = ("G", "D", "G_ema"),
    synthesis: Mapping[str, Any] | None = None,
    of_layers: Mapping[str, Mapping[str, Any]] | None = None,
    **of_discriminator: Any,
) -> Path:
    golden = Golden("stylegan2_ada").state if state is None else state
    generator = {
        "of_layers": of_layers or {},
        "z_dim": 32,
        "mapping_kwargs": EasyDict(num_layers=2),
        "synthesis_kwargs": EasyDict({"channel_base": 256, "channel_max": 24, "num_fp16_res": 4, **(synthesis or {})}),
    }
    halved = {name: value * 0.5 for name, value in golden["G"].items() if not name.endswith("resample_filter")}
    made = {
        "G": persistent("Generator", golden["G"], **generator),
        "D": persistent("Discriminator", golden["D"], of_layers=of_layers or {}, **of_discriminator),
        "G_ema": persistent("Generator", {**golden["G"], **halved}, **generator),
    }
    content = {name: made[name] for name in networks}
    EasyDict.__module__, EasyDict.__qualname__ = "dnnlib.util", "EasyDict"
    with importable(easy=EasyDict, function=_reconstruct_persistent_obj), path.open("wb") as file:
        pickle.dump({**content, "augment_pipe": None, "training_set_kwargs": EasyDict(path="x.zip")}, file)
    return path


# ---------------------------------------------------------------------- torch and NumPy


def biggan(path: Path, *, network: str = "G") -> Path:
    torch.save(OrderedDict(Golden("biggan").state[network]), path)
    return path


def gan_stability(path: Path, *, discriminator: Mapping[str, Tensor] | None = None, **settings: Any) -> Path:
    golden = Golden("gan_stability_resnet")
    wrapped = {
        network: OrderedDict((f"module.{name}", value) for name, value in golden.state[network].items())
        for network in ("G", "D")
    }
    content = {
        "it": 7,
        "generator": wrapped["G"],
        "discriminator": wrapped["D"]
        if discriminator is None
        else OrderedDict((f"module.{name}", value) for name, value in discriminator.items()),
        "g_optimizer": {"state": {}, "param_groups": [{"lr": 1e-4}]},
        "d_optimizer": {"state": {}, "param_groups": [{"lr": 1e-4}]},
        "generator_test": OrderedDict((name, value * 0.5) for name, value in wrapped["G"].items()),
    }
    torch.save(content, path, **settings)
    return path


def vgan(path: Path) -> Path:
    return gan_stability(path, discriminator=Golden("vgan_official").state["D"])


def sngan(path: Path, *, network: str = "G") -> Path:
    np.savez_compressed(
        path, **{name: value.numpy() for name, value in Golden("sngan_official").state[network].items()}
    )
    return path


def biggan_deep(path: Path, state: Mapping[str, Tensor], *, config: dict[str, Any] | None) -> Path:
    torch.save(OrderedDict(state), path)
    if config is not None:
        path.with_name(path.name.replace("pytorch_model.bin", "config.json")).write_text(json.dumps(config))
    return path


def introvae(path: Path, **settings: Any) -> Path:
    """Their whole model, pickled with its classes, as their code saves it."""
    golden = Golden("introvae")
    kind = type("IntroVAE", (nn.Module,), {"__module__": "networks"})
    part = type("Part", (nn.Module,), {"__module__": "networks"})
    model = kind()
    model.hdim = golden.config["hdim"]
    for child, network in (("encoder", "E"), ("decoder", "G")):
        for name, value in golden.state[network].items():
            owner = model
            *inner, last = f"{child}.{name}".split(".")
            for step in inner:
                if step not in owner._modules:
                    owner.add_module(step, nn.LeakyReLU(0.2) if step == "2" else part())
                owner = owner.get_submodule(step)
            if "running" in last or "num_batches" in last:
                owner.register_buffer(last, value)
            else:
                owner.register_parameter(last, nn.Parameter(value))
    model.encoder.main.add_module("pool", nn.AvgPool2d(2))
    with importable(model=kind, part=part), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the classes have no source, which the old format would contain
        torch.save({"epoch": 3, "model": model}, path, **settings)
    return path


def module_of(kind: type[nn.Module], weights: Mapping[str, Tensor], *, buffers: tuple[str, ...]) -> nn.Module:
    """A module of modules of one class, with these weights at the places that their names say."""
    whole = kind()
    for name, value in weights.items():
        owner = whole
        *inner, last = name.split(".")
        for step in inner:
            if step not in owner._modules:
                owner.add_module(step, kind())
            owner = owner.get_submodule(step)
        if last in buffers:
            owner.register_buffer(last, value)
        else:
            owner.register_parameter(last, nn.Parameter(value))
    return whole


def r3gan(path: Path, *, networks: tuple[str, ...] = ("G", "D", "G_ema")) -> Path:
    """A training snapshot: wrapped networks of a class whose source stands in the pickle, which must never run."""

    def rebuilt(meta: Any) -> None:
        raise AssertionError("the function of the pickle must never be called")

    rebuilt.__module__, rebuilt.__name__, rebuilt.__qualname__ = (
        "torch_utils.persistence",
        *["_reconstruct_persistent_obj"] * 2,
    )
    part = type("Network", (nn.Module,), {"__module__": "R3GAN.Networks"})

    def reduced(self: nn.Module) -> tuple[Any, ...]:
        source = "raise SystemExit('this text must never run')"
        meta = {"type": "class", "version": 6, "module_src": source, "class_name": "Wrapper", "state": self.__dict__}
        return rebuilt, (meta,)

    wrapper = type("Wrapper", (nn.Module,), {"__module__": "training.networks", "__reduce__": reduced})
    state, content = Golden("r3gan").state, {"cur_nimg": 7, "D_opt_state": {"step": 3}}
    for name in networks:
        weights = state["D" if name == "D" else "G"]
        factor = 0.5 if name == "G_ema" else 1.0
        scaled = {key: value if key.endswith("Kernel") else value * factor for key, value in weights.items()}
        whole = wrapper()
        whole.Model = module_of(part, scaled, buffers=("Kernel",))
        content[name] = whole
    with importable(rebuilt=rebuilt, part=part), path.open("wb") as file:
        pickle.dump(content, file)
    return path
