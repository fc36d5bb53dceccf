"""The consistency term of CT-GAN (Wei et al. 2018, arXiv:1803.01541): a penalty on the effect of dropout."""

from dataclasses import dataclass
from typing import Any, ClassVar

from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from lightning_gan.foreign.host import host_of
from lightning_gan.foreign.penalty import Penalty
from lightning_gan.loop.networks import network_of
from lightning_gan.loop.turn import Player, Turn
from lightning_gan.penalties.dropout_consistency import consistency
from lightning_gan.tensors.draws_by_position import dropout
from lightning_gan.tensors.shapes import Logits, Scalar

DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)


@dataclass(kw_only=True, eq=False)
class ConsistencyTerm(Penalty):
    """Adds ``weight * E max(0, |D(x') - D(x'')|^2 + feature_weight * |D_(x') - D_(x'')|^2 - margin)`` on real images.

    x' and x'' are the same images under two dropout masks, D_ is the second-to-last layer of the critic. The term is
    added beside `GradientPenalty`, with `Wasserstein`: it bounds the critic's slope near the real images, which the
    interpolated points of `GradientPenalty` seldom reach.

    Args:
        weight: factor of the penalty, the paper's lambda_2.
        margin: difference that is not penalized, the paper's M', not negative; 0 in the authors' code, up to 0.2 in the
            paper.
        feature_weight: weight of the second-to-last layer's difference, not negative; the difference of the scores has
            the weight 1.
        features: attribute path within the discriminator of its second-to-last layer, such as "last.dense0"; None
            compares only the scores.
        dropout: probabilities of dropout, in (0, 1), by the submodules of the discriminator whose output is dropped,
            such as {"blocks.0": 0.5}. It is active in every forward pass in training mode. None is for discriminators
            that have dropout.
        every_n_turns: interval, in turns of the discriminator, at which the penalty is added with n times its weight.

    Raises:
        ValueError: for a negative margin or feature weight, probabilities outside (0, 1), unknown submodules, and, when
            fit starts, a discriminator without active dropout.
    """

    name: ClassVar[str] = "ct"
    player: ClassVar[Player] = "discriminator"

    weight: float = 2.0
    margin: float = 0.0
    feature_weight: float = 0.1
    features: str | None = None
    dropout: dict[str, float] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for setting, value in (("margin", self.margin), ("feature_weight", self.feature_weight)):
            if value < 0:
                raise ValueError(f"ConsistencyTerm: {setting}={value} must not be negative")
        for path, probability in (self.dropout or {}).items():
            if not 0 < probability < 1:
                raise ValueError(f"ConsistencyTerm: dropout={probability} behind {path!r} must lie between 0 and 1")
        self._hooks: list[RemovableHandle] = []
        self._is_scoring = False
        self._features: Tensor | None = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_fit_start(trainer, pl_module)
        self.watch(host_of(pl_module).network(self.only_discriminator, setting="ConsistencyTerm(discriminator=...)"))

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().teardown(trainer, pl_module, stage)
        self.let_go()

    def watch(self, discriminator: nn.Module) -> None:
        """Adds forward hooks to the layers whose output this penalty reads or drops; `let_go` removes them.

        Args:
            discriminator: network that the penalty regularizes.

        Raises:
            ValueError: for an unknown submodule, and for a discriminator without active dropout.
        """
        self.let_go()
        for path, probability in (self.dropout or {}).items():
            layer = network_of(discriminator, path, setting="ConsistencyTerm(dropout=...)")
            self._hooks.append(layer.register_forward_hook(_Dropping(probability)))
        if not self._hooks and not any(
            isinstance(module, DROPOUTS) and module.p > 0 and module.training for module in discriminator.modules()
        ):
            raise ValueError(
                f"ConsistencyTerm compares two forward passes of the discriminator under different dropout, but "
                f"{type(discriminator).__name__} has no dropout module in training mode with p > 0; add nn.Dropout to "
                'its layers, or name layers whose output is dropped: dropout={"some.layer": 0.5}'
            )
        if self.features is not None:
            layer = network_of(discriminator, self.features, setting="ConsistencyTerm(features=...)")
            self._hooks.append(layer.register_forward_hook(self._keep_features))

    def let_go(self) -> None:
        """Removes all hooks that `watch` has added to the discriminator."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    def penalty(self, turn: Turn) -> Scalar:
        assert turn.real_logits is not None
        # The loss's forward pass serves as the first one, unless features are compared: those of it were not kept.
        first, first_features = (turn.real_logits, None) if self.features is None else self._scores(turn)
        second, second_features = self._scores(turn)
        return consistency(
            first,
            second,
            first_features,
            second_features,
            feature_weight=self.feature_weight,
            margin=self.margin,
        ).mean()

    def _scores(self, turn: Turn) -> tuple[Logits, Tensor | None]:
        """The scores of the real images, and the features if they are compared, from a new forward pass."""
        self._is_scoring = True
        logits = turn.score_reals(turn.real.detach())
        self._is_scoring = False
        features, self._features = self._features, None
        assert self.features is None or features is not None, "watch() comes before penalty()"
        return logits, features

    def _keep_features(self, layer: nn.Module, inputs: Any, output: Tensor) -> None:
        if self._is_scoring:
            self._features = output


class _Dropping:
    """A forward hook that applies dropout to a layer's output in training mode."""

    def __init__(self, probability: float) -> None:
        self.probability = probability

    def __call__(self, layer: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        return dropout(output, self.probability, training=layer.training)
