"""The page of `serve`, in NiceGUI. What the model does not have is not on it.

NiceGUI brings all files that a page needs, so that it works without a network, and it reports to nobody. Gradio, which
shows models too, reports its use to its authors unless that is turned off.
"""

import base64
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlencode

from nicegui import app, events, run, ui
from nicegui.element import Element
from starlette.middleware.trustedhost import TrustedHostMiddleware

from lightning_gan.data.shown import shown
from lightning_gan.inference.images_in import central
from lightning_gan.inference.served_addresses import add_images
from lightning_gan.inference.served_images import LARGEST_SEED, ServedModel

LARGEST_UPLOAD = 50_000_000
"""Largest size of an uploaded image in bytes."""

SHARP_BELOW = 128
"""Height of images in pixels below which their pixels are shown as squares."""

STYLE = """
body { font-family: system-ui, sans-serif; }
.nicegui-content { max-width: 76rem; margin: 0 auto; padding: 1rem; }
.images { display: grid; gap: 0.75rem; width: 100%; }
.images { grid-template-columns: repeat(auto-fill, minmax(min(var(--side), var(--most)), 1fr)); }
.images img, .large { width: 100%; aspect-ratio: 1; object-fit: contain; background: rgba(128, 128, 128, 0.15); }
.sharp img, img.sharp { image-rendering: pixelated; }
.images figure { margin: 0; cursor: zoom-in; }
.images.still figure { cursor: default; }
.images figcaption { font-size: 0.8rem; opacity: 0.75; text-align: center; padding-top: 0.15rem; line-height: 1.25; }
.controls { display: flex; flex-wrap: wrap; gap: 0.5rem 1.25rem; align-items: end; width: 100%; }
.controls > * { flex: 0 1 10rem; min-width: 8rem; }
.slider-title { font-size: 0.8rem; opacity: 0.75; }
.command { font-family: monospace; font-size: 0.8rem; max-width: 100%; overflow-x: auto; white-space: nowrap; }
.q-dialog .large { max-height: 65vh; }
.q-uploader__list, .q-uploader__subtitle { display: none; }
.q-tab { padding: 0 0.7rem; }
.q-tab-panel { padding: 1rem 0; }
"""


def run_page(
    served: ServedModel, *, checkpoint: str, host: str, port: int, open_browser: bool, only_local: bool
) -> None:
    """Serve the page until the process is interrupted.

    Args:
        served: the model.
        checkpoint: what the user called the checkpoint, for commands that the page shows.
        host: address that the page is served at.
        port: port that the page is served at.
        open_browser: whether the page is opened in the browser of this machine.
        only_local: whether requests are refused that name another machine. A page of someone else could otherwise
            reach this one under a name of its own (DNS rebinding).
    """
    if only_local:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost", "[::1]", "::1", host])
    add_images(served)
    ui.run(
        lambda: Page(served, checkpoint=checkpoint).build(),
        host=host,
        port=port,
        title=f"{served.trained.name} – lightning_gan",
        favicon="🖼️",
        dark=None,
        reload=False,
        show=open_browser,
        show_welcome_message=False,
    )


