"""Decoding every image file once before training, so that broken files are named then and not hours later."""

import os

from lightning_gan.atomic_files import written_whole
from lightning_gan.data.image_files import ImageFiles
from lightning_gan.data.shown import shown
from lightning_gan.tensors.fingerprints import fingerprint_of
from lightning_gan.user_cache import user_cache


def check_once(files: ImageFiles) -> None:
    """Decodes every file in threads, unless the same files have been decoded before.

    That they are all good is remembered by a small file in `lightning_gan/checked` of the user's cache folder, whose
    name changes if the path, a file, the size, the channels or the resizing changes. If it cannot be written, files are
    decoded again the next time. The work is that of one epoch of reading.

    Raises:
        ValueError: if files cannot be read; one error names them.
    """
    try:
        stamp = user_cache() / "lightning_gan" / "checked" / _name_of(files)
        is_known = stamp.exists()
    except (RuntimeError, OSError):  # no home, or no permission
        files.check()
        return
    if is_known:
        return
    files.check()
    try:
        with written_whole(stamp) as file:
            file.write(f"{len(files)} good images: {shown(files.path.absolute())}\n".encode())
    except OSError:  # a place that is read-only, or full
        return


def _name_of(files: ImageFiles) -> str:
    # The checksums in a zip say what its files should be. Whether they are, its own time tells, as that of files does.
    path = files.path.resolve()
    return fingerprint_of(files.fingerprint().encode(), os.fsencode(path), str(path.stat().st_mtime_ns).encode())
