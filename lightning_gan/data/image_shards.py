"""Your own images in shards: more of them than a disk holds, in an object store."""

from typing import final

from lightning_gan.data.crops import RandomCrops
from lightning_gan.data.datamodule import GANData
from lightning_gan.data.decoding import Resampling, Resize
from lightning_gan.data.images import ImageSource
from lightning_gan.data.shard_labels import labels_at
from lightning_gan.data.shards import Shards


@final
class ImageShards(GANData):
    """Images in shards, which may be more than a disk holds: in an object store, read by any number of machines.

    Shards are files that hold many images each, in litdata's format; `prepare` writes them to a folder whose name ends
    in `.shards`. Every image is read when it is its turn, in the same order as from a folder, and nothing is kept on
    the disk. The first image is checked before training, and the others when they are read.

    Args:
        address: path of the folder that holds the shards, or its address in an object store: `s3://BUCKET/NAME` or
            `gs://BUCKET/NAME`. Credentials are found as the store's own programs find them, and the variable
            AWS_ENDPOINT_URL leads to other stores that speak S3's language.
        labels_file: path or address of a `dataset.json` that names all images in the order of the shards, with their
            labels; `prepare` writes it beside the shards. None trains without classes.
        image_size: full height of the images in pixels, and their width if `image_width` is not given.
        image_channels: number of channels: 1 grey, 3 RGB (transparent pixels are composited onto white), 4 RGBA; of
            arrays, and of images with more than 8 bits, the number that they have.
        resize: treatment of image files of another size: exact refuses them, center_crop resizes the central square
            (the largest central rectangle of the images' proportions), shorter_side resizes the whole image and cuts
            the square (the rectangle), squash changes the image's proportions.
        resampling: how images of another size are resized: box_or_lanczos, lanczos or bilinear.
        mirror: whether half of the training images are flipped left to right.
        batch_size: GLOBAL batch size, over all processes.
        seed: seed of the order of images and of all that is random in them.
        number_of_workers: number of processes that read ahead for each training process. None chooses one to eight, by
            the CPUs that this process may use.
        random_crop_from: height in pixels which `resize` gives the images (or requires of them), out of which training
            images are cut at random places, and others at the centre. None cuts nothing.
        dequantization_noise: width of the uniform noise that is added to training images in [-1, 1] on the device;
            1/128 = 0.0078125 in the code of several papers. 0 adds none.
        image_width: full width of the images in pixels, for models that take it (`StyleGAN2`, `R3GAN`); None is a
            square.
        value_range: the lowest and the highest value in files and arrays of 16 bits, of floats or of several channels,
            such as [0, 65535]; they become -1 and 1 of float images. Other values are refused. None is for images of 8
            bits.

    Raises:
        ValueError: if a number is out of range or the labels cannot be understood; when it is opened, if litdata is
            missing, there are no shards, they hold something else than images, or the labels are of other images.
    """

    def __init__(
        self,
        *,
        address: str,
        labels_file: str | None = None,
        image_size: int,
        image_channels: int = 3,
        resize: Resize = Resize.exact,
        resampling: Resampling = Resampling.box_or_lanczos,
        mirror: bool = False,
        batch_size: int = 64,
        seed: int = 0,
        number_of_workers: int | None = None,
        random_crop_from: int | None = None,
        dequantization_noise: float = 0.0,
        image_width: int | None = None,
        value_range: tuple[float, float] | None = None,
    ) -> None:
        self._labels = None if labels_file is None else labels_at(labels_file)
        super().__init__(
            image_size=image_size,
            image_channels=image_channels,
            number_of_classes=0 if self._labels is None else self._labels.number_of_classes,
            batch_size=batch_size,
            seed=seed,
            mirror=mirror,
            number_of_workers=number_of_workers,
            random_crop_from=random_crop_from,
            dequantization_noise=dequantization_noise,
            image_width=image_width,
            value_range=value_range,
        )
        self._given_range = value_range
        self.address = address
        self.resize = resize
        self.resampling = resampling
        self.random_crop_from = random_crop_from

    def prepare_data(self) -> None:
        """Opens the shards in one process of every machine, which fetches their index for the others."""
        assert len(self.source) > 0

    def open_source(self) -> ImageSource:
        shards = Shards(
            address=self.address,
            image_size=self.size_to_read,
            image_width=self.width_to_read,
            image_channels=self.image_channels,
            labels=self._labels,
            resize=self.resize,
            resampling=self.resampling,
            value_range=self._given_range,
        )
        if self.resize is Resize.shorter_side and self.random_crop_from is not None:
            return RandomCrops(source=shards, whole=shards.whole, size=self.image_size, width=self.image_width)
        return shards
