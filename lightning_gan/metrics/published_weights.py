"""Published files of trained weights: a path that is given, or the file in torch's download folder."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

import torch

SHOWN_DIGITS = 8
"""Number of hexadecimal digits by which records name the contents of a file, as torch's own file names do."""


@dataclass(frozen=True, kw_only=True)
class WeightsFile:
    """A file of weights on this machine.

    Attributes:
        path: path of the file.
        sha256: SHA-256 of its contents, 64 hexadecimal digits.
        is_published: whether the contents are those of the published file.
    """

    path: Path
    sha256: str
    is_published: bool

    @property
    def facts(self) -> dict[str, str]:
        """What a record states of the file: the first digits of its SHA-256, and that it is not the published one."""
        stated = {"extractor_weights": self.sha256[:SHOWN_DIGITS]}
        return stated if self.is_published else {**stated, "remark": "other weights than the published ones"}


@dataclass(frozen=True, kw_only=True)
class PublishedWeights:
    """A file of weights that others publish. It is not part of this package, and is downloaded only on request.

    Attributes:
        asker: name of the class that needs the weights, for error messages.
        address: address of the file.
        file_name: its name in torch's download folder, under which other packages keep it, too.
        sha256: SHA-256 of its contents, or the first digits of it, as far as they are published.
        size: its size for readers, such as "95 MB".
        takes_path: whether the class that needs the weights takes the path of a file.
    """

    asker: str
    address: str
    file_name: str
    sha256: str
    size: str
    takes_path: bool = True

    @property
    def usual_path(self) -> Path:
        """The path of the file in torch's download folder."""
        return Path(torch.hub.get_dir()) / "checkpoints" / self.file_name

    def find(self, weights: str | None, *, download: bool) -> WeightsFile:
        """Returns the file that is given, or the one in torch's download folder.

        A file that is given may have other contents, which its facts state. The one in the download folder must be the
        published one.

        Args:
            weights: path of a file; None is the one in the download folder.
            download: whether to download the file when it is missing there.

        Raises:
            ValueError: if there is no file, it cannot be downloaded, or the one in the download folder has other
                contents than the published file.
        """
        path = self.usual_path if weights is None else Path(weights).expanduser()
        if not path.is_file() and download and weights is None:
            self._download(path)
        if not path.is_file():
            remedy = "set weights to the file's path, or set download: true (without weights)"
            raise ValueError(
                f"{self.asker}: there are no weights at {path}. Download {self.address} ({self.size}) and "
                + (remedy if self.takes_path else "put it there, or set download: true")
            )
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        is_published = found.startswith(self.sha256)
        if weights is None and not is_published:
            raise ValueError(
                f"{self.asker}: {path} does not hold the weights of {self.address}: its SHA-256 begins with "
                f"{found[:SHOWN_DIGITS]}, not {self.sha256[:SHOWN_DIGITS]}. Delete the file and download it again"
                + (", or set weights to a path, which may have other contents" if self.takes_path else "")
            )
        return WeightsFile(path=path, sha256=found, is_published=is_published)

    def refusal(self, path: Path) -> ValueError:
        """Returns the error of a file that the network cannot be made from."""
        return ValueError(f"{self.asker}: {path} does not hold the weights of {self.address}; download the file again")

    def _download(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(self.address, str(path), hash_prefix=self.sha256)
        except (URLError, OSError, RuntimeError) as error:
            raise ValueError(
                f"{self.asker}: {self.address} could not be downloaded ({error}); fetch it elsewhere and "
                + ("set weights to the file's path" if self.takes_path else f"put it at {path}")
            ) from error
