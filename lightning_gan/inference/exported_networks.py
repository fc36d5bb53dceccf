"""The networks of a model as functions of tensors, which exporters take: latents to images, and images to codes."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor, nn

from lightning_gan.loop.autoencoder import Autoencoder
from lightning_gan.loop.gan import GAN
from lightning_gan.tensors.shapes import Images, Labels, Latents

SEED = 20
"""Seed of the latents with which files are checked."""

BATCH_SIZES = (1, 3, 5)
"""Numbers of images with which files are checked; none is `EXAMPLES`."""

EXAMPLES = 2
"""Number of images with which a graph is recorded. A graph that fixes this number fails the check."""


class SampledImages(nn.Module):
    """`GAN.sample` as a module, for exporters, which take nothing else.

    It registers no weights. Exporters then keep exactly the tensors that the function uses: those of the sampled
    generator, and not those of the discriminator.

    Args:
        model: model in evaluation mode, whose weights require no gradients.
        truncation: strength of the truncation trick; 1 samples the whole distribution.
    """

    def __init__(self, model: GAN, *, truncation: float) -> None:
        super().__init__()
        self.sample = partial(model.sample, truncation=truncation)

    def forward(self, latents: Latents, labels: Labels | None = None) -> Images:
        """Images in [-1, 1], `batch channels height width`, of latents of the prior and of class indices."""
        return self.sample(latents, labels)


class CodesOfImages(nn.Module):
    """`Autoencoder.encode` as a module, as in `SampledImages`.

    Args:
        model: model in evaluation mode, whose weights require no gradients.
    """

    def __init__(self, model: Autoencoder) -> None:
        super().__init__()
        self.encode = partial(model.encode)

    def forward(self, images: Images) -> Latents:
        """Codes, `batch latent_dim`, of images in [-1, 1]."""
        return self.encode(images)


@dataclass(frozen=True, kw_only=True)
class ExportedNetwork:
    """A network that is exported.

    Attributes:
        name: its name, with which the names of its files begin.
        function: the function that it computes, as a module.
        weights: the submodule of the model that has its weights.
        belongs_to: attribute path in the model where `weights` are loaded.
        input_names: names of the function's inputs.
        output_name: name of its output.
        inputs: returns inputs for a number of images. The first dimension of each is the batch.
    """

    name: str
    function: nn.Module
    weights: nn.Module
    belongs_to: str
    input_names: tuple[str, ...]
    output_name: str
    inputs: Callable[[int], tuple[Tensor, ...]]

    @cached_property
    def graph(self) -> torch.export.ExportedProgram:
        """The graph of the function, in which the first dimension of all inputs may have any size."""
        batch = torch.export.Dim("batch", min=1)
        shapes = {name: {0: batch} for name in self.input_names}
        with torch.no_grad():
            # Not strict: the Python code itself is run, whose context managers a strict export refuses.
            return torch.export.export(self.function, self.inputs(EXAMPLES), dynamic_shapes=shapes, strict=False)


def exported_networks(model: GAN, *, truncation: float) -> list[ExportedNetwork]:
    """The networks of a model that are exported: the sampled generator, and the encoder if there is one.

    Args:
        model: model on the CPU, in evaluation mode.
        truncation: strength of the truncation trick of the generator.

    Raises:
        ValueError: if the model makes no images, or has no truncation trick and `truncation` is not 1.
    """
    if not model.makes_images:
        raise ValueError(f"{type(model).__name__} makes no images, so that it cannot be exported; give another model")

    def latents(count: int) -> tuple[Tensor, ...]:
        return tuple(part for part in model.draw_latents(count, seed=SEED) if part is not None)

    generator = ExportedNetwork(
        name="generator",
        function=SampledImages(model, truncation=truncation).eval(),
        weights=model.sampling_generator,
        belongs_to="generator",
        input_names=("latents", "labels") if model.number_of_classes else ("latents",),
        output_name="images",
        inputs=latents,
    )
    generator.function(*latents(EXAMPLES))  # refuses a truncation that the model does not have
    if not isinstance(model, Autoencoder):
        return [generator]
    encoder = ExportedNetwork(
        name="encoder",
        function=CodesOfImages(model).eval(),
        weights=model.encoding_network(),
        belongs_to=_path_of(model.encoding_network(ema=False), model),
        input_names=("images",),
        output_name="codes",
        inputs=lambda count: (model.sample(count, seed=SEED),),
    )
    return [generator, encoder]


def _path_of(network: nn.Module, model: nn.Module) -> str:
    paths: list[str] = [path for path, module in model.named_modules() if module is network]
    return paths[0]


@torch.no_grad()
def largest_difference(run: Callable[..., Tensor], network: ExportedNetwork) -> tuple[float, list[int]]:
    """The largest difference between a function that was read from a file and the network, and the batch sizes tried.

    It is relative to the largest value of the output if that is above 1, as it may be in codes.

    Args:
        run: the function from the file.
        network: the network that was exported.

    Raises:
        ValueError: if an output has another shape, or a value that is not finite.
    """
    largest, tried = 0.0, []
    for count in BATCH_SIZES:
        inputs = _inputs_if_possible(network, count)
        if inputs is None:
            continue
        expected = network.function(*inputs)
        result = run(*inputs)
        if result.shape != expected.shape or not result.isfinite().all():
            raise ValueError(
                f"the exported {network.name} gives {list(result.shape)} for {count} images and not finite values of "
                f"{list(expected.shape)}; export it in another format (--formats)"
            )
        largest = max(largest, _relative(result - expected, expected))
        tried.append(count)
    return largest, tried


@torch.no_grad()
def rounding_of(network: ExportedNetwork) -> float:
    """How much the output of a network changes if its weights are rounded differently.

    In a StyleGAN that was hardly trained, the first layer divides by the standard deviation of an input that is nearly
    constant. Its images are then determined by its weights to a few hundredths only, whatever computes them.

    Args:
        network: a network, whose weights change while it is computed, and are afterwards the same as before.

    Returns:
        The largest relative change, as in `largest_difference`, if each weight is moved by its rounding (2^-23).
    """
    weights = [weight for weight in network.weights.parameters() if weight.is_floating_point()]
    before = [weight.clone() for weight in weights]
    generator = torch.Generator().manual_seed(SEED)
    inputs = network.inputs(max(BATCH_SIZES))
    expected = network.function(*inputs)
    try:
        for weight in weights:
            weight.mul_(1.0 + 2.0**-23 * torch.randn(weight.shape, generator=generator))
        return _relative(network.function(*inputs) - expected, expected)
    finally:
        for weight, value in zip(weights, before, strict=True):
            weight.copy_(value)


def _relative(difference: Tensor, expected: Tensor) -> float:
    return difference.abs().max().item() / max(1.0, expected.abs().max().item())


def _inputs_if_possible(network: ExportedNetwork, count: int) -> tuple[Tensor, ...] | None:
    """Inputs for a number of images; None for one image in a network that normalizes over the batch."""
    try:
        inputs = network.inputs(count)
        network.function(*inputs)
    except ValueError as error:
        if count == 1 and "more than 1 value per channel" in str(error):  # a message of torch
            return None
        raise
    return inputs


def description_of(network: ExportedNetwork) -> dict[str, Any]:
    """The shapes and types of a network's inputs and of its output, as plain data."""
    inputs = network.inputs(EXAMPLES)
    output = network.function(*inputs)
    tensors = dict(zip((*network.input_names, network.output_name), (*inputs, output), strict=True))
    return {
        name: f"{str(tensor.dtype).removeprefix('torch.')}, {' x '.join(['batch', *map(str, tensor.shape[1:])])}"
        for name, tensor in tensors.items()
    }
