"""The folder in which torch keeps what it has compiled, so that a run that starts again does not compile again."""

import os
import platform
from hashlib import sha256
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_info

from lightning_gan.user_cache import user_cache

VARIABLE = "TORCHINDUCTOR_CACHE_DIR"
"""Variable with the folder, which torch reads and sets."""

_PROCESSOR = ("vendor_id", "model name", "flags", "CPU implementer", "CPU part", "Features")
"""Lines of /proc/cpuinfo that tell for which processors code can run."""


def keep_compiled_code() -> None:
    """Let torch keep what it compiles in `lightning_gan/compiled` of the user's cache folder.

    Its own folder is among the temporary files, which do not outlive a container, and are another node's after a
    restart. Each kind of processor has a subfolder, because torch compiles for the processor that it runs on, and the
    user's folder may be that of a cluster. Nothing is changed if the variable TORCHINDUCTOR_CACHE_DIR is set, if the
    process has compiled before, or if the folder cannot be written to.
    """
    if os.environ.get(VARIABLE):
        return
    try:
        folder = user_cache() / "lightning_gan" / "compiled" / _processor()
        folder.mkdir(parents=True, exist_ok=True)
    except (RuntimeError, OSError):  # no home, or no permission
        return
    if os.access(folder, os.W_OK):
        os.environ[VARIABLE] = str(folder)
        rank_zero_info(f"compiled code is kept in {folder} for later starts ({VARIABLE} gives another folder)")


def _processor() -> str:
    """A short name of this kind of processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    except OSError:  # not Linux
        lines = []
    kind = [line for line in lines if line.startswith(_PROCESSOR)] or [platform.processor()]
    return f"{platform.machine()}_{sha256(os.linesep.join(kind).encode()).hexdigest()[:12]}"
