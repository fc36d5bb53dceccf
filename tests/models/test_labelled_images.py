"""The labelled images of a semi-supervised model: which are chosen, on one rank and on several."""

import pytest
import torch
from torch import Tensor

from lightning_gan.loop.draws import Reals
from lightning_gan.models.labelled_images import UNKNOWN, LabelledImages
from lightning_gan.tensors.image_bytes import from_bytes

CLASSES = torch.tensor([0, 1, UNKNOWN, 0, 0, 1, 1, 0])
PIXELS = torch.arange(8, dtype=torch.uint8).reshape(8, 1, 1, 1).expand(8, 1, 2, 2)


def batches(start: int, stop: int) -> list[Reals]:
    """Pairs of images, with rows of classes; one image has none."""
    rows = torch.cat([torch.eye(2), torch.zeros(1, 2)])[CLASSES]
    return [
        Reals(images=from_bytes(PIXELS[i : min(i + 2, stop)]), labels=rows[i : min(i + 2, stop)])
        for i in range(start, stop, 2)
    ]


def chosen(per_class: int, *parts: tuple[int, int]) -> LabelledImages:
    """What the ranks take, whose parts of the images are given; the first rank's."""
    sent: list[list[Tensor]] = []
    for part in parts:
        sent.append([])
        _labelled(per_class, part, sent[-1].append, [])
    received = [torch.stack(list(tensors)) for tensors in zip(*sent, strict=True)]
    return _labelled(per_class, parts[0], lambda _: None, received)


def _labelled(per_class: int, part: tuple[int, int], send: object, received: list[Tensor]) -> LabelledImages:
    labelled = LabelledImages(per_class=per_class, number_of_classes=2, image_size=2, image_channels=1)
    answers = iter(received)

    def gather(tensor: Tensor) -> Tensor:
        assert callable(send)
        send(tensor)
        return next(answers, _enough(tensor, per_class))

    labelled.choose(batches(*part), gather=gather)
    return labelled


def _enough(tensor: Tensor, per_class: int) -> Tensor:
    """An answer with which a rank that only sends does not complain."""
    if tensor.dim() == 1:
        return torch.arange(2).repeat_interleave(per_class)
    return torch.zeros(2 * per_class, *tensor.shape[1:], dtype=tensor.dtype)


@pytest.mark.parametrize("parts", [[(0, 8)], [(0, 4), (4, 8)], [(0, 3), (3, 6), (6, 8)], [(0, 7), (7, 8)]])
def test_any_number_of_ranks_takes_the_first_of_each_class(parts: list[tuple[int, int]]) -> None:
    labelled = chosen(3, *parts)
    assert labelled.classes.tolist() == [0, 0, 0, 1, 1, 1]
    assert labelled.pixels[:, 0, 0, 0].tolist() == [0, 3, 4, 1, 5, 6]


def test_too_few_images_of_a_class_are_refused() -> None:
    with pytest.raises(ValueError, match="labels_per_class=4: the data have 3 images of class 1; give 3 at most"):
        chosen(4, (0, 8))
