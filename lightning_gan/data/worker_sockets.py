"""Whether processes that read images ahead can send them: through sockets, whose paths must be short."""

from multiprocessing.util import get_temp_dir

from torch.multiprocessing import get_sharing_strategy

from lightning_gan.data.shown import shown

LONGEST_PATH = 107
"""Number of bytes that Linux accepts as the path of a socket."""

_NAME = "/listener-12345678"  # of as many characters as the names that Python gives to such sockets


def check_sockets() -> None:
    """Check that the folder for temporary files has a path that is short enough for sockets in it.

    PyTorch's processes lose their batches if it is not, and training would wait for them without an end.

    Raises:
        ValueError: if the path is too long.
    """
    if get_sharing_strategy() != "file_descriptor":  # type: ignore[no-untyped-call]  # others need no sockets
        return
    folder = get_temp_dir()
    length, longest = len(folder.encode()), LONGEST_PATH - len(_NAME)
    if length > longest:
        raise ValueError(
            f"TMPDIR: the path {shown(folder)} has {length} bytes, and {longest} is the limit of the sockets through "
            "which processes that read ahead send images; set TMPDIR to a shorter path, such as /tmp, or give "
            "--data.number_of_workers 0"
        )
