"""Our SNGAN computes what the authors' own networks compute."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, batch_norm, conv2d, interpolate, linear, normalize, relu

from lightning_gan.interop.sngan_official import networks
from lightning_gan.penalties import squared_gradient_norm
from tests.interop.goldens import Golden, relative_error

State = dict[str, Tensor]


@pytest.fixture(scope="module")
def golden() -> Golden:
    return Golden("sngan_official")


@torch.no_grad()
def test_images_equal_the_authors(golden: Golden) -> None:
    images = networks(golden.state, golden.config)["G"](golden["input/z"], golden["input/y"])
    # The golden's own images are that much off of what they are in double precision.
    assert relative_error(images, golden["output/image"]) < 2e-5


def test_logits_and_image_gradients_equal_the_authors(golden: Golden) -> None:
    images = golden["output/image"].clone().requires_grad_()
    logits = networks(golden.state, golden.config)["D"](images, golden["input/y"])
    assert relative_error(logits, golden["output/logits"]) < 2e-6
    assert relative_error(squared_gradient_norm(logits, images), golden["output/grad_norm2"]) < 2e-6


# ------------------------------------------------------------------ the other networks, written from the layers' table

GENERATOR_BLOCKS = {32: 3, 64: 4, 128: 5}
DISCRIMINATOR_BLOCKS = {32: 4, 64: 5, 128: 6}
HALVINGS = {32: 2, 64: 5, 128: 5}


class Random:
    """Arrays as Chainer's, none of which is at its beginning."""

    def __init__(self) -> None:
        self.random = torch.Generator().manual_seed(0)

    def normal(self, *shape: int, scale: float = 1.0) -> Tensor:
        return scale * torch.randn(shape, generator=self.random)

    def layer(self, name: str, *shape: int, bias: bool = True, normalized: bool = False) -> State:
        state = {f"{name}/W": self.normal(*shape, scale=1 / math.sqrt(math.prod(shape[1:])))}
        if bias:
            state[f"{name}/b"] = self.normal(shape[0], scale=0.1)
        if normalized:
            state[f"{name}/u"] = self.normal(1, shape[0])
        return state

    def norm(self, name: str, channels: int, *, classes: int) -> State:
        tables = {"gammas/W": 1.0, "betas/W": 0.0} if classes else {"gamma": 1.0, "beta": 0.0}
        shape = (classes, channels) if classes else (channels,)
        state = {f"{name}/{table}": start + self.normal(*shape, scale=0.2) for table, start in tables.items()}
        state[f"{name}/avg_mean"] = self.normal(channels, scale=0.2)
        state[f"{name}/avg_var"] = 0.5 + self.normal(channels).square()
        state[f"{name}/N"] = torch.tensor(7)
        return state


def random_generator(size: int, *, classes: int, channels: int) -> State:
    random, last = Random(), GENERATOR_BLOCKS[size] + 2
    state: State = {}
    widths = range(GENERATOR_BLOCKS[size] + 4, 3, -1)
    state |= random.layer("l1", widths[0] * 16, 6)
    for number in range(2, last):
        before, after = widths[number - 2], widths[number - 1]
        state |= random.layer(f"block{number}/c1", after, before, 3, 3)
        state |= random.layer(f"block{number}/c2", after, after, 3, 3)
        state |= random.layer(f"block{number}/c_sc", after, before, 1, 1)
        state |= random.norm(f"block{number}/b1", before, classes=classes)
        state |= random.norm(f"block{number}/b2", after, classes=classes)
    state |= random.norm(f"b{last}", widths[-1], classes=0)
    return state | random.layer(f"c{last}" if size == 32 else f"l{last}", channels, widths[-1], 3, 3)


def random_discriminator(size: int, *, classes: int, channels: int) -> State:
    random, blocks = Random(), DISCRIMINATOR_BLOCKS[size]
    state: State = {}
    widths = [channels, *range(4, 4 + blocks)] if size != 32 else [channels, 5, 5, 5, 5]
    for number in range(1, blocks + 1):
        before, after = widths[number - 1], widths[number]
        hidden = after if number == 1 else before
        state |= random.layer(f"block{number}/c1", hidden, before, 3, 3, normalized=True)
        state |= random.layer(f"block{number}/c2", after, hidden, 3, 3, normalized=True)
        if number <= HALVINGS[size] or before != after:
            state |= random.layer(f"block{number}/c_sc", after, before, 1, 1, normalized=True)
    state |= random.layer(f"l{blocks + 1}", 1, widths[-1], bias=size != 32, normalized=True)
    if classes:
        state |= random.layer("l_y", classes, widths[-1], bias=False, normalized=True)
    return state


def images_of(state: State, latents: Tensor, labels: Tensor | None, *, size: int) -> Tensor:
    def norm(name: str, features: Tensor) -> Tensor:
        mean, variance = state[f"{name}/avg_mean"], state[f"{name}/avg_var"]
        if f"{name}/gamma" in state:
            return batch_norm(features, mean, variance, state[f"{name}/gamma"], state[f"{name}/beta"], eps=2e-5)
        gain, bias = state[f"{name}/gammas/W"][labels], state[f"{name}/betas/W"][labels]
        return batch_norm(features, mean, variance, eps=2e-5) * gain[:, :, None, None] + bias[:, :, None, None]

    def conv(name: str, features: Tensor, *, padding: int = 1) -> Tensor:
        return conv2d(features, state[f"{name}/W"], state[f"{name}/b"], padding=padding)

    last = GENERATOR_BLOCKS[size] + 2
    features = linear(latents, state["l1/W"], state["l1/b"]).reshape(len(latents), -1, 4, 4)
    for number in range(2, last):
        block = f"block{number}"
        hidden = conv(f"{block}/c1", interpolate(relu(norm(f"{block}/b1", features)), scale_factor=2))
        hidden = conv(f"{block}/c2", relu(norm(f"{block}/b2", hidden)))
        features = hidden + conv(f"{block}/c_sc", interpolate(features, scale_factor=2), padding=0)
    output = f"c{last}" if size == 32 else f"l{last}"
    return conv(output, relu(norm(f"b{last}", features))).tanh()


