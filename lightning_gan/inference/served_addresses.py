"""The addresses of single images on the page of `serve`."""

from collections.abc import Callable

from fastapi import HTTPException, Response
from nicegui import app

from lightning_gan.inference.served_images import ServedModel


def add_images(served: ServedModel) -> None:
    """Add the addresses of single images, whose arguments are those of `ServedModel`.

    Args:
        served: the model.
    """

    @app.get("/image/sample.png")
    def sample(seed: int, truncation: float = 1.0, label: int | None = None) -> Response:
        return _answer(lambda: served.sample(seed, truncation=truncation, label=label))

    @app.get("/image/between.png")
    def between(
        first: int,
        second: int,
        place: float,
        in_styles: bool = False,
        truncation: float = 1.0,
        label: int | None = None,
    ) -> Response:
        return _answer(
            lambda: served.between(first, second, place=place, in_styles=in_styles, truncation=truncation, label=label)
        )

    @app.get("/image/mixed.png")
    def mixed(
        first: int, second: int, lowest: int, highest: int, truncation: float = 1.0, label: int | None = None
    ) -> Response:
        return _answer(
            lambda: served.mixed(first, second, lowest=lowest, highest=highest, truncation=truncation, label=label)
        )


def _answer(image: Callable[[], bytes]) -> Response:
    try:
        return Response(image(), media_type="image/png", headers={"Cache-Control": "no-store"})
    except ValueError as error:
        raise HTTPException(status_code=422, detail=str(error)) from error
