"""Standing statistics of batch normalization, for sampling (BigGAN, Brock et al. 2019, arXiv:1809.11096).

Running averages mix the statistics of many past weights. BigGAN instead averages the means and variances of new batches
that are generated with the sampled weights: "standing" statistics. No image depends on the batch it is in.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.seed import isolate_rng
from torch import nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from lightning_gan.foreign.host import host_of
from lightning_gan.layers.batch_norm import batch_norms_of, standing_statistics
from lightning_gan.loop.gan import GAN
from lightning_gan.loop.sampling import evaluation_mode
from lightning_gan.tensors.seeds import derived_seed


def _gan(pl_module: LightningModule) -> GAN:
    return host_of(pl_module).gan(
        "StandingStatistics",
        problem="which network is sampled with what latents is not known",
        remedy="leave this callback out",
    )


class StandingStatistics(Callback):
    """Computes standing statistics when the generator is sampled for the first time after its weights have changed.

    Figures, metrics and other callbacks that sample need no change. Checkpoints hold the statistics, and so does the
    module after the fit, for use without this callback. They are those of the averaged generator if there is an `EMA`;
    if a callback samples with `ema=False`, those of the other generator are computed too.

    Training does not change: random state, running averages and singular vectors stay as they are. Every rank uses the
    same batches, so that the statistics do not depend on the number of ranks.

    Args:
        forwards: number of batches that the statistics are averaged over; 16 in BigGAN's public code, 100 in the paper.
        batch_size: number of images in each of these batches; the variances of large batches are more accurate.
        seed: integer that determines the latents and the classes, which are drawn uniformly.

    Raises:
        ValueError: for counts below 1, and for a module that is no `GAN` or has no `layers.batch_norm.BatchNorm`.
    """

    def __init__(self, *, forwards: int = 16, batch_size: int = 64, seed: int = 0) -> None:
        if forwards < 1 or batch_size < 1:
            raise ValueError(f"StandingStatistics: forwards={forwards} and batch_size={batch_size} must be at least 1")
        self.forwards = forwards
        self.batch_size = batch_size
        self.seed = seed
        self._up_to_date: list[nn.Module] = []
        self._is_accumulating = False
        self._hooks: list[RemovableHandle] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        gan = _gan(pl_module)
        if not batch_norms_of(gan.generator):
            raise ValueError(
                f"StandingStatistics: {type(gan.generator).__name__} has no lightning_gan.layers.batch_norm."
                "BatchNorm; leave this callback out"
            )
        self._remove_hooks()
        self._up_to_date = []
        for network in (gan.generator, gan.generator_ema):
            before: Callable[[nn.Module, Any], None] = partial(self._before_forward, gan)
            self._hooks.append(network.register_forward_pre_hook(before))

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self._forget()

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        # The loop samples within the first batch, before its steps.
        self._forget()

    def _forget(self) -> None:
        for network in self._up_to_date:
            for layer in batch_norms_of(network):
                layer.forget_standing()
        self._up_to_date = []

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        gan = _gan(pl_module)
        with trainer.precision_plugin.forward_context():
            self.update(gan, gan.sampling_generator)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        gan = _gan(pl_module)
        network = gan.sampling_generator
        with trainer.precision_plugin.forward_context():
            self.update(gan, network)
        prefix = "generator_ema" if network is gan.generator_ema else "generator"
        for name, buffer in network.named_buffers():
            # The statistics are written again, because the checkpoint's state was taken before this hook; with some
            # strategies, only one rank has that state.
            if f"{prefix}.{name}" in checkpoint.get("state_dict", {}):
                checkpoint["state_dict"][f"{prefix}.{name}"] = buffer.detach().clone()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._remove_hooks()

    @torch.no_grad()
    def update(self, module: GAN, network: nn.Module) -> None:
        """Computes the statistics of a network, unless they are those of its present weights.

        Args:
            module: module that the network belongs to; it gives the size of latents and the number of classes.
            network: generator, whose batch normalization layers keep the statistics.
        """
        if any(known is network for known in self._up_to_date):
            return
        dtype = next(network.parameters()).dtype
        self._is_accumulating = True
        try:
            with isolate_rng(), evaluation_mode(network), standing_statistics(network):
                for index in range(self.forwards):
                    random = torch.Generator().manual_seed(derived_seed(self.seed, "standing statistics", index))
                    latents = torch.randn(self.batch_size, module.latent_dim, generator=random, dtype=torch.float32)
                    latents = latents.to(module.device, dtype)
                    if module.number_of_classes:
                        labels = torch.randint(module.number_of_classes, (self.batch_size,), generator=random)
                        network(latents, labels.to(module.device))
                    else:
                        network(latents)
        finally:
            self._is_accumulating = False
        self._up_to_date.append(network)

    def _before_forward(self, module: GAN, network: nn.Module, inputs: Any) -> None:
        if not network.training and not self._is_accumulating:
            self.update(module, network)

    def _remove_hooks(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks = []
