"""What the package has, found by walking its folders, so that tests need no list of parts."""

import pkgutil
from types import ModuleType


def modules_of(package: ModuleType) -> list[str]:
    """The dotted names of all modules in a package and in its folders, sorted."""
    return sorted(module.name for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."))
