"""One paper, one file."""

from lightning_gan.models.biggan import BigGAN
from lightning_gan.models.biggan_deep import BigGANDeep
from lightning_gan.models.ct_gan import SmallCTGAN
from lightning_gan.models.dcgan import DCGAN, AuxiliaryClassifierDCGAN
from lightning_gan.models.layer_norm_resnet_gan import LayerNormResNetGAN
from lightning_gan.models.pggan import PGGAN
from lightning_gan.models.r1_resnet import R1ResNet
from lightning_gan.models.resnet_gan import ResNetGAN
from lightning_gan.models.sagan import SAGAN
from lightning_gan.models.semi_supervised_ct_gan import SemiSupervisedCTGAN
from lightning_gan.models.sngan import SNGAN
from lightning_gan.models.stylegan import StyleGAN

__all__ = [
    "DCGAN",
    "PGGAN",
    "SAGAN",
    "SNGAN",
    "AuxiliaryClassifierDCGAN",
    "BigGAN",
    "BigGANDeep",
    "LayerNormResNetGAN",
    "R1ResNet",
    "ResNetGAN",
    "SemiSupervisedCTGAN",
    "SmallCTGAN",
    "StyleGAN",
]
