"""The command line, such as `lightning-gan fit --config stylegan.yaml`. It imports torch only if a command needs it."""

from lightning_gan.cli.entry import main

__all__ = ["main"]
