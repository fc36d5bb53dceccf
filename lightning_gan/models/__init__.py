"""The models of the package. Each file holds the networks and the objective of one paper, or what several share."""

from lightning_gan.models.ali import ALI
from lightning_gan.models.bigan import BiGAN
from lightning_gan.models.biggan import BigGAN
from lightning_gan.models.biggan_deep import BigGANDeep
from lightning_gan.models.ct_gan import SmallCTGAN
from lightning_gan.models.dcgan import DCGAN
from lightning_gan.models.introvae import IntroVAE
from lightning_gan.models.layer_norm_resnet_gan import LayerNormResNetGAN
from lightning_gan.models.pggan import PGGAN
from lightning_gan.models.r1_resnet import R1ResNet
from lightning_gan.models.r3gan import R3GAN
from lightning_gan.models.resnet_gan import ResNetGAN
from lightning_gan.models.sagan import SAGAN
from lightning_gan.models.semi_supervised_ct_gan import SemiSupervisedCTGAN
from lightning_gan.models.sngan import SNGAN
from lightning_gan.models.soft_introvae import SoftIntroVAE
from lightning_gan.models.stylegan import StyleGAN
from lightning_gan.models.stylegan2 import StyleGAN2
from lightning_gan.models.vgan import VGAN

__all__ = [
    "ALI",
    "DCGAN",
    "PGGAN",
    "R3GAN",
    "SAGAN",
    "SNGAN",
    "VGAN",
    "BiGAN",
    "BigGAN",
    "BigGANDeep",
    "IntroVAE",
    "LayerNormResNetGAN",
    "R1ResNet",
    "ResNetGAN",
    "SemiSupervisedCTGAN",
    "SmallCTGAN",
    "SoftIntroVAE",
    "StyleGAN",
    "StyleGAN2",
]
