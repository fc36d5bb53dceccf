"""Videos and animations: MP4 and GIF files of frames, which are made while they are written."""

from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import numpy as np
from PIL import Image

from lightning_gan.atomic_files import written_whole
from lightning_gan.callbacks.figures.pictures import Grid, picture_of

HUNDREDTHS = 100
"""The time unit of GIF files is a hundredth of a second."""

FASTEST_GIF = 50
"""Largest number of frames per second of a GIF; browsers show faster ones slowly."""


def gif_rate(fps: int) -> float:
    """The frames per second that a GIF file has in place of `fps`, because its frames last whole hundredths of seconds.

    Args:
        fps: frames per second.

    Raises:
        ValueError: for more than `FASTEST_GIF`.

    Example:
        >>> gif_rate(25), round(gif_rate(30), 1)
        (25.0, 33.3)
    """
    if fps > FASTEST_GIF:
        raise ValueError(f"fps={fps}: a GIF has at most {FASTEST_GIF} frames per second; give fewer, or write an .mp4")
    return HUNDREDTHS / round(HUNDREDTHS / fps)


def write_gif(path: Path, frames: Iterable[Grid], *, fps: int) -> None:
    """Write an animation that repeats without end. Its colours are reduced to 256 per frame.

    Args:
        path: path of the file.
        frames: uint8 pixels of each frame, `grid_height grid_width shown_channels`, all of the same size.
        fps: frames per second, at most `FASTEST_GIF`.
    """
    pictures = (_on_white(frame) for frame in frames)
    first = next(pictures)
    milliseconds = 1000 // HUNDREDTHS * round(HUNDREDTHS / fps)
    with written_whole(path) as file:
        # Pillow joins equal neighbouring frames to one, which is shown for as long as both.
        first.save(file, format="GIF", save_all=True, append_images=pictures, duration=milliseconds, loop=0)


def require_av() -> None:
    """Check that the package that writes MP4 files is installed.

    Raises:
        ImportError: if it is not.
    """
    import av  # noqa: F401


def write_mp4(path: Path, frames: Iterable[Grid], *, fps: int) -> None:
    """Write a video in H.264, which browsers and players show.

    A frame with an odd number of rows or columns gets a white one more, because H.264 stores colours for 2x2 pixels.

    Args:
        path: path of the file.
        frames: uint8 pixels of each frame, `grid_height grid_width shown_channels`, all of the same size.
        fps: frames per second.

    Raises:
        ImportError: if the package av is not installed.
    """
    # PyAV is FFmpeg's libraries as a Python package, with wheels that need nothing else. It writes to an open file, in
    # this process; imageio-ffmpeg starts a program that writes to a path of its own.
    import av

    remaining = iter(frames)
    first = next(remaining)
    height, width = (size + size % 2 for size in first.shape[:2])
    with written_whole(path) as file, av.open(file, mode="w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "17", "preset": "medium"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.thread_count = 1  # with more, the bytes depend on the number of cores
        for frame in chain([first], remaining):
            pixels = np.full((height, width, 3), 255, dtype=np.uint8)
            picture = np.asarray(_on_white(frame).convert("RGB"))
            pixels[: picture.shape[0], : picture.shape[1]] = picture
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))


def _on_white(frame: Grid) -> Image.Image:
    """The picture of a frame; transparent pixels are composited onto white."""
    picture = picture_of(frame)
    if picture.mode != "RGBA":
        return picture
    paper = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(paper, picture).convert("RGB")
