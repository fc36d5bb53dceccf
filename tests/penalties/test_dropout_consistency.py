"""CT-GAN's term: the authors' constants, the margin, and what dropout there must be."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from lightning_gan.callbacks.regularizers.consistency_term import ConsistencyTerm
from lightning_gan.penalties.dropout_consistency import consistency
from tests.penalties.test_gradient import turn_of


class DropoutCritic(nn.Module):
    """Two pixels, eight features, dropout, one logit."""

    def __init__(self, *, probability: float = 0.5) -> None:
        super().__init__()
        self.first = nn.Linear(2, 8)
        self.dropout = nn.Dropout(probability)
        self.hidden = nn.Linear(8, 8)
        self.last = nn.Linear(8, 1)

    def forward(self, images: Tensor) -> Tensor:
        features = self.dropout(self.first(images.flatten(1)).tanh())
        logits: Tensor = self.last(self.hidden(features).tanh())
        return logits


def value_of(penalty: ConsistencyTerm, critic: nn.Module) -> Tensor:
    return penalty.weighted(turn_of(critic))


def test_it_has_the_authors_value() -> None:
    """Scores 1 and 0.5, features apart by 0.2, lambda_2 = 2: 2 (0.25 + 0.1 * 0.04)."""
    first, second = torch.tensor([[1.0]]), torch.tensor([[0.5]])
    features = torch.randn(1, 7), torch.randn(1, 7)
    features = features[0], features[0] + 0.2
    value = consistency(first, second, *features, feature_weight=0.1, margin=0.0)
    assert (2 * value).item() == pytest.approx(0.508)
    assert consistency(first, second, *features, feature_weight=0.1, margin=0.6).item() == 0
    assert consistency(first, second, None, None, feature_weight=0.1, margin=0.0).item() == pytest.approx(0.25)


def test_the_margin_is_each_samples_own() -> None:
    """Squares 0 and 1 with the margin 0.5: 0 and 0.5; the mean square would cost nothing."""
    first, second = torch.tensor([[0.0], [1.0]]), torch.zeros(2, 1)
    assert consistency(first, second, None, None, feature_weight=0.1, margin=0.5).tolist() == [0.0, 0.5]


def test_maps_of_scores_and_features_are_averaged() -> None:
    first, second = torch.ones(2, 3, 3), torch.zeros(2, 3, 3)
    features = torch.full((2, 4, 5, 5), 2.0), torch.zeros(2, 4, 5, 5)
    value = consistency(first, second, *features, feature_weight=0.1, margin=0.0)
    assert value.tolist() == pytest.approx([1.4, 1.4])


@pytest.mark.parametrize("features", [None, "hidden"])
def test_without_active_dropout_two_looks_are_the_same(features: str | None) -> None:
    torch.manual_seed(0)
    critic = DropoutCritic()
    penalty = ConsistencyTerm(features=features)
    penalty.watch(critic)
    assert value_of(penalty, critic) > 1e-4
    assert value_of(penalty, critic.eval()).item() == 0
    assert value_of(penalty, critic.train()) > 1e-4
    critic.dropout.p = 0.0
    assert value_of(penalty, critic).item() == 0


def test_the_named_layer_joins_with_its_weight() -> None:
    values = []
    for weight in (0.0, 0.1, 0.2):
        torch.manual_seed(0)
        critic = DropoutCritic()
        penalty = ConsistencyTerm(features="hidden", feature_weight=weight)
        penalty.watch(critic)
        values.append(value_of(penalty, critic).item())
    assert values[1] > values[0]
    assert values[2] - values[1] == pytest.approx(values[1] - values[0], rel=1e-4)


def test_the_features_are_kept_only_while_the_penalty_looks() -> None:
    critic = DropoutCritic()
    penalty = ConsistencyTerm(features="hidden")
    penalty.watch(critic)
    critic(torch.zeros(2, 1, 1, 2))
    assert penalty._features is None
    value_of(penalty, critic)
    assert penalty._features is None
    assert len(critic.hidden._forward_hooks) == 1
    penalty.let_go()
    assert not critic.hidden._forward_hooks


def test_dropout_can_be_put_behind_layers_of_a_critic_without() -> None:
    torch.manual_seed(0)
    critic = DropoutCritic(probability=0.0)
    penalty = ConsistencyTerm(dropout={"first": 0.5})
    penalty.watch(critic)
    assert value_of(penalty, critic) > 1e-4
    images = torch.ones(64, 1, 1, 2)
    assert (critic.first(images.flatten(1)) == 0).float().mean().item() == pytest.approx(0.5, abs=0.1)
    assert value_of(penalty, critic.eval()).item() == 0
    penalty.let_go()
    assert value_of(penalty, critic.train()).item() == 0


@pytest.mark.parametrize(
    "critic_of", [lambda: DropoutCritic(probability=0.0), lambda: DropoutCritic().eval(), lambda: nn.Linear(2, 1)]
)
def test_a_critic_without_active_dropout_is_refused(critic_of: Callable[[], nn.Module]) -> None:
    with pytest.raises(ValueError, match=r"no dropout module in training mode with p > 0; add nn.Dropout"):
        ConsistencyTerm().watch(critic_of())


def test_unknown_layers_are_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"features=.*no network 'penultimate'; .* are first, dropout, hidden, last"):
        ConsistencyTerm(features="penultimate").watch(DropoutCritic())
    with pytest.raises(ValueError, match=r"dropout=.*no network 'block'"):
        ConsistencyTerm(dropout={"block": 0.5}).watch(DropoutCritic())


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match=r"margin=-1.0 must not be negative"):
        ConsistencyTerm(margin=-1.0)
    with pytest.raises(ValueError, match=r"feature_weight=-0.1 must not be negative"):
        ConsistencyTerm(feature_weight=-0.1)
    with pytest.raises(ValueError, match=r"dropout=1.0 behind 'first'"):
        ConsistencyTerm(dropout={"first": 1.0})
