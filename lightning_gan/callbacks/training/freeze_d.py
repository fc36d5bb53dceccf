"""Freeze-D: transfer in which the first layers of the discriminator do not learn (Mo et al. 2020, arXiv:2002.10964)."""

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info
from torch import nn
from torch.optim import Optimizer

from lightning_gan.compat import state_key_of
from lightning_gan.foreign.host import host_of
from lightning_gan.loop.networks import network_of


class FreezeD(Callback):
    """Keeps the weights of some layers of a discriminator as they are, while the others learn.

    Mo et al. 2020, arXiv:2002.10964: a GAN that was trained on many images is trained further on few ones, and the
    layers of the discriminator next to the image stay. Load the weights with `--weights` on the command line, or before
    `trainer.fit`. Buffers, such as running statistics of normalization layers, still move.

    The callback works in any LightningModule. After training, the layers can learn again.

    Args:
        layers: attribute paths of the layers in the discriminator, such as ["from_rgb.3", "blocks.2"] for the layers of
            a 32x32 StyleGAN next to the image, or ["conv1"] in a network of yours.
        network: attribute path of the discriminator.

    Raises:
        ValueError: for no layer, an unknown layer or network, a layer without weights, and if nothing is left to learn.
    """

    def __init__(self, *, layers: list[str], network: str = "discriminator") -> None:
        if not layers:
            raise ValueError("FreezeD: layers=[] names no layer; leave the callback out to train all layers")
        self.layers = layers
        self.network = network
        self._frozen: list[nn.Parameter] = []

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        network = host_of(pl_module).network(self.network, setting="FreezeD(network=...)")
        chosen: list[nn.Parameter] = []
        for name in self.layers:
            layer = network_of(network, name, setting="FreezeD(layers=...)")
            weights = list(layer.parameters())
            if not weights:
                raise ValueError(f"FreezeD: the layer {name!r} of {self.network!r} has no weights; leave it out")
            chosen += weights
        ids = {id(weight) for weight in chosen}
        left = sum(weight.numel() for weight in network.parameters() if weight.requires_grad and id(weight) not in ids)
        if not left:
            raise ValueError(
                f"FreezeD: layers={self.layers} leave no weight of {self.network!r} to learn; name fewer layers"
            )
        self._frozen = list({id(weight): weight for weight in chosen if weight.requires_grad}.values())
        for weight in self._frozen:
            weight.requires_grad_(False)
        count = sum(weight.numel() for weight in self._frozen)
        rank_zero_info(f"FreezeD: {count:,} weights of {self.network!r} stay as they are, {left:,} learn")

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        # A training step may have set `requires_grad` of the whole network. Optimizers leave out what has no gradient.
        for weight in self._frozen:
            weight.grad = None

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._thaw()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._thaw()

    def _thaw(self) -> None:
        for weight in self._frozen:
            weight.requires_grad_(True)
        self._frozen = []

    @property
    def state_key(self) -> str:
        return state_key_of(self, network=self.network, layers=self.layers)
