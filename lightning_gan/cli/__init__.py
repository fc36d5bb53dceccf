"""The command line, `lightning-gan fit --config stylegan.yaml`. torch is imported when a command needs it."""

from lightning_gan.cli.entry import main

__all__ = ["main"]
