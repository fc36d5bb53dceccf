"""Import of weights from the authors' SNGAN (Chainer, `sngan_projection`: `resnet*.py` and `snresnet*.py`).

Blocks are `block2`, `block3` ... in the generator and `block1`, `block2` ... in the discriminator, each with the
convolutions `c1`, `c2`, `c_sc`. The first linear layer is `l1`, and the last layers have the number after the last
block's: `b5`, `c5` (or `l5`). The projection's embedding is `l_y`. Weights have the same layout as in this package.

Spectral normalization is stored as `u`. Every forward pass of a layer does one step of power iteration from it, also in
evaluation mode, where the step is not kept. This package does no step in evaluation mode, so one step is done during
the import. Only the embedding keeps its steps in evaluation mode: its stored `u` is that after its last forward pass,
and the norm of that pass is imported.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from lightning_gan.interop.foreign_file import is_state
from lightning_gan.interop.foreign_format import ForeignFiles, ForeignFormat, ImportedNetworks, counted
from lightning_gan.models.sngan import ARCHITECTURES, Discriminator, Generator

_NAME = re.compile(r"(block(?P<block>\d+)/)?(?P<layer>[bcl](\d+|_sc|_y))/(?P<variable>(gammas/|betas/)?\w+)")
_IN_BLOCK = {"c1": "conv1", "c2": "conv2", "c_sc": "shortcut", "b1": "norm1", "b2": "norm2"}
_VARIABLES = {
    "W": "weight",
    "b": "bias",
    "gamma": "affine.gain",
    "beta": "affine.bias",
    "gammas/W": "affine.gain",
    "betas/W": "affine.bias",
    "avg_mean": "running_mean",
    "avg_var": "running_variance",
}
"""Names of variables of layers without spectral normalization; "gammas" and "betas" have a row for each class."""
_NORMALIZED = {"W": "parametrizations.weight.original", "b": "bias"}
"""Names of variables of layers with spectral normalization."""


def networks(state: dict[str, dict[str, Tensor]], config: dict[str, Any]) -> dict[str, nn.Module]:
    """Builds the networks whose weights are given, the generator "G" and the discriminator "D", in evaluation mode.

    The weights decide whether there are classes, and the widths. The running averages of batch normalization and the
    vectors of spectral normalization are also imported.

    Args:
        state: weights by network, `G` and `D`, and by the authors' names, including `u` and statistics.
        config: `resolution`, the height and width of the images in pixels. All other settings are taken from the
            weights.

    Raises:
        ValueError: for a size that this package does not have or that does not fit the weights, for the discriminator
            that concatenates classes instead of projecting, and for names that the authors' code does not have.
        RuntimeError: if weights are missing, left over, or of the wrong shape.
    """
    imported: dict[str, nn.Module] = {}
    if "G" in state:
        imported["G"] = _generator(state["G"], image_size=config["resolution"]).eval()
    if "D" in state:
        imported["D"] = _discriminator(state["D"], image_size=config["resolution"]).eval()
    return imported


def _generator(weights: dict[str, Tensor], *, image_size: int) -> Generator:
    blocks = _blocks(weights)
    # The last convolution is a "c" at 32x32 and an "l" at the other sizes.
    output = f"c{blocks[-1] + 1}" if f"c{blocks[-1] + 1}/W" in weights else f"l{blocks[-1] + 1}"
    number_of_classes = len(weights.get(f"block{blocks[0]}/b1/gammas/W", ()))
    generator = Generator(
        image_size=image_size,
        image_channels=_shape(weights, f"{output}/W")[0],
        number_of_classes=number_of_classes,
        latent_dim=_shape(weights, "l1/W")[1],
        widths=[
            *(_shape(weights, f"block{block}/c1/W")[1] for block in blocks),
            _shape(weights, f"block{blocks[-1]}/c2/W")[0],
        ],
        batch_norm_across_ranks=True,
    )
    heads = {"l1": "input", f"b{blocks[-1] + 1}": "norm", output: "output"}
    renamed: dict[str, Tensor] = {}
    for name, value in weights.items():
        layer, variable = _place(name, blocks=blocks, heads=heads)
        if variable == "N":  # the number of batches in the averages
            continue
        # In this package the gains of classes are stored minus 1.
        renamed[f"{layer}.{_VARIABLES.get(variable, variable)}"] = value - 1 if variable == "gammas/W" else value
    # Statistics that this package can collect for sampling; the authors' code has none.
    standing = {name: value for name, value in generator.state_dict().items() if ".standing_" in name}
    generator.load_state_dict({**standing, **renamed})
    return generator


def _discriminator(weights: dict[str, Tensor], *, image_size: int) -> Discriminator:
    blocks = _blocks(weights)
    entrances = [_shape(weights, f"block{block}/c1/W")[1] for block in blocks]
    exits = [_shape(weights, f"block{block}/c2/W")[0] for block in blocks]
    if entrances[1:] != exits[:-1]:
        raise ValueError(
            f"the blocks take {entrances} feature maps and give {exits}: the discriminator that concatenates classes "
            "(snresnet_concat) cannot be imported, only those that project or have none"
        )
    discriminator = Discriminator(
        image_size=image_size,
        image_channels=entrances[0],
        number_of_classes=len(weights.get("l_y/W", ())),
        widths=exits,
    )
    heads = {f"l{blocks[-1] + 1}": "head.linear", "l_y": "head.embedding"}
    renamed: dict[str, Tensor] = {}
    for name, value in weights.items():
        layer, variable = _place(name, blocks=blocks, heads=heads)
        if variable == "u":
            matrix = weights[f"{name.removesuffix('/u')}/W"].flatten(1)
            left, right = (_before if layer == "head.embedding" else _ahead)(matrix, value.flatten())
            renamed[f"{layer}.parametrizations.weight.0.left"] = left
            renamed[f"{layer}.parametrizations.weight.0.right"] = right
        else:
            renamed[f"{layer}.{_NORMALIZED.get(variable, variable)}"] = value
    discriminator.load_state_dict(renamed)
    return discriminator


def _blocks(weights: dict[str, Tensor]) -> list[int]:
    """Returns the numbers of the blocks."""
    matches = (_NAME.fullmatch(name) for name in weights)
    numbers = sorted({int(match["block"]) for match in matches if match is not None and match["block"]})
    if not numbers:
        raise ValueError(f"there is no block among the variables of sngan_projection: {', '.join(weights)}")
    return numbers


def _shape(weights: dict[str, Tensor], name: str) -> list[int]:
    if name not in weights:
        raise ValueError(f"{name!r} is missing among the variables")
    return list(weights[name].shape)


def _place(name: str, *, blocks: list[int], heads: dict[str, str]) -> tuple[str, str]:
    """Returns our name of the layer, and the authors' name of the variable in it."""
    match = _NAME.fullmatch(name)
    if match is not None:
        layer, block = match["layer"], match["block"]
        if block is None and layer in heads:
            return heads[layer], match["variable"]
        if block is not None and layer in _IN_BLOCK:
            return f"blocks.{blocks.index(int(block))}.{_IN_BLOCK[layer]}", match["variable"]
    raise ValueError(f"{name!r} is no variable of the networks in sngan_projection that ours has")


