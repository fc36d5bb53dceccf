"""Images of an exported model in plain Python: with torch alone, and with ONNX Runtime and NumPy alone.

The model: a folder that `lightning-gan export CHECKPOINT FOLDER` has written. Neither lightning_gan nor Lightning is
imported here. `generator.pt2` needs torch, of the version that wrote it or a later one; `generator.onnx` needs
onnxruntime. Both take latents, `batch x latent_dim`, in float32, and class indices, `batch`, in int64, if the model has
classes. They return images in [-1, 1], `batch x channels x height x width`, for a batch of any size. `generator.yaml`
says how many of each there are, and what the latents are: standard normal in most models.

Run it: `python examples/use_exported_model.py FOLDER`. It writes sheet_of_torch.png and sheet_of_onnx.png here.

To change for a real project: a GPU. `move_to_device_pass(program, "cuda")` of `torch.export.passes` moves a graph of
torch with its weights; for ONNX, install onnxruntime-gpu and put "CUDAExecutionProvider" first in `providers`.
"""

import sys
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

COLUMNS, ROWS = 8, 4


def main(folder: str) -> None:
    """Make a sheet of images with each file that the folder has.

    Args:
        folder: folder of the exported model.
    """
    settings = yaml.safe_load(Path(folder, "generator.yaml").read_text(encoding="utf-8"))
    count, random = COLUMNS * ROWS, np.random.default_rng(0)
    if settings["latents"] != "standard normal":
        sys.exit(f"this model's latents are others: {settings['latents']}")
    inputs = {"latents": random.standard_normal((count, settings["latent_dim"]), dtype=np.float32)}
    if settings["number_of_classes"]:
        inputs["labels"] = np.arange(count) % settings["number_of_classes"]
    for file, images_of in (("generator.pt2", images_of_torch), ("generator.onnx", images_of_onnx)):
        if Path(folder, file).exists():
            sheet = Path(f"sheet_of_{file.rpartition('.')[2].replace('pt2', 'torch')}.png")
            save_sheet(images_of(Path(folder, file), inputs), sheet)
            print(f"{sheet}: {count} images of {file}")


def images_of_torch(file: Path, inputs: dict[str, np.ndarray]) -> np.ndarray:
    """Images of a graph of `torch.export`.

    Args:
        file: the graph.
        inputs: latents, and labels if the model has classes.
    """
    import torch

    generator = torch.export.load(file).module()
    with torch.no_grad():
        return generator(*(torch.from_numpy(value) for value in inputs.values())).numpy()


def images_of_onnx(file: Path, inputs: dict[str, np.ndarray]) -> np.ndarray:
    """Images of a graph of ONNX.

    Args:
        file: the graph.
        inputs: latents, and labels if the model has classes.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return session.run(["images"], inputs)[0]


def save_sheet(images: np.ndarray, file: Path) -> None:
    """Write images in [-1, 1] as one picture.

    Args:
        images: images, `batch channels height width`, of 1 or 3 channels.
        file: PNG file that is written.
    """
    _, channels, height, width = images.shape
    rows = images.reshape(ROWS, COLUMNS, channels, height, width).transpose(0, 3, 1, 4, 2)
    picture = rows.reshape(ROWS * height, COLUMNS * width, channels)
    pixels = np.clip(picture * 127.5 + 128, 0, 255).astype(np.uint8)
    Image.fromarray(pixels.squeeze(-1) if channels == 1 else pixels).save(file)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python use_exported_model.py FOLDER (which `lightning-gan export` has written)")
    main(sys.argv[1])