class Page:
    """The page of one visitor.

    Args:
        served: the model.
        checkpoint: what the user called the checkpoint, for commands that the page shows.
    """

    def __init__(self, served: ServedModel, *, checkpoint: str) -> None:
        self.served = served
        self.checkpoint = checkpoint
        self.height = served.trained.image_shape[1]

    def build(self) -> None:
        """Make the page: a tab for everything that the model can do."""
        ui.add_css(STYLE)
        ui.label(self.served.trained.name).classes("text-2xl font-medium")
        description = self.served.trained.description.removeprefix(f"{self.served.trained.name} of ")
        ui.label(description).classes("text-sm opacity-75").style("overflow-wrap: anywhere")
        panels: dict[str, Callable[[], None]] = {"Samples": self.samples, "Interpolation": self.between}
        if self.served.layers:
            panels["Style mixing"] = self.mixing
        if self.served.has_encoder:
            panels["Reconstruction"] = self.reconstruction
        with ui.tabs().props('align="left" no-caps outside-arrows mobile-arrows').classes("w-full") as tabs:
            for name in panels:
                ui.tab(name)
        with ui.tab_panels(tabs, value="Samples", animated=False).classes("w-full bg-transparent"):
            for name, panel in panels.items():
                with ui.tab_panel(name):
                    panel()

    # ------------------------------------------------------------------ the tabs

    def samples(self) -> None:
        """Images of consecutive seeds."""
        with self._controls():
            seed = self._seed("First seed", 0)
            count = ui.select([8, 16, 32, 64], value=16, label="Images")
            label, truncation = self._class(each=True), self._truncation()
            ui.button("Random seeds", on_click=lambda: seed.set_value(secrets.randbelow(LARGEST_SEED // 2))).props(
                "outline no-caps"
            )

        @ui.refreshable
        def images() -> None:
            with self._images(side=8.25):
                for number in range(_whole(seed.value), _whole(seed.value) + count.value):
                    chosen = {"truncation": _of(truncation), "label": _of(label)}
                    titles = [f"seed {number}", *self._class_of(number, _of(label))]
                    figure = self._figure("sample", *titles, seed=number, **chosen)
                    figure.on(
                        "click", lambda _, n=number, t=titles, c=chosen: self._enlarge(n, title=", ".join(t), **c)
                    )

        images()
        _on_change(images.refresh, seed, count, label, truncation)

    def between(self) -> None:
        """Images on the way from one seed to another: a strip, and one at a chosen place."""
        with self._controls():
            first, second = self._seed("From seed", 0), self._seed("To seed", 1)
            steps = ui.select([5, 7, 9, 13], value=7, label="Images")
            label, truncation = self._class(each=False), self._truncation()
            space = ui.select({False: "latents z", True: "styles w"}, value=False, label="Way through")
            space.set_visibility(bool(self.served.layers))

        def ends() -> dict[str, object]:
            chosen = {"truncation": _of(truncation), "label": _of(label), "in_styles": space.value or None}
            return {"first": _whole(first.value), "second": _whole(second.value), **chosen}

        @ui.refreshable
        def strip() -> None:
            with self._images(side=7, still=True):
                for step in range(steps.value):
                    place = step / (steps.value - 1)
                    self._figure("between", f"{100 * place:.0f} %", place=place, **ends())

        @ui.refreshable
        def one() -> None:
            self._large("between", f"{100 * position.value:.0f} % of the way", place=position.value, **ends())

        strip()
        with ui.element("div").style("width: min(100%, 24rem)").classes("mt-4"):
            title = ui.label().classes("slider-title")
            position = ui.slider(min=0, max=1, step=0.01, value=0.5).props('aria-label="place on the way"')
            title.bind_text_from(position, "value", lambda place: f"One image, at {100 * place:.0f} % of the way")
            one()
        _on_change(strip.refresh, first, second, steps, label, truncation, space)
        _on_change(one.refresh, first, second, label, truncation, space)
        position.on("change", one.refresh)

    def mixing(self) -> None:
        """An image some of whose layers have the styles of another one."""
        resolutions = self.served.layers
        last = len(resolutions) - 1
        with self._controls():
            first, second = self._seed("Seed A", 0), self._seed("Seed B", 1)
            label, truncation = self._class(each=False), self._truncation()
        with ui.element("div").style("width: min(100%, 24rem)").classes("mt-3"):
            title = ui.label().classes("slider-title")
            layers = ui.range(min=0, max=last, step=1, value={"min": 0, "max": min(3, last)})
            layers.props('label markers snap aria-label="layers with the styles of B"')

        @ui.refreshable
        def images() -> None:
            low, high = layers.value["min"], layers.value["max"]
            span = dict.fromkeys(map(self.served.trained.size_at, (resolutions[low], resolutions[high])))
            title.set_text(f"Layers {low} to {high} of 0 to {last} ({' to '.join(span)}) have the styles of B")
            ends = {"first": _whole(first.value), "second": _whole(second.value)}
            chosen = {"truncation": _of(truncation), "label": _of(label)}
            with self._images(side=12, still=True).style("max-width: 52rem"):
                self._figure("mixed", f"A: seed {ends['first']}", **ends, lowest=0, highest=-1, **chosen)
                self._figure("mixed", "mixed", **ends, lowest=low, highest=high, **chosen)
                self._figure("mixed", f"B: seed {ends['second']}", **ends, lowest=0, highest=last, **chosen)

        images()
        _on_change(images.refresh, first, second, label, truncation)
        layers.on("change", images.refresh)

    def reconstruction(self) -> None:
        """An uploaded image, and what the model makes of its code."""
        _, height, width = self.served.trained.image_shape
        part = central(height, width)
        ui.label(f"The {part} of an image is resized to {width}x{height}, encoded and decoded.").classes("text-sm")

        async def upload(event: events.UploadEventArguments) -> None:
            contents, name = await event.file.read(), event.file.name
            found.clear()
            uploader.reset()
            try:
                made = await run.io_bound(lambda: self.served.reconstruction(contents, name=name))
            except ValueError as error:
                ui.notify(str(error), type="negative", multi_line=True)
                return
            if made is None:  # the program is ending
                return
            with found, self._images(side=12, most=40, still=True).style("max-width: 36rem"):
                self._picture(_data_url(made.image), "image", shown(name))
                difference = f"differs by {made.error:.1f} of 255 levels"
                self._picture(_data_url(made.reconstruction), "reconstruction", difference)

        def refuse() -> None:
            ui.notify(f"An image has at most {LARGEST_UPLOAD // 1_000_000} MB", type="negative")

        uploader = ui.upload(
            label="Choose an image, or drop it here",
            auto_upload=True,
            max_file_size=LARGEST_UPLOAD,
            on_upload=upload,
            on_rejected=refuse,
        )
        uploader.props('accept="image/*" flat bordered').style("width: min(100%, 24rem)").classes("my-3")
        found = ui.element("div").classes("w-full")

    # ------------------------------------------------------------------ controls

    @contextmanager
    def _controls(self) -> Iterator[None]:
        with ui.element("div").classes("controls"):
            yield

    def _seed(self, title: str, value: int) -> ui.number:
        number = ui.number(title, value=value, min=0, max=LARGEST_SEED, step=1, precision=0)
        return number.props('debounce="400"')

    def _class(self, *, each: bool) -> ui.select | None:
        """The choice of a class; None without classes."""
        titles = self.served.class_titles
        if not titles:
            return None
        options: dict[int | None, str] = {None: "each in turn" if each else "of the seeds"}
        options |= dict(enumerate(titles))
        return ui.select(options, value=None, label="Class", with_input=len(titles) > 20)

    def _truncation(self) -> ui.slider | None:
        """The choice of the truncation; None without a truncation trick."""
        if not self.served.has_truncation:
            return None
        with ui.element("div"):
            title = ui.label().classes("slider-title")
            slider = ui.slider(min=0.0, max=1.0, step=0.05, value=1.0).props('aria-label="truncation"')
            title.bind_text_from(slider, "value", lambda value: f"Truncation {value:.2f}")
        return slider

    # ------------------------------------------------------------------ images

    def _images(self, *, side: float, most: int = 27, still: bool = False) -> Element:
        """A grid of images that are at least `side` rem wide, or `most` hundredths of a narrow screen."""
        classes = f"images mt-4{' still' * still}{' sharp' * (self.height < SHARP_BELOW)}"
        return ui.element("div").classes(classes).style(f"--side: {side}rem; --most: {most}vw")

    def _figure(self, kind: str, *titles: str, **arguments: object) -> Element:
        return self._picture(_url(kind, **arguments), *titles)

    def _picture(self, source: str, *titles: str) -> Element:
        with ui.element("figure") as figure:
            _image(source, ", ".join(titles)).props('loading="lazy"')
            with ui.element("figcaption"):
                for title in titles:
                    ui.label(title)
        return figure

    def _large(self, kind: str, title: str, **arguments: object) -> None:
        sharp = " sharp" * (self.height < SHARP_BELOW)
        _image(_url(kind, **arguments), title).classes(f"large{sharp}")

    def _enlarge(self, seed: int, *, title: str, truncation: object, label: object) -> None:
        """Show an image larger, with the command that writes it to a file."""
        options = "".join(
            f" --{name} {value}"
            for name, value in (("truncation", truncation), ("classes", label))
            if value is not None
        )
        with ui.dialog() as dialog, ui.card().style("width: min(92vw, 36rem); max-width: none"):
            ui.label(title).classes("text-lg")
            self._large("sample", title, seed=seed, truncation=truncation, label=label)
            ui.label(f"lightning-gan generate {self.checkpoint} --seeds {seed}{options}").classes("command")
            ui.button("Close", on_click=dialog.close).props("flat no-caps")
        dialog.on("hide", dialog.delete)
        dialog.open()

    def _class_of(self, seed: int, label: object) -> list[str]:
        """The class of a seed, if it is not the same for all."""
        titles = self.served.class_titles
        return [f"class {titles[seed % len(titles)]}"] if titles and label is None else []


def _of(control: ui.select | ui.slider | None) -> float | int | None:
    """The value of a control that the model may not have. A truncation of 1 is no truncation."""
    value = None if control is None else control.value
    return None if value == 1.0 and isinstance(control, ui.slider) else value


def _whole(value: float | None) -> int:
    """The number in a field, which is 0 while it is empty."""
    return min(max(int(value or 0), 0), LARGEST_SEED)


def _image(source: str, title: str) -> Element:
    """An image with its title for those who do not see it, which may have quotation marks."""
    image = ui.element("img").props(f'src="{source}"')
    image.props["alt"] = title
    return image


def _url(kind: str, **arguments: object) -> str:
    return f"/image/{kind}.png?{urlencode({name: value for name, value in arguments.items() if value is not None})}"


def _data_url(contents: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(contents).decode()}"


def _on_change(refresh: Callable[[], object], *controls: ui.number | ui.select | ui.slider | None) -> None:
    """Draw a part of the page again when a control has another value; sliders only when they are let go."""
    for control in controls:
        if isinstance(control, ui.slider):
            control.on("change", refresh)
        elif control is not None:
            control.on_value_change(refresh)
