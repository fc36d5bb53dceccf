"""The folder of the user's caches."""

import os
from pathlib import Path


def user_cache() -> Path:
    """Returns the folder of caches of the user: that of the variable XDG_CACHE_HOME, or ~/.cache.

    Raises:
        RuntimeError: if the user has no home folder.
    """
    given = os.environ.get("XDG_CACHE_HOME", "")
    return Path(given) if os.path.isabs(given) else Path.home() / ".cache"
