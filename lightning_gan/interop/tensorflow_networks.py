"""The pickled networks of the authors' PGGAN and StyleGAN (TensorFlow): their variables and their settings.

A pickle has three of them: the generator, the discriminator and the generator with averaged weights. Each has the text
of the source of its network, which is not looked at; the settings it was built with (`static_kwargs`); its variables as
arrays by name; and, in StyleGAN, the networks that it consists of (`components`).
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from lightning_gan.interop.restricted_pickle import Recorded


@dataclass(frozen=True, kw_only=True)
class TensorFlowNetwork:
    """A pickled network.

    Attributes:
        variables: its own variables by name, in TensorFlow's layout.
        settings: the settings that it was built with; those of its components are among them.
        components: the networks that it consists of, by name.
    """

    variables: dict[str, Tensor]
    settings: dict[str, Any]
    components: "dict[str, TensorFlowNetwork]"


def networks_in(content: Any) -> list[TensorFlowNetwork] | None:
    """The generator, the discriminator and the averaged generator of a pickle; None if it is no such pickle.

    Args:
        content: content of the file.
    """
    if not isinstance(content, list | tuple) or len(content) != 3:
        return None
    networks = [_network(part) for part in content]
    return None if any(network is None for network in networks) else [one for one in networks if one is not None]


def _network(value: Any) -> TensorFlowNetwork | None:
    state = value.state if isinstance(value, Recorded) else None
    if not isinstance(state, dict) or not {"variables", "static_kwargs"} <= state.keys():
        return None
    components: dict[str, TensorFlowNetwork] = {}
    for name, component in (state.get("components") or {}).items():
        inner = _network(component)
        if inner is None:
            return None
        components[name] = inner
    settings = dict(state["static_kwargs"])
    for inner in components.values():
        settings = {**inner.settings, **settings}
    variables = {str(name): array for name, array in state["variables"] if isinstance(array, Tensor)}
    return TensorFlowNetwork(
        variables=variables,
        settings={str(name): _setting(item) for name, item in settings.items()},
        components=components,
    )


def _setting(value: Any) -> Any:
    """A setting as plain data: numbers of NumPy are Python numbers."""
    return value.tolist() if isinstance(value, Tensor) else value


def sizes_of(generator: Mapping[str, Tensor], discriminator: Mapping[str, Tensor]) -> dict[str, int]:
    """The sizes that the shapes of the variables tell, by the authors' names.

    Args:
        generator: variables of the network that makes images.
        discriminator: variables of the discriminator.

    Raises:
        ValueError: if variables are missing without which the sizes are not known.
    """
    resolutions = sorted({int(name.split("x")[0]) for name in generator if "x" in name.split("/")[0]})
    widths = {size: len(generator[_last_bias(generator, size)]) for size in resolutions}
    if "4x4/Dense0/bias" not in discriminator or "ToRGB_lod0/bias" not in generator or 4 not in widths:
        raise ValueError(
            "the pickled networks have no layers at 4x4, or none of the full resolution; give another file"
        )
    largest = len(discriminator["4x4/Dense0/bias"])  # min(fmap_base, fmap_max)
    below = [2 ** (size.bit_length() - 2) * width for size, width in widths.items() if width < largest]
    return {
        "resolution": resolutions[-1],
        "num_channels": len(generator["ToRGB_lod0/bias"]),
        "fmap_max": largest,
        "fmap_base": below[0] if below else largest * 2 ** (resolutions[-1].bit_length() - 2),
    }


def growth_of(lod: float, *, resolution: int) -> tuple[int, float]:
    """The active resolution and the weight of its block, of the authors' level of detail.

    Args:
        lod: level of detail: 0 at the full resolution, 1 at half of it.
        resolution: full resolution in pixels.

    Example:
        >>> growth_of(1.25, resolution=64)
        (32, 0.75)
    """
    return resolution // 2 ** math.floor(lod), 1 - (lod - math.floor(lod))


def ignored_settings(networks: Sequence[TensorFlowNetwork], *, known: Collection[str]) -> list[str]:
    """Remarks on settings of the file that do not change what the networks compute, or that are not known here.

    Args:
        networks: the pickled networks.
        known: settings that are used.
    """
    names = sorted({name for network in networks for name in network.settings} - set(known))
    return [f"{name}={value}" for name in names for value in [_first(networks, name)]]


def _first(networks: Sequence[TensorFlowNetwork], name: str) -> Any:
    return next(network.settings[name] for network in networks if name in network.settings)


def _last_bias(variables: Mapping[str, Tensor], size: int) -> str:
    """The name of the bias of a resolution's last layer, which has one number for each feature map."""
    for layer in ("Conv1", "Conv"):
        if f"{size}x{size}/{layer}/bias" in variables:
            return f"{size}x{size}/{layer}/bias"
    raise ValueError(f"the pickled network has no bias at {size}x{size}; give another file")
