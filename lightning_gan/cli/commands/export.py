"""Export the generator (and encoder) of a checkpoint: safetensors, torch.export, ONNX."""


def main(arguments: list[str]) -> None:
    """Run the command.

    Args:
        arguments: arguments of the command line after the name of the command.
    """
    from lightning_gan.cli.functions import call
    from lightning_gan.inference.export_model import export

    call(export, arguments, command="export")
