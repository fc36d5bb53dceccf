"""How the two players alternate: the settings of the loop, which every model passes on to it as one argument."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Loop:
    """Settings of the training loop, the same for every model.

    Args:
        discriminator_turns: turns of the discriminator for one of the generator; 0 leaves the discriminator as it is.
        turns_share_batch: False takes a new batch of the loader for every turn of the discriminator; True cuts each
            batch into `discriminator_turns` slices.
        accumulate_slices: a turn's images are worked through in this many slices whose gradients are averaged, to fit
            large batches into memory.
        generator_batch_multiple: the generator's turn makes so many times the batch's images (2 in WGAN-GP and SNGAN).
        uniform_labels: fakes are of classes drawn uniformly; False gives them the classes of the batch's real images.
        discriminator_clip_norm: largest norm of the discriminator's gradient, None for no clipping.
        discriminator_clip_value: largest absolute value in the discriminator's gradient, None for no clipping.
        generator_clip_norm: likewise for the generator.
        generator_clip_value: likewise for the generator.
        compile: turn each player's whole cost, penalties included, into one graph with `torch.compile`.

    Raises:
        ValueError: for counts below 1 (turns below 0) and non-positive clipping.
    """

    discriminator_turns: int = 1
    turns_share_batch: bool = False
    accumulate_slices: int = 1
    generator_batch_multiple: int = 1
    uniform_labels: bool = False
    discriminator_clip_norm: float | None = None
    discriminator_clip_value: float | None = None
    generator_clip_norm: float | None = None
    generator_clip_value: float | None = None
    compile: bool = False

    def __post_init__(self) -> None:
        if self.discriminator_turns < 0:
            raise ValueError(f"discriminator_turns={self.discriminator_turns} must not be negative")
        counts = {
            "accumulate_slices": self.accumulate_slices,
            "generator_batch_multiple": self.generator_batch_multiple,
        }
        for name, count in counts.items():
            if count < 1:
                raise ValueError(f"{name}={count} must be at least 1")
        clips = {
            "discriminator_clip_norm": self.discriminator_clip_norm,
            "discriminator_clip_value": self.discriminator_clip_value,
            "generator_clip_norm": self.generator_clip_norm,
            "generator_clip_value": self.generator_clip_value,
        }
        for name, limit in clips.items():
            if limit is not None and limit <= 0:
                raise ValueError(f"{name}={limit} must be positive; leave it out for no clipping")

    @property
    def pieces(self) -> int:
        """How many turns share a batch."""
        return max(self.discriminator_turns, 1) if self.turns_share_batch else 1

    @property
    def generator_follows_every_batch(self) -> bool:
        """Whether the generator has a turn with each batch."""
        return self.turns_share_batch or self.discriminator_turns == 0

    def generator_follows(self, discriminator_turns_taken: int) -> bool:
        """Whether the generator's turn is due after a batch, and so many turns of the discriminator in all."""
        return self.generator_follows_every_batch or discriminator_turns_taken % self.discriminator_turns == 0
