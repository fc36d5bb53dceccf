"""CT-GAN's classifier from few labels: each term of its objective, and that it learns from images without labels."""

import math
import re
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch.nn.functional import cross_entropy, softplus
from torch.utils.data import DataLoader, TensorDataset

from lightning_gan.data import Digits
from lightning_gan.data.digits import load_digits
from lightning_gan.loop.draws import Draws, Reals
from lightning_gan.loop.settings import Training
from lightning_gan.models.semi_supervised_ct_gan import (
    SemiSupervisedCTGAN,
    SemiSupervisedScores,
    labelled_cost,
    score_of,
)
from lightning_gan.optimizers import GANAdam
from lightning_gan.tensors.image_bytes import from_bytes
from tests.models.training import moved_by_one_step
from tests.toys import toy_trainer

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
    still = [name for name, has_moved in moved.items() if not has_moved]
    assert len(still) == 9  # the gains of the nine convolutions, which the authors do not train (`train_g=False`)
    assert all(re.fullmatch(r"discriminator\.features\..*\.weight\.original0", name) for name in still)


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
    trainer = toy_trainer(max_epochs=14)
    trainer.fit(module, DataLoader(TensorDataset(images, rows), batch_size=12))
    return trainer


def error(trainer: Trainer, module: SemiSupervisedCTGAN) -> float:
    (results,) = trainer.validate(module, DataLoader(TensorDataset(*shades(12)), batch_size=5), verbose=False)
    return results["validation/classification_error"]


def test_it_learns_the_classes_of_few_labels_and_reports_its_error() -> None:
    def adam(parameters: Any) -> GANAdam:
        return GANAdam(parameters, lr=0.003)

    settings = {"discriminator_width": 8, "average_decay": 0.5, "training": Training(discriminator_optimizer=adam)}
    module = small(**settings)
    assert error(fitted(module, labelled=0.25), module) < 0.1
    blind = small(**settings)
    assert error(fitted(blind, labelled=0.0), blind) > 0.1


def test_unlabelled_images_do_not_count_in_the_error() -> None:
    module = small()
    images, _ = shades(6)
    predicted = module.classify(images)
    rows = torch.eye(3)[predicted]
    rows[3:] = 0
    rows[0] = torch.eye(3)[(predicted[0] + 1) % 3]
    trainer = toy_trainer()
    (results,) = trainer.validate(module, DataLoader(TensorDataset(images, rows), batch_size=6), verbose=False)
    assert results["validation/classification_error"] == pytest.approx(1 / 3)


def few_labels(**settings: Any) -> SemiSupervisedCTGAN:
    """With two labels of each of the ten digits."""
    return small(**{"number_of_classes": 10, "labels_per_class": 2, **settings})


def test_the_labels_of_the_first_images_of_each_class_are_used_and_these_do_not_count_in_the_error() -> None:
    module, data = few_labels(), Digits(image_size=16, batch_size=4)
    trainer = toy_trainer(limit_train_batches=2, limit_val_batches=0)
    trainer.fit(module, datamodule=data)
    digits, classes = load_digits()
    assert module.labelled is not None
    rows = torch.cat([(classes == digit).nonzero()[:2, 0] for digit in range(10)])
    assert torch.equal(module.labelled.classes, classes[rows])
    assert torch.equal(module.labelled.pixels, data.source.read(rows, resolution=16))
    assert digits[rows].any()

    images, labels = module.labelled.images(torch.arange(20)), module.labelled.classes
    others = from_bytes(data.source.read(torch.tensor([4999, 2503]), resolution=16))
    assert module.labelled.contain(torch.cat([images, others])).tolist() == [True] * 20 + [False] * 2
    wrong = (module.classify(others) + 1) % 10
    wrong[1] -= 1
    batch = torch.cat([images, others]), torch.cat([(labels + 1) % 10, wrong % 10])
    (results,) = toy_trainer().validate(module, DataLoader(TensorDataset(*batch), batch_size=22), verbose=False)
    assert results["validation/classification_error"] == 0.5


def test_the_labelled_images_have_a_forward_pass_of_their_own_and_the_batchs_labels_are_not_used() -> None:
    module = few_labels().eval()
    assert module.labelled is not None
    module.labelled.pixels.random_(256)
    module.labelled.classes.copy_(torch.arange(20) % 10)
    draws = module.draw_rows(4, torch.Generator().manual_seed(0))
    assert draws.labelled is not None
    terms = []
    for labels in (torch.tensor([0, 1, 2, 3]), torch.tensor([4, 4, 4, 4])):
        reals, fake = Reals(images=torch.ones(4, 1, 16, 16), labels=labels), torch.zeros(4, 1, 16, 16)
        terms.append(module.objective(module.run_networks("discriminator", reals, draws, fake)))
    torch.testing.assert_close(terms[0], terms[1])
    class_logits, _ = module.discriminator(module.labelled.images(draws.labelled))
    expected = cross_entropy(class_logits, module.labelled.classes[draws.labelled])
    torch.testing.assert_close(terms[0]["classification"], expected)


def test_the_rows_of_labelled_images_do_not_depend_on_the_number_of_ranks() -> None:
    """The loop cuts the rows that are drawn for all ranks; every row is as likely as the others."""
    module = few_labels()
    draws = module.draw_rows(4000, torch.Generator().manual_seed(0))
    assert draws.labelled is not None
    assert torch.equal(draws.rows(1000, 3000).labelled, draws.labelled[1000:3000])
    assert (torch.bincount(draws.labelled, minlength=20) > 150).all()  # 200 each are expected


def test_a_fit_with_validation_prints_the_error(capsys: pytest.CaptureFixture[str]) -> None:
    trainer = toy_trainer(limit_train_batches=2, limit_val_batches=3)
    trainer.fit(few_labels(), datamodule=Digits(image_size=16, batch_size=4))
    assert re.search(r"0\.0 kimg: classification error \d+\.\d\d %", capsys.readouterr().out)


def test_labels_per_class_needs_a_data_module() -> None:
    with pytest.raises(ValueError, match="labels_per_class=2 needs a data module"):
        fitted(small(labels_per_class=2), labelled=1.0)


def test_more_labels_than_the_data_have_are_refused() -> None:
    with pytest.raises(ValueError, match="labels_per_class=501: the data have 500 images of class 0; give 500 at most"):
        toy_trainer().fit(few_labels(labels_per_class=501), datamodule=Digits(image_size=16, batch_size=500))


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
    ("setting", "value"),
    [("number_of_classes", 1), ("image_size", 8), ("image_size", 20), ("average_decay", 1.0), ("labels_per_class", 0)],
)
def test_settings_out_of_range_are_refused_by_name(setting: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{setting}={value}"):
        small(**{setting: value})
