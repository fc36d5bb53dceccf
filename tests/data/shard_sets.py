"""Small data sets in shards, and an object store on this machine that serves them as S3 does."""

import os
import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from lightning_gan.data.shard_files import litdata


def shards_of(path: Path, items: Sequence[Any], *, bytes_of_shard: int = 400, **settings: Any) -> Path:
    """Shards that hold these items, several of them."""
    path.mkdir(parents=True, exist_ok=True)
    shards = litdata().streaming.Cache(str(path), chunk_bytes=bytes_of_shard, **settings)
    for number, item in enumerate(items):
        shards[number] = item
    shards.done()
    shards.merge()
    return path


def arrays(count: int, *, size: int = 8, channels: int = 3) -> list[np.ndarray]:
    """Images that tell their own number, as arrays `channels height width`."""
    return [np.full((channels, size, size), number, dtype=np.uint8) for number in range(count)]


class Store(ThreadingHTTPServer):
    """Serves the files of a folder as the bucket `bucket`, whole or in parts, and counts the bytes of shards."""

    daemon_threads = True

    def __init__(self, folder: Path, *, delay_seconds: float = 0.0) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.folder = folder
        self.delay_seconds = delay_seconds
        self.bytes_of_shards = 0
        self.requests: list[str] = []


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    server: Store

    def do_GET(self) -> None:
        time.sleep(self.server.delay_seconds)
        name = self.path.partition("?")[0].removeprefix("/bucket/")
        self.server.requests.append(name)
        path = self.server.folder / name
        if not path.is_file():
            self._send(404, b"<Error><Code>NoSuchKey</Code><Message>The key does not exist.</Message></Error>")
            return
        part = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        with path.open("rb") as file:
            file.seek(int(part[1]) if part else 0)
            contents = file.read(int(part[2]) + 1 - int(part[1]) if part else -1)
        self.server.bytes_of_shards += len(contents) * name.endswith(".bin")
        self._send(206 if part else 200, contents)

    def do_HEAD(self) -> None:
        path = self.server.folder / self.path.partition("?")[0].removeprefix("/bucket/")
        self.send_response(200 if path.is_file() else 404)
        self.send_header("Content-Length", str(path.stat().st_size if path.is_file() else 0))
        self.end_headers()

    def _send(self, status: int, contents: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(contents)))
        self.send_header("ETag", '"0"')
        self.end_headers()
        self.wfile.write(contents)

    def log_message(self, *arguments: object) -> None:
        """Says nothing."""


def variables_of(port: int) -> dict[str, str]:
    """By which the AWS libraries find a store on this machine."""
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    return {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", **keys}


@contextmanager
def store_of(folder: Path) -> Iterator[Store]:
    """A store of this machine that the AWS libraries ask, with what is in a folder."""
    store = Store(folder)
    thread = threading.Thread(target=store.serve_forever, daemon=True)
    thread.start()
    before = dict(os.environ)
    os.environ.update(
        **variables_of(store.server_port),
    )
    try:
        yield store
    finally:
        os.environ.clear()
        os.environ.update(before)
        store.shutdown()
        store.server_close()
        thread.join()
