"""Serves a page that shows a checkpoint: the work of the command `serve`."""

import ipaddress
import socket
import sys
from importlib.util import find_spec

from lightning_gan.inference.served_images import ServedModel
from lightning_gan.inference.trained_model import Device, trained_model

PORTS = range(1, 65536)


def serve(
    checkpoint: str,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    open_browser: bool = False,
    ema: bool = True,
    device: Device = Device.auto,
) -> None:
    """Show a checkpoint on a page in the browser, until Ctrl-C.

    The page shows images of seeds, with truncation and classes where the model has them; the way between two seeds;
    style mixing by layers, for StyleGAN; and the reconstruction of an uploaded image, for models with an encoder. It
    needs the package nicegui: pip install 'lightning-gan[serve]'. The page loads nothing from other machines.

    Only programs on this machine reach the page. With --host 0.0.0.0, everyone who reaches this machine does, without a
    password.

    Args:
        checkpoint: a checkpoint file, the folder of a run such as runs/stylegan, or its folder of checkpoints.
        host: address that the page is served at.
        port: port that the page is served at.
        open_browser: open the page in the browser of this machine.
        ema: use averaged weights if the checkpoint has them.
        device: where the networks compute. auto is the GPU if there is one.

    Raises:
        ValueError: for an address or a port that cannot be used, and for a model that makes no images.
        ImportError: if nicegui is not installed.
    """
    if find_spec("nicegui") is None:
        raise ModuleNotFoundError("No module named 'nicegui'", name="nicegui")
    check_free(host, port)
    served = ServedModel(trained_model(checkpoint, device=device, ema=ema))
    print(served.trained.description, file=sys.stderr)
    if not is_local(host):
        print(
            f"serve: --host {host} lets everyone who reaches this machine use the page, without a password",
            file=sys.stderr,
        )
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    print(f"http://{shown}:{port} shows it; Ctrl-C ends", flush=True)
    from lightning_gan.inference.serve_page import run_page  # imports nicegui, which starts threads

    run_page(served, checkpoint=checkpoint, host=host, port=port, open_browser=open_browser, only_local=is_local(host))


def is_local(host: str) -> bool:
    """Whether only programs on this machine reach an address.

    Args:
        host: an IP address, or `localhost`.

    Example:
        >>> [is_local(host) for host in ("127.0.0.1", "localhost", "::1", "0.0.0.0", "192.168.0.7", "my-machine")]
        [True, True, True, False, False, False]
    """
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_free(host: str, port: int) -> None:
    """Check that a page can be served at an address.

    Args:
        host: the address.
        port: the port.

    Raises:
        ValueError: if it is no address of this machine, or another program uses the port.
    """
    if port not in PORTS:
        raise ValueError(f"port={port} must be from {PORTS[0]} to {PORTS[-1]}")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
            probe.bind(address)
    except OSError as error:
        raise ValueError(
            f"the page cannot be served at {host}, port {port} ({error.strerror or error}); give another --port, or "
            "another --host"
        ) from error
