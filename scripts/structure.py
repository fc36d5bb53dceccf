"""Counts what a newcomer has to find a way through: rooms, imports between them, and the longest files.

    python scripts/structure.py

A room is a folder of the package (with its subfolders), or a file that lies loose in the package's folder. An arrow is
a room that imports another one. A floor is the length of the longest chain of arrows. A circle is a pair of rooms that
import each other, directly or not.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "lightning_gan"


def room_of(parts: tuple[str, ...]) -> str:
    """The room of a module or a file, given as its path within the package.

    Example:
        >>> room_of(("callbacks", "training", "ema.py")), room_of(("compat.py",)), room_of(("loop", "gan"))
        ('callbacks', 'compat', 'loop')
    """
    return parts[0].removesuffix(".py")


def imported_modules(file: Path) -> Iterator[str]:
    """Dotted names of all modules that a file imports."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


def arrows_of_package() -> dict[str, set[str]]:
    """For every room the other rooms that it imports. The package's own `__init__.py` is no room."""
    files = [file for file in sorted(PACKAGE.rglob("*.py")) if file != PACKAGE / "__init__.py"]
    rooms = {room_of(file.relative_to(PACKAGE).parts) for file in files}
    arrows: dict[str, set[str]] = {room: set() for room in sorted(rooms)}
    for file in files:
        room = room_of(file.relative_to(PACKAGE).parts)
        for module in imported_modules(file):
            package, *parts = module.split(".")
            if package == PACKAGE.name and parts and room_of(tuple(parts)) in rooms - {room}:
                arrows[room].add(room_of(tuple(parts)))
    return arrows


def reachable(room: str, arrows: dict[str, set[str]]) -> set[str]:
    """All rooms that a room imports, directly or not."""
    found: set[str] = set()
    waiting = list(arrows[room])
    while waiting:
        if (other := waiting.pop()) not in found:
            found.add(other)
            waiting += arrows[other]
    return found


def floor_of(room: str, arrows: dict[str, set[str]]) -> int:
    """1 for a room that imports no other one, else one more than the highest floor that it imports."""
    return 1 + max((floor_of(other, arrows) for other in arrows[room]), default=0)


def main() -> None:
    """Print the table."""
    arrows = arrows_of_package()
    circles = [(a, b) for a in arrows for b in reachable(a, arrows) if a < b and a in reachable(b, arrows)]
    print(f"rooms {len(arrows)}, arrows {sum(map(len, arrows.values()))}, circles {len(circles)}")
    if not circles:
        floors = {room: floor_of(room, arrows) for room in arrows}
        print(f"floors {max(floors.values())}")
        for room in sorted(floors, key=lambda room: (-floors[room], room)):
            print(f"  {floors[room]}  {room}: {' '.join(sorted(arrows[room]))}")
    lengths = {file: len(file.read_text().splitlines()) for file in PACKAGE.rglob("*.py")}
    for file in sorted(lengths, key=lambda file: -lengths[file])[:8]:
        print(f"{lengths[file]:5} {file.relative_to(PACKAGE)}")


if __name__ == "__main__":
    main()
