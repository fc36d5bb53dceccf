"""CT-GAN's classifier from few labels: each term of its objective, and that it learns from images without labels."""

import math
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch.nn.functional import softplus
from torch.utils.data import DataLoader, TensorDataset

from lightning_gan.loop.draws import Draws, Reals
from lightning_gan.loop.settings import Training
from lightning_gan.models.semi_supervised_ct_gan import (
    SemiSupervisedCTGAN,
    SemiSupervisedScores,
    labelled_cost,
    score_of,
)
from tests.models.training import moved_by_one_step
from tests.toys import fast_adam, toy_trainer

SMALL: dict[str, Any] = {
    "image_size": 16,
    "image_channels": 1,
    "number_of_classes": 3,
    "latent_dim": 4,
    "generator_width": 2,
    "discriminator_width": 4,
}


def small(**settings: Any) -> SemiSupervisedCTGAN:
    torch.manual_seed(0)
    return SemiSupervisedCTGAN(**{**SMALL, **settings})


def test_an_image_is_real_with_the_probability_of_the_classes_together() -> None:
    """The K classes beside one whose logit is 0."""
    class_logits = torch.randn(5, 3)
    with_generated = torch.cat([class_logits, torch.zeros(5, 1)], dim=1)
    expected = with_generated.softmax(dim=1)[:, :3].sum(dim=1, keepdim=True)
    torch.testing.assert_close(score_of(class_logits).sigmoid(), expected)


def test_images_without_a_label_cost_the_classifier_nothing() -> None:
    class_logits = torch.zeros(4, 3)
    assert labelled_cost(class_logits, torch.zeros(4, 3)) == 0
    rows = torch.zeros(4, 3)
    rows[1, 2] = 1
    assert labelled_cost(class_logits, rows).item() == pytest.approx(math.log(3))
    assert labelled_cost(class_logits, torch.tensor([0, 1, 2, 0])).item() == pytest.approx(math.log(3))


def test_the_discriminators_objective_is_the_authors() -> None:
    """Without dropout both looks agree; with it the differences count 0.05 and 0.5."""
    module = small().eval()
    real, fake = torch.randn(4, 1, 16, 16), torch.randn(4, 1, 16, 16)
    labels = torch.eye(3)[[0, 1, 2, 0]]
    given = Reals(images=real, labels=labels), Draws(latents=torch.randn(4, 4), labels=labels)
    terms = module.objective(module.run_networks("discriminator", *given, fake))
    assert terms["class_consistency"] == terms["feature_consistency"] == 0
    of_real = module.discriminator(real)[0].logsumexp(dim=1)
    of_fake = module.discriminator(fake)[0].logsumexp(dim=1)
    authors = -0.5 * of_real.mean() + 0.5 * softplus(of_real).mean() + 0.5 * softplus(of_fake).mean()
    torch.testing.assert_close(terms["adversarial"], authors)

    module.train()
    turn = module.run_networks("discriminator", *given, fake)
    terms = module.objective(turn)
    scores = turn.scores
    assert isinstance(scores, SemiSupervisedScores)
    assert scores.second_class_logits is not None and scores.second_features is not None
    classes = (scores.real_class_logits.softmax(dim=1) - scores.second_class_logits.softmax(dim=1)).square().mean()
    features = (scores.real_features - scores.second_features).square().mean()
    torch.testing.assert_close(terms["class_consistency"], 0.5 * classes)
    torch.testing.assert_close(terms["feature_consistency"], 0.05 * features)
    assert classes > 0 and features > 0


def test_the_generator_matches_the_mean_of_the_features() -> None:
    module = small().eval()
    real, latents, labels = torch.randn(4, 1, 16, 16), torch.randn(4, 4), torch.zeros(4, 3)
    given = Reals(images=real, labels=labels), Draws(latents=latents, labels=labels)
    terms = module.objective(module.run_networks("generator", *given, None))
    means = [module.discriminator(images)[1].mean(dim=0) for images in (real, module.generator(latents))]
    torch.testing.assert_close(terms, {"feature_matching": (means[0] - means[1]).abs().mean()})


def test_a_step_moves_every_parameter() -> None:
    moved = moved_by_one_step(small(), size=16, classes=3)
    before_batch_norm = ["generator.blocks.0.0.bias"]  # which takes every shift of a channel away
    assert [name for name, has_moved in moved.items() if not has_moved] == before_batch_norm


def shades(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Noisy images that are dark, grey or bright, which is their class."""
    labels = torch.arange(count) % 3
    noise = torch.randn(count, 1, 16, 16, generator=torch.Generator().manual_seed(0)) * 0.1
    return noise + 0.8 * (labels - 1)[:, None, None, None], labels


def fitted(module: SemiSupervisedCTGAN, *, labelled: float) -> Trainer:
    """Trained on 48 images, of which that share has a label."""
    images, labels = shades(48)
    rows = torch.eye(3)[labels]
    rows[torch.arange(48) % 4 >= 4 * labelled] = 0
    trainer = toy_trainer(max_epochs=8)
    trainer.fit(module, DataLoader(TensorDataset(images, rows), batch_size=12))
    return trainer


def accuracy(trainer: Trainer, module: SemiSupervisedCTGAN) -> float:
    (results,) = trainer.validate(module, DataLoader(TensorDataset(*shades(12)), batch_size=5), verbose=False)
    return results["validation/accuracy"]


def test_it_learns_the_classes_of_few_labels_and_reports_its_accuracy() -> None:
    settings = {"discriminator_width": 8, "average_decay": 0.5, "training": Training(discriminator_optimizer=fast_adam)}
    module = small(**settings)
    assert accuracy(fitted(module, labelled=0.25), module) > 0.9
    blind = small(**settings)
    assert accuracy(fitted(blind, labelled=0.0), blind) < 0.9


def test_unlabelled_images_do_not_count_in_the_accuracy() -> None:
    module = small()
    images, _ = shades(6)
    predicted = module.classify(images)
    rows = torch.eye(3)[predicted]
    rows[3:] = 0
    rows[0] = torch.eye(3)[(predicted[0] + 1) % 3]
    trainer = toy_trainer()
    (results,) = trainer.validate(module, DataLoader(TensorDataset(images, rows), batch_size=6), verbose=False)
    assert results["validation/accuracy"] == pytest.approx(2 / 3)


def test_the_discriminators_average_follows_it_and_shares_nothing() -> None:
    module = small(average_decay=0.75)
    first = [parameter.detach().clone() for parameter in module.discriminator_ema.parameters()]
    with torch.no_grad():
        for parameter in module.discriminator.parameters():
            parameter.add_(1)
    module.finish_batch()
    for before, average in zip(first, module.discriminator_ema.parameters(), strict=True):
        torch.testing.assert_close(average, before + 0.25)
    assert not module.train().discriminator_ema.training


@pytest.mark.parametrize(
    ("setting", "value"), [("number_of_classes", 1), ("image_size", 8), ("image_size", 20), ("average_decay", 1.0)]
)
def test_settings_out_of_range_are_refused_by_name(setting: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{setting}={value}"):
        small(**{setting: value})
