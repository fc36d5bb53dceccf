"""The position of a training, and this process's share of the data."""

from lightning.pytorch import Trainer


def batches_trained(trainer: Trainer | None) -> int:
    """Returns the number of completed training batches of the whole training; 0 without a trainer."""
    if trainer is None:
        return 0
    # `completed` lags by one within on_train_batch_end, `ready` leads after a crash within a step.
    return int(trainer.fit_loop.epoch_loop.batch_progress.state_dict()["total"]["processed"])


def rank_and_world_size(trainer: Trainer | None) -> tuple[int, int]:
    """Returns the number of this process's share of the data and the number of shares; (0, 1) without a trainer."""
    # Not the trainer's global rank: under a model-parallel strategy several ranks get the same data.
    sampler = None if trainer is None else trainer.distributed_sampler_kwargs
    return (0, 1) if sampler is None else (int(sampler["rank"]), int(sampler["num_replicas"]))
