"""The standard deviation within classes, and the discriminators that have it."""

import pytest
import torch
from torch import Tensor

from lightning_gan.layers import ClassStddev, MinibatchStddev
from lightning_gan.models import StyleGAN, StyleGAN2

LABELS = torch.tensor([0, 1, 0, 2, 1, 0, 3, 3])


def features() -> Tensor:
    return torch.randn(8, 3, 4, 4, generator=torch.Generator().manual_seed(0))


def test_each_sample_gets_the_deviation_of_its_class() -> None:
    appended = ClassStddev()(features(), LABELS)[:, 3]
    for sample, label in enumerate(LABELS):
        members = features()[label == LABELS]
        expected = (members.var(dim=0, unbiased=False) + 1e-8).sqrt().mean()
        torch.testing.assert_close(appended[sample], expected.expand(4, 4), atol=1e-6, rtol=0)


def test_two_values_deviate_by_half_of_their_difference() -> None:
    two = torch.tensor([1.0, 4.0]).view(2, 1, 1, 1)
    assert ClassStddev()(two, torch.tensor([5, 5]))[:, 1].flatten().tolist() == pytest.approx([1.5, 1.5])


def test_in_one_class_it_is_the_deviation_of_the_whole_batch() -> None:
    same = torch.zeros(8, dtype=torch.long)
    torch.testing.assert_close(ClassStddev()(features(), same), MinibatchStddev(group_size=8)(features(), same))


def test_the_order_of_the_samples_does_not_matter() -> None:
    order = torch.tensor([3, 1, 7, 0, 5, 2, 6, 4])
    torch.testing.assert_close(
        ClassStddev()(features()[order], LABELS[order]), ClassStddev()(features(), LABELS)[order], atol=1e-6, rtol=0
    )


def test_one_image_for_each_class_is_seen_within_classes_and_not_in_mixed_groups() -> None:
    one_each = features()[LABELS]
    assert ClassStddev()(one_each, LABELS)[:, 3].max() < 2e-4
    assert MinibatchStddev(group_size=4)(one_each, LABELS)[:, 3].min() > 0.3


def test_a_sample_alone_in_its_class_has_no_deviation() -> None:
    assert ClassStddev()(features(), LABELS)[3, 3, 0, 0].item() == pytest.approx(1e-4)


def test_its_gradient_is_that_of_small_differences_and_can_be_differentiated() -> None:
    values = features().requires_grad_()
    (gradient,) = torch.autograd.grad(ClassStddev()(values, LABELS)[:, 3].sum(), values, create_graph=True)
    step = torch.zeros_like(values)
    step[0, 0, 0, 0] = 0.1
    above, below = (ClassStddev()((values + sign * step).detach(), LABELS)[:, 3].sum() for sign in (1, -1))
    torch.testing.assert_close(gradient[0, 0, 0, 0], (above - below) / 0.2, atol=2e-3, rtol=0)
    (second,) = torch.autograd.grad(gradient.square().sum(), values)
    assert second.isfinite().all() and second.abs().max() > 0


@pytest.mark.parametrize("labels", [None, torch.eye(8)])
def test_what_is_no_class_for_each_image_is_refused(labels: Tensor | None) -> None:
    with pytest.raises(ValueError, match="give one class for each image, or set it to false"):
        ClassStddev()(features(), labels)


@pytest.mark.parametrize("model", [StyleGAN, StyleGAN2])
def test_models_have_it_with_classes_only(model: type[StyleGAN | StyleGAN2]) -> None:
    def made(*, classes: int, within: bool) -> StyleGAN | StyleGAN2:
        return model(
            image_size=8,
            image_channels=1,
            number_of_classes=classes,
            latent_dim=4,
            style_dim=4,
            mapping_layers=1,
            channel_base=16,
            channel_max=4,
            minibatch_stddev_within_classes=within,
        )

    for classes, within, expected in ((4, True, ClassStddev), (4, False, MinibatchStddev), (0, True, MinibatchStddev)):
        assert isinstance(made(classes=classes, within=within).discriminator.last.minibatch_stddev, expected)


@pytest.mark.parametrize("model", [StyleGAN, StyleGAN2])
def test_a_models_score_of_an_image_depends_on_the_others_of_its_class_alone(model: type[StyleGAN | StyleGAN2]) -> None:
    torch.manual_seed(0)
    gan = model(
        image_size=8,
        image_channels=1,
        number_of_classes=4,
        latent_dim=4,
        style_dim=4,
        mapping_layers=1,
        channel_base=16,
        channel_max=4,
        minibatch_stddev_within_classes=True,
    )
    images = torch.randn(8, 1, 8, 8)
    changed = images.clone()
    changed[0] += 1.0  # of class 0, as are 2 and 5
    before, after = gan.score(images, LABELS), gan.score(changed, LABELS)
    others = torch.tensor([1, 3, 4, 6, 7])
    torch.testing.assert_close(before[others], after[others], atol=1e-6, rtol=0)
    assert (before[[2, 5]] - after[[2, 5]]).abs().min() > 1e-6
