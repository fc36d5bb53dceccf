"""What does not fit the model in the first batch is one line with a remedy that works, before the first step."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from lightning_gan.layers.batch_norm import BatchNorm
from lightning_gan.layers.normalization import MinibatchStddev
from lightning_gan.loop.batches import fitting_labels
from lightning_gan.loop.first_batch import check_fits
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.settings import Training
from tests.toys import SIZE, ToyCritic, ToyGenerator, toy_gan, toy_images, toy_loader, toy_trainer

FLOATS = toy_images(16)
BYTES = ((FLOATS + 1) * 127.5).byte()
CLASSES = torch.arange(16) % 3
ROWS = nn.functional.one_hot(CLASSES, 3)


class Of(Dataset[Any]):
    """A data set whose items a function makes."""

    def __init__(self, item: Callable[[int], Any]) -> None:
        self.item = item

    def __len__(self) -> int:
        return 16

    def __getitem__(self, index: int) -> Any:
        return self.item(index)


def tensors(*values: Tensor) -> Any:
    return DataLoader(TensorDataset(*values), batch_size=4)


def items(item: Callable[[int], Any]) -> Any:
    return DataLoader(Of(item), batch_size=4)


def at(row: int, value: float) -> Tensor:
    images = FLOATS.clone()
    images[row, 0, 2, 2] = value
    return images


def labels_at(row: int, value: int) -> Tensor:
    labels = CLASSES.clone()
    labels[row] = value
    return labels


FORMS = r'images, \(images, labels\), or \{"image": images, "label": labels\}'

BAD: list[tuple[str, Any, int, str]] = [
    # what is wrong, the loader, the classes of the model, the message
    ("[0, 1]", tensors((FLOATS + 1) / 2), 0, r"from 0\.\d+ to 0\.96\d*, which looks like \[0, 1\].*images \* 2 - 1;"),
    ("[0, 255]", tensors(BYTES.float()), 0, r"looks like \[0, 255\].*images / 127\.5 - 1, or images\.byte\(\);"),
    (
        "the data's own mean",
        tensors(FLOATS / 0.3),
        0,
        r"from -3\.\d+ to 3\.\d+.*standard deviation of 0\.5.*pixel_range",
    ),
    ("not a number", tensors(at(1, torch.nan)), 0, r"a pixel of the first batch is nan; find the images"),
    ("infinite", tensors(at(2, -torch.inf)), 0, r"a pixel of the first batch is -inf; find the images"),
    ("int64", tensors(BYTES.long()), 0, r"are int64; give images\.byte\(\) if the values are 0 to 255"),
    ("int32", tensors(BYTES.int()), 0, r"are int32; give images\.byte\(\)"),
    (
        "uint16",
        tensors((BYTES.int() * 257).to(torch.uint16)),
        0,
        r"are uint16; give images\.float\(\) / 65535 \* 2",
    ),
    ("signed", tensors(BYTES.short() * 200 - 25000), 0, r"are int16; give images\.float\(\) / 32768 if"),
    ("int16", tensors(BYTES.short() * 100), 0, r"are int16; give images\.float\(\) / 32767 \* 2 - 1"),
    ("bool", tensors(BYTES > 100), 0, r"are bool; give images\.float\(\) \* 2 - 1"),
    ("complex", tensors(FLOATS.to(torch.complex64)), 0, r"are complex64; give real numbers"),
    ("double", tensors(FLOATS.double()), 0, r"float64, but the weights are float32; give images\.to\(torch\.float32\)"),
    ("half", tensors(FLOATS.half()), 0, r"float16, but the weights are float32"),
    ("channels last", tensors(FLOATS.permute(0, 2, 3, 1)), 0, r"4 x 4 x 1 .* 1 x 4 x 4 .*permute\(0, 3, 1, 2\)"),
    ("no channel", tensors(FLOATS[:, 0]), 0, r"shape \[4, 4, 4\]; .*images\.unsqueeze\(1\)"),
    ("flat", tensors(FLOATS.flatten(1)), 0, r"shape \[4, 16\]; .*\[batch, channels, height, width\]: reshape"),
    ("video", tensors(FLOATS[:, None]), 0, r"shape \[4, 1, 1, 4, 4\]; .*images\.flatten\(0, 1\)"),
    ("smaller", tensors(FLOATS[:, :, :3, :3]), 0, r"1 x 3 x 3 .* 1 x 4 x 4 .*resize the images to 4 x 4 pixels"),
    ("not square", tensors(FLOATS[:, :, :2]), 0, r"1 x 2 x 4 .*resize the images to 4 x 4 pixels"),
    ("colour", tensors(FLOATS.repeat(1, 3, 1, 1)), 0, r"give images\.mean\(1, keepdim=True\), or a model of 3"),
    (
        "colour bytes",
        tensors(BYTES.repeat(1, 3, 1, 1)),
        0,
        r"images\.float\(\)\.mean\(1, keepdim=True\)\.byte\(\)",
    ),
    ("two channels", tensors(FLOATS.repeat(1, 2, 1, 1)), 0, r"give images of 1 channels, or a model of 2"),
    ("float indices", tensors(BYTES, CLASSES.float()), 3, r"labels are float32, and class indices .*labels\.long\(\)"),
    ("bool labels", tensors(BYTES, CLASSES > 0), 3, r"labels are bool, .*labels\.long\(\)"),
    ("a column", tensors(BYTES, CLASSES[:, None]), 3, r"shape \(4, 1\) do not fit.*labels\.squeeze\(1\)"),
    ("four columns", tensors(BYTES, torch.zeros(16, 4)), 3, r"shape \(4, 4\) do not fit 4 images of 3 classes"),
    ("from 1", tensors(BYTES, CLASSES + 1), 3, r"label 3 is outside of 0\.\.2, the classes of the model; correct"),
    ("negative", tensors(BYTES, CLASSES - 1), 3, r"label -1 is outside of 0\.\.2"),
    ("later", tensors(BYTES, labels_at(14, 7)), 3, r"label 7 is outside of 0\.\.2"),
    ("huge", tensors(BYTES, labels_at(14, 2**40)), 3, rf"label {2**40} is outside of 0\.\.2"),
    ("rows of nan", tensors(BYTES, ROWS * torch.nan), 3, r"labels of the first batch are not finite"),
    ("no labels", tensors(BYTES), 3, rf"number_of_classes=3 but the batch holds no labels; .*{FORMS}, or set"),
    ("images", items(lambda i: {"images": BYTES[i]}), 0, rf"entries 'images' and no entry 'image'; .*{FORMS}"),
    ("img", items(lambda i: {"img": BYTES[i], "label": i}), 0, r"entries 'img', 'label' and no entry 'image'"),
    ("pixels", items(lambda i: {"pixel_values": BYTES[i], "labels": i}), 3, r"'pixel_values', 'labels' and no entry"),
    ("label names", items(lambda i: {"image": BYTES[i], "label": str(i)}), 3, r"labels of the batch are a list of str"),
    ("nested", items(lambda i: ((BYTES[i], i % 3), i)), 3, r"images of the batch are a list of Tensor, Tensor"),
    ("nested labels", items(lambda i: (BYTES[i], (i % 3, i))), 3, r"labels of the batch are a list of Tensor, Tensor"),
    ("labels first", items(lambda i: (i % 3, BYTES[i])), 3, r"images of the first batch have the shape \[4\]"),
    (
        "pairs",
        items(lambda i: (BYTES[i], BYTES[i])),
        0,
        r"second entry of the first batch has the shape \[4, 1, 4",
    ),
    ("names", items(str), 0, r"images of the batch are a str|the batch is a list of str|images .* are a str"),
    ("nothing", DataLoader(Of(int), 4, collate_fn=lambda _: FLOATS[:0]), 0, r"the first batch has no images"),
    ("arrays", DataLoader(Of(int), 4, collate_fn=lambda _: FLOATS.numpy()), 0, r"the batch is a ndarray; "),
    ("an empty list", DataLoader(Of(int), 4, collate_fn=lambda _: []), 0, r"the batch is a list of nothing"),
]


@pytest.mark.parametrize(("loader", "classes", "message"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_what_does_not_fit_is_one_line_with_a_remedy(loader: Any, classes: int, message: str) -> None:
    module = toy_gan(number_of_classes=classes)
    with pytest.raises(ValueError, match=message) as raised:
        toy_trainer().fit(module, loader)
    assert "\n" not in str(raised.value) and module.images_seen <= 12


GOOD: list[tuple[str, Any, int]] = [
    ("bytes", tensors(BYTES), 0),
    ("[0, 1] times 2 minus 1", tensors((FLOATS + 1) / 2 * 2 - 1), 0),
    ("a constant", tensors(torch.zeros_like(FLOATS)), 0),
    ("overshooting", tensors(FLOATS * 1.2), 0),
    ("uint8 classes", tensors(BYTES, CLASSES.byte()), 3),
    ("int32 classes", tensors(BYTES, CLASSES.int()), 3),
    ("a mapping", items(lambda i: {"image": BYTES[i], "label": i % 3}), 3),
    ("labels that the model ignores", tensors(BYTES, CLASSES + 90), 0),
]


@pytest.mark.parametrize(("loader", "classes"), [case[1:] for case in GOOD], ids=[case[0] for case in GOOD])
def test_what_fits_is_trained(loader: Any, classes: int) -> None:
    module = toy_gan(number_of_classes=classes)
    toy_trainer().fit(module, loader)
    assert module.images_seen == 16


def test_a_range_that_is_meant_is_kept() -> None:
    images = (FLOATS + 1) / 2
    with pytest.raises(ValueError, match=r"training\.check_pixel_range"):
        toy_trainer().fit(toy_gan(), tensors(images))
    module = toy_gan(training=Training(check_pixel_range=False))
    toy_trainer().fit(module, tensors(images))
    assert module.images_seen == 16


def test_entries_that_are_not_used_are_named_once() -> None:
    with pytest.warns(UserWarning, match="entries that the model does not use: 'path'; it takes images and labels"):
        toy_trainer().fit(toy_gan(), items(lambda i: {"image": BYTES[i], "path": i}))
    with pytest.warns(UserWarning, match="does not use: number 3, number 4;"):
        toy_trainer().fit(toy_gan(number_of_classes=3), tensors(BYTES, CLASSES, CLASSES, CLASSES))


def test_a_resumed_fit_and_an_evaluation_look_too(tmp_path: Any) -> None:
    module, trainer = toy_gan(), toy_trainer()
    trainer.fit(module, tensors(BYTES))
    trainer.save_checkpoint(tmp_path / "end.ckpt")
    with pytest.raises(ValueError, match="are int64"):
        toy_trainer(max_epochs=2).fit(toy_gan(), tensors(BYTES.long()), ckpt_path=tmp_path / "end.ckpt")


def test_the_look_changes_nothing() -> None:
    """The same weights as if the sample that the images are compared with had not been made."""
    ends = []
    for looks in (True, False):
        module = toy_gan()
        if not looks:
            module._look_at = lambda batch: None  # type: ignore[method-assign]
        toy_trainer().fit(module, tensors(BYTES))
        ends.append([p.detach().clone() for p in module.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*ends, strict=True))


def test_rows_of_integers_become_floats_and_indices_int64() -> None:
    rows = fitting_labels(ROWS, images=16, number_of_classes=3)
    assert rows.dtype == torch.float32 and torch.equal(rows.argmax(1), CLASSES)
    assert fitting_labels(CLASSES.byte(), images=16, number_of_classes=3).dtype == torch.int64
    vectors = torch.randn(16, 3, dtype=torch.float64)
    assert fitting_labels(vectors, images=16, number_of_classes=3) is vectors


@pytest.mark.parametrize(("height", "width", "fits"), [(8, 8, True), (16, 16, True), (12, 12, False), (16, 8, False)])
def test_growing_networks_take_multiples_of_their_resolution(height: int, width: int, fits: bool) -> None:
    real, fake = torch.zeros(2, 1, height, width), torch.zeros(2, 1, 8, 8)
    if fits:
        check_fits(real, fake=fake, grows=True)
        return
    with pytest.raises(ValueError, match="resize the images to 8 x 8 pixels"):
        check_fits(real, fake=fake, grows=True)


# ---------------------------------------------------------------------- the last batch


class Comparing(nn.Module):
    """A critic that compares the images of a batch."""

    def __init__(self, layer: nn.Module, *, channels: int) -> None:
        super().__init__()
        self.layer, self.critic = layer, ToyCritic()
        self.critic.conv = nn.Conv2d(channels, 4, 3, padding=1)

    def forward(self, images: Tensor) -> Any:
        return self.critic(self.layer(images))


def comparing_gan(layer: nn.Module, *, channels: int) -> GAN:
    return GAN(generator=ToyGenerator(), discriminator=Comparing(layer, channels=channels), latent_dim=4)


def fit_in_batches(module: LightningModule, *, count: int, batch_size: int, **settings: Any) -> None:
    toy_trainer(**settings).fit(module, toy_loader(count, batch_size=batch_size))


def test_a_last_batch_that_cannot_be_cut_is_refused_before_training() -> None:
    module = toy_gan(training=Training(discriminator_turns=2, turns_share_batch=True))
    with pytest.raises(ValueError, match=r"last batch of each epoch has 3 instead of 8 .* 2 turns.*drop_last=True"):
        fit_in_batches(module, count=19, batch_size=8)
    assert module.images_seen == 0
    fit_in_batches(module, count=18, batch_size=8)
    assert module.images_seen == 18


def test_a_last_batch_that_has_no_whole_groups_is_refused_before_training() -> None:
    module = comparing_gan(MinibatchStddev(group_size=4), channels=2)
    with pytest.raises(ValueError, match=r"has 6 instead of 8 images.*groups of 4 .*drop_last=True"):
        fit_in_batches(module, count=14, batch_size=8)
    assert module.images_seen == 0
    fit_in_batches(module, count=11, batch_size=8)  # a batch of 3 is one group


@pytest.mark.parametrize("layer", [BatchNorm(1), nn.BatchNorm2d(1)])
def test_one_image_is_too_few_to_compare(layer: nn.Module) -> None:
    with pytest.warns(UserWarning, match=r"last batch of each epoch has 1 instead of 8 images, .*drop_last=True"):
        fit_in_batches(comparing_gan(layer, channels=1), count=9, batch_size=8)
    with pytest.warns(UserWarning, match=r"each batch has 1 image, .*larger batch size"):
        fit_in_batches(comparing_gan(layer, channels=1), count=3, batch_size=1)
    fit_in_batches(toy_gan(), count=9, batch_size=8)  # nothing to say of networks that compare nothing


def test_a_last_batch_that_is_never_trained_is_no_obstacle() -> None:
    training = Training(discriminator_turns=2, turns_share_batch=True)
    fit_in_batches(toy_gan(training=training), count=19, batch_size=8, max_steps=2)
    fit_in_batches(toy_gan(training=training), count=19, batch_size=8, limit_train_batches=2)


def test_sizes_of_images_come_from_the_generator() -> None:
    """No setting of a GAN of any two networks says them."""
    assert toy_gan().sample(torch.zeros(1, 4)).shape == (1, 1, SIZE, SIZE)