def logits_of(state: State, images: Tensor, labels: Tensor | None, *, size: int) -> Tensor:
    def normalized(name: str) -> Tensor:
        matrix, u = state[f"{name}/W"].flatten(1), state[f"{name}/u"].flatten()
        v = normalize(matrix.T @ u, dim=0)
        weight: Tensor = state[f"{name}/W"] / (matrix @ v).norm()
        return weight

    def conv(name: str, features: Tensor, *, padding: int = 1) -> Tensor:
        return conv2d(features, normalized(name), state[f"{name}/b"], padding=padding)

    features = images
    for number in range(1, DISCRIMINATOR_BLOCKS[size] + 1):
        block = f"block{number}"
        hidden = conv(f"{block}/c2", relu(conv(f"{block}/c1", features if number == 1 else relu(features))))
        if f"{block}/c_sc/W" in state:
            features = conv(f"{block}/c_sc", features, padding=0)
        features = features + hidden
        if number <= HALVINGS[size]:
            features = avg_pool2d(features, 2)
    pooled = relu(features).sum(dim=(2, 3))
    last = f"l{DISCRIMINATOR_BLOCKS[size] + 1}"
    logits = linear(pooled, normalized(last), state.get(f"{last}/b"))
    if labels is not None:
        # The step that gave the stored u; its norm is 1 / |pinv(W) u|.
        weight, u = state["l_y/W"], state["l_y/u"].flatten()
        vectors = (weight * (torch.linalg.pinv(weight) @ u).norm())[labels]
        logits = logits + (vectors * pooled).sum(dim=1, keepdim=True)
    return logits


def iterated(state: State) -> State:
    """With the embedding's u as it is in training: near the singular vector."""
    weight, u = state["l_y/W"], state["l_y/u"].flatten()
    for _ in range(20):
        u = normalize(weight @ (weight.T @ u), dim=0)
    return {**state, "l_y/u": u[None]}


@pytest.mark.parametrize("size", [32, 64, 128])
@pytest.mark.parametrize(("classes", "channels"), [(0, 3), (0, 1), (3, 3)])
@torch.no_grad()
def test_every_network_of_theirs_is_imported_from_its_weights(size: int, classes: int, channels: int) -> None:
    state = {
        "G": random_generator(size, classes=classes, channels=channels),
        "D": random_discriminator(size, classes=classes, channels=channels),
    }
    if classes:
        state["D"] = iterated(state["D"])
    imported = networks(state, {"resolution": size})
    latents, labels = Random().normal(2, 6), torch.tensor([2, 0]) if classes else None
    images = images_of(state["G"], latents, labels, size=size)
    assert images.shape == (2, channels, size, size)
    assert relative_error(imported["G"](latents, labels), images) < 1e-5
    logits = logits_of(state["D"], images, labels, size=size)
    assert relative_error(imported["D"](images, labels), logits) < 5e-5


@torch.no_grad()
def test_an_embedding_whose_weights_have_moved_keeps_the_norm_that_its_vector_gives() -> None:
    """Of W = diag(1, 0.001) and u = (1, 0.1), pinv(W) u points the wrong way, along the second column."""
    state = random_discriminator(64, classes=2, channels=3)
    state["l_y/W"] = torch.zeros(2, 8)
    state["l_y/W"][0, 0], state["l_y/W"][1, 1] = 1.0, 0.001
    state["l_y/u"] = normalize(torch.tensor([[1.0, 0.1]]))
    discriminator = networks({"D": state}, {"resolution": 64})["D"]
    vectors = discriminator.get_submodule("head.embedding").weight
    assert isinstance(vectors, Tensor)
    assert vectors[0, 0].item() == pytest.approx(1.0, abs=0.02)


def test_one_network_alone_can_be_imported(golden: Golden) -> None:
    assert networks({"D": golden.state["D"]}, golden.config).keys() == {"D"}


@pytest.mark.parametrize(("size", "message"), [(64, "image_size=64"), (256, "image_size=256")])
def test_another_size_is_refused(golden: Golden, size: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        networks(golden.state, {"resolution": size})


def test_the_concatenating_discriminator_is_refused() -> None:
    state = random_discriminator(64, classes=3, channels=3)
    state |= Random().layer("block4/c1", 6, 6 + 128, 3, 3, normalized=True)
    with pytest.raises(ValueError, match="concatenates"):
        networks({"D": state}, {"resolution": 64})


def test_foreign_names_and_missing_weights_are_refused(golden: Golden) -> None:
    with pytest.raises(ValueError, match="attention/W"):
        networks({"G": {**golden.state["G"], "attention/W": torch.zeros(1)}}, golden.config)
    with pytest.raises(ValueError, match="l1/W"):
        networks({"G": {name: value for name, value in golden.state["G"].items() if name != "l1/W"}}, golden.config)
    for network, name in (("G", "block2/b1/avg_var"), ("D", "block1/c1/u")):
        state = {other: value for other, value in golden.state[network].items() if other != name}
        with pytest.raises(RuntimeError, match="Missing"):
            networks({network: state}, golden.config)
