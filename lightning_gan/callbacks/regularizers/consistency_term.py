"""CT-GAN (Wei et al. 2018, arXiv:1803.01541): the critic under two dropout masks should say the same of real images."""

from dataclasses import dataclass
from typing import Any, ClassVar

from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.hooks import RemovableHandle

from lightning_gan.foreign.host import host_of
from lightning_gan.foreign.penalty import Penalty
from lightning_gan.loop.networks import network_of
from lightning_gan.loop.turn import Player, Turn
from lightning_gan.penalties.dropout_consistency import consistency
from lightning_gan.tensors.shapes import Logits, Scalar

DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)


@dataclass(kw_only=True, eq=False)
class ConsistencyTerm(Penalty):
    """``weight * E max(0, |D(x') - D(x'')|^2 + feature_weight * |D_(x') - D_(x'')|^2 - margin)`` on real images.

    x' and x'' are the same images under two dropout masks, D_ is the critic's second-to-last layer. Beside
    `GradientPenalty` and `Wasserstein`, where it bounds the critic's slope near the data, which interpolates seldom
    reach.

    Args:
        weight: the paper's lambda_2.
        margin: the paper's M', what costs nothing; 0 in the authors' code, up to 0.2 in the paper.
        feature_weight: weight of the second-to-last layer beside the score.
        features: attribute path of that layer within the discriminator, such as "last.dense0"; None compares scores
            alone.
        dropout: for critics without dropout: the probability of it behind each of these submodules of the
            discriminator, in all of its training, such as {"blocks.0": 0.5}.
        every_n_turns: interval in the discriminator's turns.

    Raises:
        ValueError: for a negative margin or feature weight, probabilities outside (0, 1), unknown submodules, and
            before the first step, a critic without active dropout.
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
        self._looking = False
        self._features: Tensor | None = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_fit_start(trainer, pl_module)
        self.watch(host_of(pl_module).network(self.discriminator, setting="ConsistencyTerm(discriminator=...)"))

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().teardown(trainer, pl_module, stage)
        self.let_go()

    def watch(self, discriminator: nn.Module) -> None:
        """Hook into the layers that this penalty reads or drops from, until `let_go`.

        Raises:
            ValueError: for a submodule that is not there, and a critic without active dropout.
        """
        self.let_go()
        for path, probability in (self.dropout or {}).items():
            layer = network_of(discriminator, path, setting="ConsistencyTerm(dropout=...)")
            self._hooks.append(layer.register_forward_hook(_Dropping(probability)))
        if not self._hooks and not any(
            isinstance(module, DROPOUTS) and module.p > 0 and module.training for module in discriminator.modules()
        ):
            raise ValueError(
                f"ConsistencyTerm compares two looks of the discriminator under different dropout, but "
                f"{type(discriminator).__name__} has no dropout module in training mode with p > 0; add nn.Dropout to "
                'its layers, or name layers to drop from: dropout={"some.layer": 0.5}'
            )
        if self.features is not None:
            layer = network_of(discriminator, self.features, setting="ConsistencyTerm(features=...)")
            self._hooks.append(layer.register_forward_hook(self._keep_features))

    def let_go(self) -> None:
        """Take all hooks out of the discriminator again."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    def penalty(self, turn: Turn) -> Scalar:
        assert turn.real_logits is not None
        # The loss's look is as good as another; but its features were not kept.
        first, first_features = (turn.real_logits, None) if self.features is None else self._look(turn)
        second, second_features = self._look(turn)
        return consistency(
            first,
            second,
            first_features,
            second_features,
            feature_weight=self.feature_weight,
            margin=self.margin,
        ).mean()

    def _look(self, turn: Turn) -> tuple[Logits, Tensor | None]:
        self._looking = True
        logits = turn.critic(turn.real.detach(), turn.labels)
        self._looking = False
        features, self._features = self._features, None
        assert self.features is None or features is not None, "watch() comes before penalty()"
        return logits, features

    def _keep_features(self, layer: nn.Module, inputs: Any, output: Tensor) -> None:
        if self._looking:
            self._features = output


class _Dropping:
    """A forward hook that drops from a layer's output while the layer trains."""

    def __init__(self, probability: float) -> None:
        self.probability = probability

    def __call__(self, layer: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        return F.dropout(output, self.probability, training=layer.training)
