"""A smaller last batch of other people's data loaders, which is noticed before training."""

from lightning.pytorch import Trainer
from lightning.pytorch.utilities import rank_zero_warn
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

from lightning_gan.compat import is_torch_batch_norm
from lightning_gan.layers.batch_norm import BatchNorm
from lightning_gan.layers.normalization import ClassStddev, MinibatchStddev

DROP_LAST = "give the DataLoader drop_last=True"


def last_batch_of(trainer: Trainer) -> tuple[int, int] | None:
    """The number of images in a full batch and in the smaller last batch of each epoch, on this rank.

    None if every batch that will be trained is full, or the loader does not tell.

    Args:
        trainer: trainer that is fitting.
    """
    loader = trainer.train_dataloader
    if not isinstance(loader, DataLoader) or loader.batch_size is None or loader.drop_last:
        return None
    if isinstance(loader.dataset, IterableDataset):
        return None
    images = len(loader.sampler)  # type: ignore[arg-type]
    last = images % loader.batch_size
    batches = -(-images // loader.batch_size)
    ends_earlier = trainer.num_training_batches < batches or 0 < trainer.max_steps < batches
    return (loader.batch_size, last) if last and not ends_earlier else None


def check_batch_sizes(trainer: Trainer, *networks: nn.Module, first: int, parts: int) -> None:
    """Check that the last batch of an epoch can be trained, and warn where batches can be trained only badly.

    Args:
        trainer: trainer that is fitting.
        first: number of images in the first batch.
        networks: networks that are trained.
        parts: number of equal parts that each batch is cut into, turns and slices.

    Raises:
        ValueError: if it cannot be cut into its parts or into the groups of `MinibatchStddev`.
    """
    comparing = [layer for network in networks for layer in network.modules() if _compares_images(layer)]
    if first // parts == 1 and comparing:
        _warn_of_single("each batch has 1 image" if parts == 1 else f"each of {parts} turns and slices has 1 image")
    sizes = last_batch_of(trainer)
    if sizes is None:
        return
    full, last = sizes
    found = f"the last batch of each epoch has {last} instead of {full} images"
    if last % parts:
        raise ValueError(f"{found}, which cannot be cut into {parts} turns and slices; {DROP_LAST}")
    for layer in comparing:
        if isinstance(layer, MinibatchStddev) and (last // parts) % layer.group_in(last // parts):
            raise ValueError(
                f"{found}, which cannot be cut into groups of {layer.group_size} for the minibatch standard deviation; "
                f"{DROP_LAST}"
            )
    if last // parts == 1 and comparing:
        _warn_of_single(f"{found}{'' if parts == 1 else f' for {parts} turns and slices'}")


def _warn_of_single(found: str) -> None:
    rank_zero_warn(
        f"{found}, and the networks compare the images of a batch (batch normalization or minibatch standard "
        f"deviation), which is not possible with one image; give a larger batch size, or {DROP_LAST}"
    )


def _compares_images(layer: nn.Module) -> bool:
    return isinstance(layer, BatchNorm | ClassStddev | MinibatchStddev) or is_torch_batch_norm(layer)
