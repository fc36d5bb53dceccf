"""Models on the Hugging Face hub: folders that `lightning-gan publish` has written.

`huggingface_hub` does all the work: downloads that are resumed and cached, tokens, and uploads of large files. It is an
extra, because nothing else needs a network: `pip install 'lightning-gan[hub]'`.
"""

from pathlib import Path

from lightning_gan.inference.exported_folder import SETTINGS, is_exported
from lightning_gan.inference.load import load
from lightning_gan.loop.gan import GAN


def from_pretrained(name: str, *, revision: str | None = None) -> GAN:
    """Download a published model and load it, on the CPU and in evaluation mode.

    Args:
        name: its name on the hub, `user/name`.
        revision: branch, tag or commit; None is the newest state. Name a commit to get the same weights for ever.

    Raises:
        CheckpointError: if the repository has no model of this package.
        ImportError: if `huggingface_hub` or `safetensors` is not installed.
    """
    from huggingface_hub import snapshot_download

    # Weights without code alone: a checkpoint or a graph that stands beside them is not even downloaded.
    return load(snapshot_download(name, revision=revision, allow_patterns=[SETTINGS, "*.safetensors"]))


def push_to_hub(folder: str | Path, name: str, *, private: bool = True) -> str:
    """Upload a folder that `lightning-gan publish` has written.

    Args:
        folder: the folder.
        name: name on the hub, `user/name`. The repository is created if it does not exist.
        private: whether a new repository can only be seen by its owner.

    Returns:
        The address of the upload.

    Raises:
        ValueError: if the folder is not one of `publish`.
        ImportError: if `huggingface_hub` is not installed.
    """
    from huggingface_hub import HfApi

    if not is_exported(Path(folder)) or not (Path(folder) / "README.md").is_file():
        raise ValueError(f"{folder} has no {SETTINGS} and README.md; make it with `lightning-gan publish`")
    api = HfApi()
    api.create_repo(name, private=private, exist_ok=True)
    return str(api.upload_folder(repo_id=name, folder_path=folder))
