"""CelebA (Liu et al. 2015, arXiv:1411.7766): 202,599 aligned faces of 178x218 pixels with 40 attributes."""

import os
from difflib import get_close_matches
from enum import Enum
from pathlib import Path
from typing import Any, final

import numpy as np
from PIL import Image

from lightning_gan.data.decoding import Resampling, central_pixels, resized_to_cover
from lightning_gan.data.images import (
    ClassLabels,
    ImageSource,
    Indices,
    Origin,
    box_mean,
    factor_between,
    pixel_size,
)
from lightning_gan.data.torchvision_datasets import FetchedData, PublicDataset, channels_first
from lightning_gan.tensors.fingerprints import fingerprint_of
from lightning_gan.tensors.shapes import ImageBytes

ATTRIBUTES = (
    *("5_o_Clock_Shadow", "Arched_Eyebrows", "Attractive", "Bags_Under_Eyes", "Bald", "Bangs", "Big_Lips", "Big_Nose"),
    *("Black_Hair", "Blond_Hair", "Blurry", "Brown_Hair", "Bushy_Eyebrows", "Chubby", "Double_Chin", "Eyeglasses"),
    *("Goatee", "Gray_Hair", "Heavy_Makeup", "High_Cheekbones", "Male", "Mouth_Slightly_Open", "Mustache"),
    *("Narrow_Eyes", "No_Beard", "Oval_Face", "Pale_Skin", "Pointy_Nose", "Receding_Hairline", "Rosy_Cheeks"),
    *("Sideburns", "Smiling", "Straight_Hair", "Wavy_Hair", "Wearing_Earrings", "Wearing_Hat", "Wearing_Lipstick"),
    *("Wearing_Necklace", "Wearing_Necktie", "Young"),
)
"""The 40 attributes of every face."""

_FOLDER = Path("celeba") / "img_align_celeba"
_DATASET = PublicDataset(
    name="CelebA",
    host="drive.google.com",
    by_hand=(
        "get img_align_celeba.zip and the five .txt files of its annotations from "
        "mmlab.ie.cuhk.edu.hk/projects/CelebA.html, put them into its folder celeba, and unpack the zip there "
        "(Google often refuses programs; torchvision needs gdown to ask)"
    ),
)


class CelebASplit(Enum):
    """The parts of CelebA."""

    all = "all"
    """All 202,599 images, on which GANs are trained."""

    train = "train"
    """162,770 images."""

    valid = "valid"
    """19,867 images."""

    test = "test"
    """19,962 images."""


class FaceCrop(Enum):
    """Parts of the 178x218 pixels, as left, top, right and bottom in pixels. They are cut out before the resizing."""

    square_178 = (0, 20, 178, 198)
    """The central square, as wide as the image."""

    shorter_side = (0, 0, 178, 218)
    """The whole image, which is resized first and then cut: at 64 pixels to 64x78, of which rows 7 to 71 remain. Fuel
    does this for ALI (arXiv:1606.00704), and the code of the R1 paper (arXiv:1801.04406). It differs little from
    square_178."""

    square_160 = (9, 29, 169, 189)
    """The central 160 pixels: face and hair."""

    square_108 = (35, 55, 143, 163)
    """The central 108 pixels: the face alone, as implementations of DCGAN cut it."""

    square_128_low = (25, 57, 153, 185)
    """128 pixels around (89, 121), below the centre, as for PGGAN's CelebA at 128x128 (arXiv:1710.10196)."""

    square_138 = (30, 40, 168, 178)
    """138 pixels around (99, 109), as the Torch code of DCGAN's authors cuts them (arXiv:1511.06434)."""


@final
class Faces(ImageSource):
    """Square crops of face images in one folder.

    Args:
        folder: folder that contains the files.
        names: names of the files, in the order of the images.
        labels: class of each image, 0 or 1; None for images without classes.
        class_names: names of the two classes; empty without classes.
        crop: square to cut out of the 178x218 pixels.
        image_size: width and height in pixels to which the square is resized.
        resampling: how the square is resized.
    """

    def __init__(
        self,
        *,
        folder: Path,
        names: list[str],
        labels: ClassLabels | None,
        class_names: tuple[str, ...],
        crop: FaceCrop,
        image_size: int,
        resampling: Resampling,
    ) -> None:
        self._folder = folder
        # An array of fixed-width names, because workers share it; a list would be copied name by name.
        self._names = np.array(names)
        self._labels = labels
        self._class_names = class_names
        self._crop = crop
        self._image_size = image_size
        self._resampling = resampling

    def __len__(self) -> int:
        return len(self._names)

    @property
    def labels(self) -> ClassLabels | None:
        return self._labels

    @property
    def number_of_classes(self) -> int:
        return 0 if self._labels is None else 2

    @property
    def origin(self) -> Origin:
        names = fingerprint_of("\n".join(self._names.tolist()).encode())
        return Origin(class_names=self._class_names, fingerprints={"names of files": names})

    def read(self, indices: Indices, *, resolution: int) -> ImageBytes:
        """Reads the faces at `indices`.

        Raises:
            ValueError: naming the file, if one cannot be read.
        """
        factor_between(self._image_size, resolution)
        pixels = [self._face(self._folder / str(self._names[index])) for index in indices.tolist()]
        return box_mean(channels_first(np.stack(pixels)), resolution=resolution)

    def _face(self, path: Path) -> Any:
        try:
            with Image.open(path) as image:
                part = image.convert("RGB").crop(self._crop.value)
                size = pixel_size(self._image_size)
                return np.asarray(central_pixels(resized_to_cover(part, size, self._resampling), size))
        except OSError as error:
            raise ValueError(f"{path} cannot be read ({error}); unpack img_align_celeba.zip again") from error


