"""Which precisions of Lightning a training of two players can use."""

HALF_WEIGHTS = ("16-true", "bf16-true")
"""Precisions in which the weights themselves have 16 bits."""


def check_precision(precision: str) -> None:
    """Check that the weights do not have half precision.

    Losses, penalties and statistics over a batch need fp32, and steps of Adam are often smaller than what 16 bits
    resolve. Mixed precision keeps the weights in fp32.

    Args:
        precision: precision of the trainer.

    Raises:
        ValueError: if the weights have half precision.

    Example:
        >>> check_precision("bf16-true")
        Traceback (most recent call last):
        ValueError: precision=bf16-true rounds the weights to 16 bits, which loses small steps; give bf16-mixed
    """
    if precision in HALF_WEIGHTS:
        raise ValueError(
            f"precision={precision} rounds the weights to 16 bits, which loses small steps; give bf16-mixed"
        )
