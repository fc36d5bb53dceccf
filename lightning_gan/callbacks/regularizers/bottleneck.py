"""The variational discriminator bottleneck (Peng et al. 2019, arXiv:1810.00821)."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.strategies import Strategy
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from lightning_gan.callbacks.regularizers.late_networks import check_not_sharded, network_in_setup
from lightning_gan.callbacks.regularizers.running_penalty import RunningPenalty
from lightning_gan.foreign.host import host_of
from lightning_gan.layers.gaussian_code import LINEAR, Bottlenecked
from lightning_gan.loop.turn import Player, Turn
from lightning_gan.penalties.kl_divergence import dual_ascent, kl_to_standard_normal
from lightning_gan.tensors.shapes import PerSample, Scalar


@dataclass(kw_only=True, eq=False)
class Bottleneck(RunningPenalty):
    """Adds ``beta * KL(E(z|x) || N(0, I))`` over real and generated images to the discriminator's cost.

    beta increases while the KL exceeds I_c, and decreases down to 0 while it is below. The paper's ``- beta * I_c`` has
    no gradient and is left out. A module in the discriminator, its encoder, returns `(mean, log_variance)`, each
    `batch code` or a map of codes, like `layers.gaussian_code.GaussianCode`. The penalty reads both in the
    discriminator's own forward passes of the turn, so that it needs no more of them. A discriminator without an encoder
    gets a bottleneck in front of a `layer`.

    It logs the KL in nats, averaged over the turns since it was last logged (`bottleneck_kl`), I_c
    (`bottleneck_constraint`), beta (`bottleneck_beta`), and, among the terms of the turn, beta times the KL. The KL of
    a map of codes is averaged over its positions.

    With `layer`, every forward pass in training mode samples new codes, different ones on each rank. Checkpoints hold
    the bottleneck's weights, so that they can only be loaded with this callback.

    Args:
        information_constraint: largest KL that does not increase beta, the paper's I_c, in nats; with an infinite one,
            beta falls to 0 and nothing is penalized.
        beta_step_size: change of beta per turn and nat of difference between the KL and I_c, the paper's alpha_beta.
        initial_beta: value of beta at the start; 0.1 in the authors' settings.
        encoder: attribute path of the module that returns `(mean, log_variance)`; None is `bottleneck` in the
            discriminator, or, with `layer`, the bottleneck in front of it.
        layer: attribute path of a layer of the discriminator, usually its last, whose input is replaced by a Gaussian
            code: a sample in training mode, the mean in evaluation mode. It is a linear layer, a convolution with one,
            two or three dimensions, or a module that begins with one. None is for discriminators that have an encoder.
        code_features: number of dimensions of the code in front of `layer`, at least 1; None is the number of the
            layer's input features.
        every_n_turns: interval, in turns of the discriminator, at which the penalty is added with n times its weight.

    Raises:
        ValueError: for negative settings, for `encoder` together with `layer`, for `code_features` without `layer`, for
            an unknown layer or encoder, and for an encoder that returns something else or is not called. When fit
            starts, if no optimizer has the weights that `layer` adds.
    """

    name: ClassVar[str] = "bottleneck"
    player: ClassVar[Player] = "discriminator"
    state_names: ClassVar[tuple[str, ...]] = ("beta",)

    information_constraint: float = 0.1
    beta_step_size: float = 1e-5
    initial_beta: float = 0.0
    encoder: str | None = None
    layer: str | None = None
    code_features: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.information_constraint, self.beta_step_size, self.initial_beta) < 0:
            raise ValueError(
                f"Bottleneck: information_constraint={self.information_constraint}, "
                f"beta_step_size={self.beta_step_size} and initial_beta={self.initial_beta} must not be negative"
            )
        if self.layer is not None and self.encoder is not None:
            raise ValueError(
                f"Bottleneck: give encoder={self.encoder!r} if the discriminator has an encoder, or "
                f"layer={self.layer!r} to put one in front of that layer, and not both"
            )
        if self.code_features is not None and (self.layer is None or self.code_features < 1):
            raise ValueError(
                f"Bottleneck: code_features={self.code_features} must be at least 1 and needs layer=..., "
                f"which is {self.layer!r}"
            )
        self.state.fill_(self.initial_beta)
        # The KL of the first two forward passes since the last backward, which are those of the turn's real and fake
        # images. Other penalties may run further forward passes after them.
        self._divergences: list[PerSample] = []
        self._unlogged_sum, self._unlogged_turns = torch.zeros(()), 0
        self._hook: RemovableHandle | None = None

    @property
    def weight(self) -> float:
        return 1.0  # beta is a factor inside the penalty, because it changes

    @property
    def beta(self) -> Scalar:
        """The factor of the KL in the discriminator's cost."""
        return self.state[0]

    @property
    def encoder_path(self) -> str:
        """The attribute path of the module that returns `(mean, log_variance)`."""
        if self.layer is not None:
            return f"{self.layer}.code"
        return self.encoder if self.encoder is not None else f"{self.only_discriminator}.bottleneck"

    def penalty(self, turn: Turn) -> Scalar:
        assert turn.real_logits is not None and turn.fake_logits is not None  # both forward passes have run, or run now
        if len(self._divergences) < 2:
            raise ValueError(
                f"Bottleneck: encoder={self.encoder_path!r} was not called for real and for fake images in the "
                "discriminator's turn; name the module that returns (mean, log_variance)"
            )
        divergence = torch.cat(self._divergences).mean()
        self._divergences = []
        self.measure(divergence)
        return self.beta * divergence

    def moved(self, state: Tensor, measured: Tensor) -> Tensor:
        self._unlogged_sum, self._unlogged_turns = self._unlogged_sum + measured[0], self._unlogged_turns + 1
        return dual_ascent(
            state[0], measured[0], information_constraint=self.information_constraint, step_size=self.beta_step_size
        )[None]

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        if self.layer is not None:  # in every stage, because checkpoints fit only networks with the same bottleneck
            setting = "Bottleneck(discriminator=...)"
            critic = network_in_setup(trainer, pl_module, self.only_discriminator, setting=setting)
            check_not_sharded(critic, self.only_discriminator, setting=setting)
            self._insert(pl_module, critic, self.layer)
        encoder = network_in_setup(trainer, pl_module, self.encoder_path, setting="Bottleneck(encoder=...)")
        self._remove_hook()
        if stage == "fit":
            self._hook = encoder.register_forward_hook(self._record_divergence)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_fit_start(trainer, pl_module)
        if self.layer is not None:
            bottlenecked = host_of(pl_module).network(self.layer, setting="Bottleneck(layer=...)")
            assert isinstance(bottlenecked, Bottlenecked)
            moved = {id(p) for own in trainer.optimizers for group in own.param_groups for p in group["params"]}
            if any(id(p) not in moved for part in (bottlenecked.code, bottlenecked.expand) for p in part.parameters()):
                raise ValueError(
                    f"Bottleneck: layer={self.layer!r} has new weights in front of it that no optimizer has; make the "
                    f"optimizer in configure_optimizers, from the parameters of {self.only_discriminator!r} as they "
                    "are then"
                )

    def _insert(self, pl_module: LightningModule, critic: nn.Module, path: str) -> None:
        """Puts a bottleneck in front of the layer of the discriminator at `path`, unless it has one."""
        layers = {f"{self.only_discriminator}.{name}": module for name, module in critic.named_modules() if name}
        if isinstance(layers.get(path), Bottlenecked):
            return
        try:
            bottlenecked = Bottlenecked(layers[path], code_features=self.code_features)
        except (KeyError, ValueError):
            linear = [name for name, module in layers.items() if isinstance(module, LINEAR)]
            raise ValueError(
                f"Bottleneck: layer={path!r} is no linear layer or convolution of {self.only_discriminator!r}; name "
                f"one of its layers, usually the last: {', '.join(linear) or 'it has none'}"
            ) from None
        weight = next(bottlenecked.layer.parameters())
        pl_module.set_submodule(path, bottlenecked.to(weight).train(bottlenecked.layer.training))

    def after_step(self, strategy: Strategy) -> None:
        super().after_step(strategy)
        self._divergences = []  # a `GameRegularizer` has run forward passes right before the step

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._divergences = []

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        self._divergences = []  # other penalties may have run forward passes right before this hook
        super().on_before_optimizer_step(trainer, pl_module, optimizer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        if self._unlogged_turns and (batch_idx + 1) % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            title, kl = f"{self.player}/{self.name}", self._unlogged_sum / self._unlogged_turns
            pl_module.log_dict({f"{title}_kl": kl, f"{title}_constraint": self.information_constraint})
            self._unlogged_sum, self._unlogged_turns = torch.zeros(()), 0

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().teardown(trainer, pl_module, stage)
        self._remove_hook()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        super().on_exception(trainer, pl_module, exception)
        self._remove_hook()

    def _remove_hook(self) -> None:
        self._divergences = []
        if self._hook is not None:
            self._hook.remove()
            self._hook = None

    def _record_divergence(self, encoder: nn.Module, arguments: Any, output: Any) -> None:
        if not encoder.training or len(self._divergences) == 2:
            return
        if not (isinstance(output, tuple) and len(output) == 2):
            raise ValueError(
                f"Bottleneck: encoder={self.encoder_path!r} returns a {type(output).__name__} instead of "
                "(mean, log_variance); name the module that returns them"
            )
        mean, log_variance = output
        self._divergences.append(kl_to_standard_normal(mean, log_variance))