def _ahead(matrix: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """Returns both singular vectors after one step of power iteration: ``v = W'u``, then ``u = Wv``, normalized."""
    right = normalize(matrix.T @ u, dim=0, eps=1e-12)
    return normalize(matrix @ right, dim=0, eps=1e-12), right


def _before(matrix: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """Returns both singular vectors of the step that gave ``u``: the ``v`` with ``Wv`` along ``u`` is ``pinv(W) u``."""
    right = normalize((torch.linalg.pinv(matrix.double()) @ u.double()), dim=0).to(matrix.dtype)
    forward = normalize(matrix.T @ u, dim=0, eps=1e-12)
    # If the weights have changed since that step, small singular values amplify the difference to large errors.
    fits = torch.dot(u, matrix @ right) > 0.95 * torch.dot(u, matrix @ forward)
    return u, right if fits else forward


# ---------------------------------------------------------------------- the files ResNetGenerator_....npz


def _is_generator(content: Any) -> bool:
    return is_state(content) and {"l1/W", "block2/c1/W"} <= content.keys() and "block2/b1/avg_mean" in content


def _is_discriminator(content: Any) -> bool:
    return is_state(content) and {"block1/c1/W", "block1/c1/u"} <= content.keys()


def _read(files: ForeignFiles, options: Mapping[str, Any]) -> ImportedNetworks:
    if files.averaged is not None:
        raise ValueError("SNGAN's code has no averaged weights; leave --averaged out")
    if not _is_generator(files.main):
        raise ValueError(
            "the first file is no generator (ResNetGenerator_....npz); give that, and this --discriminator"
        )
    if files.discriminator is not None and not _is_discriminator(files.discriminator):
        raise ValueError("--discriminator is no discriminator of SNGAN's code (SNResNet...Discriminator_....npz)")
    state = {"G": files.main, **({} if files.discriminator is None else {"D": files.discriminator})}
    config = {"resolution": _image_size(files.main)}
    imported = networks(state, config)
    generator = imported["G"]
    assert isinstance(generator, Generator)
    blocks = _blocks(files.main)
    settings: dict[str, Any] = {
        "image_size": config["resolution"],
        "image_channels": generator.output.out_channels,
        "number_of_classes": len(files.main.get(f"block{blocks[0]}/b1/gammas/W", ())),
        "latent_dim": _shape(files.main, "l1/W")[1],
        "generator_widths": [
            *(_shape(files.main, f"block{block}/c1/W")[1] for block in blocks),
            _shape(files.main, f"block{blocks[-1]}/c2/W")[0],
        ],
    }
    if files.discriminator is not None:
        of_discriminator = _blocks(files.discriminator)
        settings["discriminator_widths"] = [
            _shape(files.discriminator, f"block{block}/c2/W")[0] for block in of_discriminator
        ]
    paths = {"G": "generator", "D": "discriminator"}
    files_of = {"G": "the first file", "D": "--discriminator"}
    return ImportedNetworks(
        class_path="lightning_gan.models.sngan.SNGAN",
        settings=settings,
        networks={paths[name]: network for name, network in imported.items()},
        sources={paths[name]: counted(files_of[name], weights) for name, weights in state.items()},
    )


def _image_size(weights: dict[str, Tensor]) -> int:
    """The size of the images: the lowest resolution, doubled by every block."""
    blocks = _blocks(weights)
    features = _shape(weights, f"block{blocks[0]}/c1/W")[1]
    size: int = math.isqrt(_shape(weights, "l1/W")[0] // features) * 2 ** len(blocks)
    if size not in ARCHITECTURES:
        raise ValueError(
            f"the generator makes images of {size}x{size}, and SNGAN has networks for "
            f"{', '.join(map(str, ARCHITECTURES))}; give another file"
        )
    return size


FORMAT = ForeignFormat(
    title="SNGAN of its authors (Chainer: ResNetGenerator_....npz, and SNResNet...Discriminator_....npz)",
    recognises=lambda content: _is_generator(content) or _is_discriminator(content),
    read=_read,
    separate_files=True,
)