@final
class CelebA(FetchedData):
    """CelebA: a square crop of every aligned face, decoded from its file whenever it is read.

    Args:
        root: folder that contains `celeba`, with `img_align_celeba` and the annotations in it, or into which it is
            downloaded.
        download: whether the data set (1.4 GB) is downloaded from Google Drive when it is missing. This needs gdown,
            and Google often refuses it.
        split: part of the data set: all, train, valid or test.
        image_size: width and height in pixels to which the square is resized.
        crop: square to cut out of the 178x218 pixels: square_178, square_160, square_108, square_128_low or square_138;
            or shorter_side, which resizes before it cuts.
        attribute: one of the 40 attributes, such as Smiling, as two classes: 0 for faces without it, 1 for faces with
            it. None trains without labels.
        mirror: whether half of the training images are flipped left to right.
        batch_size: GLOBAL batch size, over all processes.
        seed: seed of the order of images and of all that is random in them.
        number_of_workers: number of processes that read ahead for each training process. None chooses one to eight, by
            the CPUs that this process may use.
        resampling: how the square is resized: box_or_lanczos, lanczos or bilinear.
        random_crop_from: size in pixels to which the square is resized, out of which training
            images are cut at random places, and others at the centre. None cuts nothing.
        dequantization_noise: width of the uniform noise that is added to training images in [-1, 1] on the device;
            1/128 = 0.0078125 in the code of several papers. 0 adds none.

    Raises:
        ValueError: if a number is out of range or there is no such attribute; when it is opened, if the data set is
            missing or incomplete.
    """

    dataset = _DATASET

    def __init__(
        self,
        *,
        root: str | Path = "data",
        download: bool = False,
        split: CelebASplit = CelebASplit.all,
        image_size: int = 64,
        crop: FaceCrop = FaceCrop.square_178,
        attribute: str | None = None,
        mirror: bool = True,
        batch_size: int = 64,
        seed: int = 0,
        number_of_workers: int | None = None,
        resampling: Resampling = Resampling.box_or_lanczos,
        random_crop_from: int | None = None,
        dequantization_noise: float = 0.0,
    ) -> None:
        if image_size < 1:
            raise ValueError(f"image_size={image_size} must be at least 1")
        if attribute is not None and attribute not in ATTRIBUTES:
            close = get_close_matches(attribute, ATTRIBUTES, n=1, cutoff=0.4) or ["Smiling"]
            raise ValueError(f"CelebA has no attribute {attribute}; give one of its 40, such as {close[0]}")
        super().__init__(
            image_size=image_size,
            image_channels=3,
            number_of_classes=0 if attribute is None else 2,
            batch_size=batch_size,
            seed=seed,
            mirror=mirror,
            number_of_workers=number_of_workers,
            random_crop_from=random_crop_from,
            dequantization_noise=dequantization_noise,
        )
        self.root = Path(root).expanduser()
        self.download = download
        self.split = split
        self.crop = crop
        self.resampling = resampling
        self.attribute = attribute

    def open_source(self) -> ImageSource:
        """Returns the faces of the split.

        Raises:
            ValueError: if the data set is missing or incomplete.
        """
        opened = self.opened()
        names = [str(name) for name in opened.filename]
        folder = self.root / _FOLDER
        # torchvision checks the annotations and that the folder exists, but not that the whole zip was unpacked.
        missing = set(names) - set(os.listdir(folder))
        if missing:
            raise ValueError(
                f"{folder} lacks {len(missing)} of {len(names)} images, the first is {min(missing)}; "
                "unpack img_align_celeba.zip there again"
            )
        labels = None
        if self.attribute is not None:
            labels = opened.attr[:, opened.attr_names.index(self.attribute)].long()
        return Faces(
            folder=folder,
            names=names,
            labels=labels,
            class_names=() if self.attribute is None else (f"not {self.attribute}", self.attribute),
            crop=self.crop,
            image_size=self.size_to_read,
            resampling=self.resampling,
        )

    def of_torchvision(self, datasets: Any, *, download: bool) -> Any:
        return datasets.CelebA(self.root, split=self.split.value, target_type="attr", download=download)
