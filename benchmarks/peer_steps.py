"""Training steps of other projects, from clones of their repositories, for `peers.py`.

Their networks are imported from the clones, and their own training functions where they can be called on a CPU. Where
their loop is a script for CUDA, its order of calls is written here. No file of theirs is part of this package.
"""

import copy
import importlib
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

Step = Callable[[], object]


@dataclass(frozen=True, kw_only=True)
class Peer:
    """Networks of another project, and their training step.

    Attributes:
        generator: its generator.
        discriminator: its discriminator.
        step: one whole step on images that are in memory: the discriminator's turn and the generator's.
    """

    generator: nn.Module
    discriminator: nn.Module
    step: Step


def squared_gradients(logits: Tensor, images: Tensor) -> Tensor:
    """The mean squared norm of the gradients of scores with respect to their images, as R1 is usually written."""
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3)).mean()


def file_module(path: Path, name: str) -> Any:
    """A file of a clone as a module of its own, without the package around it."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def mimicry(clones: Path, *, width: int, batch: int, gamma: float) -> Peer:
    """SNGAN at 32x32: `train_step` of both networks; R1 is added to the discriminator's in the usual way."""
    # The package's own __init__ imports TensorFlow for its metrics.
    for name, folder in (("torch_mimicry", "torch_mimicry"), ("torch_mimicry.nets", "torch_mimicry/nets")):
        package = ModuleType(name)
        package.__path__ = [str(clones / "mimicry" / folder)]
        sys.modules[name] = package
    networks = importlib.import_module("torch_mimicry.nets.sngan.sngan_32")
    generator, critic = networks.SNGANGenerator32(ngf=width), networks.SNGANDiscriminator32(ndf=width)
    g_adam = torch.optim.Adam(generator.parameters(), 2e-4, betas=(0.0, 0.9))
    d_adam = torch.optim.Adam(critic.parameters(), 2e-4, betas=(0.0, 0.9))
    real, labels = torch.rand(batch, 3, 32, 32) * 2 - 1, torch.zeros(batch, dtype=torch.int64)
    log = SimpleNamespace(add_metric=lambda *arguments, **settings: None)

    def critic_turn() -> None:
        critic.zero_grad()
        images = real.detach().requires_grad_()
        real_logits = critic(images)
        fake = generator.generate_images(num_images=batch).detach()
        loss = critic.compute_gan_loss(output_real=real_logits, output_fake=critic(fake))
        (loss + gamma / 2 * squared_gradients(real_logits, images)).backward()
        d_adam.step()

    def step() -> None:
        if gamma:
            critic_turn()
        else:
            critic.train_step(real_batch=(real, labels), netG=generator, optD=d_adam, log_data=log)
        generator.train_step(real_batch=(real, labels), netD=critic, optG=g_adam, log_data=log)

    return Peer(generator=generator, discriminator=critic, step=step)


def biggan(clones: Path, *, width: int, batch: int, gamma: float) -> Peer:
    """BigGAN at 32x32 as in the authors' script for CIFAR-10: `GAN_training_function`; R1 in the same order."""
    sys.modules.setdefault("h5py", ModuleType("h5py"))  # for its data sets alone
    sys.path.insert(0, str(clones / "BigGAN-PyTorch"))
    networks, functions, utils = (importlib.import_module(name) for name in ("BigGAN", "train_fns", "utils"))
    settings = {"resolution": 32, "n_classes": 10, "G_attn": "0", "D_attn": "0", "G_shared": False, "dim_z": 128}
    generator = networks.Generator(G_ch=width, **settings)
    critic = networks.Discriminator(D_ch=width, **settings)
    average = utils.ema(generator, copy.deepcopy(generator), 0.9999, 0)
    both = networks.G_D(generator, critic)
    latents, classes = utils.prepare_z_y(batch, generator.dim_z, 10, device="cpu")
    config = {
        "batch_size": batch,
        "toggle_grads": True,
        "num_D_steps": 1,
        "num_D_accumulations": 1,
        "num_G_accumulations": 1,
        "split_D": False,
        "D_ortho": 0.0,
        "G_ortho": 0.0,
        "ema": True,
    }
    train = functions.GAN_training_function(generator, critic, both, latents, classes, average, {"itr": 1}, config)
    real, labels = torch.rand(batch, 3, 32, 32) * 2 - 1, torch.randint(10, (batch,))

    def penalized() -> None:
        utils.toggle_grad(critic, True)
        utils.toggle_grad(generator, False)
        critic.optim.zero_grad()
        latents.sample_()
        classes.sample_()
        images = real.detach().requires_grad_()
        fake_logits, real_logits = both(latents[:batch], classes[:batch], images, labels, train_G=False)
        costs = functions.losses.discriminator_loss(fake_logits, real_logits)
        (sum(costs) + gamma / 2 * squared_gradients(real_logits, images)).backward()
        critic.optim.step()
        utils.toggle_grad(critic, False)
        utils.toggle_grad(generator, True)
        generator.optim.zero_grad()
        latents.sample_()
        classes.sample_()
        functions.losses.generator_loss(both(latents, classes, train_G=True)).backward()
        generator.optim.step()
        average.update(1)

    return Peer(generator=generator, discriminator=critic, step=penalized if gamma else lambda: train(real, labels))


def gan_stability(clones: Path, *, width: int, batch: int, gamma: float) -> Peer:
    """The R1 paper's ResNet at 32x32 with ten classes: the two steps of its `Trainer`, and its average."""
    sys.path.insert(0, str(clones / "GAN_stability"))
    networks = importlib.import_module("gan_training.models.resnet")
    train = file_module(clones / "GAN_stability" / "gan_training" / "train.py", "gan_stability_train")
    sizes = {"embed_size": 256, "nfilter": width, "nfilter_max": 512}
    generator, critic = networks.Generator(256, 10, 32, **sizes), networks.Discriminator(256, 10, 32, **sizes)
    average = copy.deepcopy(generator)
    optimizers = [torch.optim.RMSprop(n.parameters(), lr=1e-4, alpha=0.99, eps=1e-8) for n in (generator, critic)]
    # Its reg_param has no factor 1/2.
    trainer = train.Trainer(
        generator,
        critic,
        *optimizers,
        gan_type="standard",
        reg_type="real" if gamma else "none",
        reg_param=gamma / 2,
    )
    real, labels = torch.rand(batch, 3, 32, 32) * 2 - 1, torch.randint(10, (batch,))

    def step() -> None:
        trainer.discriminator_trainstep(real.detach(), labels, torch.randn(batch, 256))
        trainer.generator_trainstep(labels, torch.randn(batch, 256))
        train.update_average(average, generator, beta=0.999)

    return Peer(generator=generator, discriminator=critic, step=step)


class AdamOfTheTime:
    """Adam that steps on the numbers behind the parameters, as it did when IntroVAE was written.

    The decoder's turn uses the encoder's graph after the encoder's step, which PyTorch refuses today.
    """

    def __init__(self, network: nn.Module) -> None:
        self.live = list(network.parameters())
        self.numbers = [nn.Parameter(parameter.data) for parameter in self.live]
        self.adam = torch.optim.Adam(self.numbers, lr=2e-4)

    def zero_grad(self) -> None:
        for parameter in self.live:
            parameter.grad = None

    def step(self) -> None:
        for number, parameter in zip(self.numbers, self.live, strict=True):
            number.grad = parameter.grad
        self.adam.step()


def introvae(clones: Path, *, width: int, batch: int, gamma: float) -> Peer:
    """IntroVAE at 32x32: the authors' networks, in the order of their `main.py`. `gamma` has no effect."""
    networks = file_module(clones / "IntroVAE" / "networks.py", "introvae_networks")
    model = networks.IntroVAE(cdim=3, hdim=64, channels=[width, 2 * width, 4 * width], image_size=32)
    encoder, decoder = model.encoder, model.decoder
    of_encoder, of_decoder = AdamOfTheTime(encoder), AdamOfTheTime(decoder)
    real = torch.rand(batch, 3, 32, 32)

    def divergence(code: tuple[Tensor, Tensor]) -> Tensor:
        mean: Tensor = model.kl_loss(*code).mean()
        return mean

    def step() -> None:
        fake = decoder(torch.randn(batch, 64))
        mean, log_variance = encoder(real)
        codes = mean + torch.randn_like(mean) * (log_variance / 2).exp()
        reconstruction = decoder(codes)
        of_reconstruction = divergence(encoder(reconstruction.detach()))
        of_fake = divergence(encoder(fake.detach()))
        hinges = torch.relu(120.0 - of_reconstruction) + torch.relu(120.0 - of_fake)
        error = model.reconstruction_loss(reconstruction, real, True)
        cost = 0.05 * error + divergence((mean, log_variance)) + 0.25 * hinges
        of_decoder.zero_grad()
        of_encoder.zero_grad()
        cost.backward(retain_graph=True)
        of_encoder.step()
        (0.5 * (divergence(encoder(reconstruction)) + divergence(encoder(fake)))).backward()
        of_decoder.step()

    return Peer(generator=decoder, discriminator=encoder, step=step)


def plain_dcgan(clones: Path, *, width: int, batch: int, gamma: float) -> Peer:
    """A DCGAN at 64x64 as tutorials write it: a sequence of layers, cross-entropy of logits, Adam, no average."""

    def up(before: int, after: int, stride: int, padding: int) -> list[nn.Module]:
        return [
            nn.ConvTranspose2d(before, after, 4, stride, padding, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(True),
        ]

    def down(before: int, after: int) -> list[nn.Module]:
        return [nn.Conv2d(before, after, 4, 2, 1, bias=False), nn.BatchNorm2d(after), nn.LeakyReLU(0.2, True)]

    generator = nn.Sequential(
        nn.Unflatten(1, (100, 1, 1)),
        *up(100, 8 * width, 1, 0),
        *up(8 * width, 4 * width, 2, 1),
        *up(4 * width, 2 * width, 2, 1),
        *up(2 * width, width, 2, 1),
        nn.ConvTranspose2d(width, 3, 4, 2, 1, bias=False),
        nn.Tanh(),
    )
    critic = nn.Sequential(
        nn.Conv2d(3, width, 4, 2, 1, bias=False),
        nn.LeakyReLU(0.2, True),
        *down(width, 2 * width),
        *down(2 * width, 4 * width),
        *down(4 * width, 8 * width),
        nn.Conv2d(8 * width, 1, 4, 1, 0, bias=False),
        nn.Flatten(),
    )
    g_adam = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    d_adam = torch.optim.Adam(critic.parameters(), lr=2e-4, betas=(0.5, 0.999))
    criterion, real = nn.BCEWithLogitsLoss(), torch.rand(batch, 3, 64, 64) * 2 - 1

    def step() -> None:
        d_adam.zero_grad()
        fake = generator(torch.randn(batch, 100))
        images = real.detach().requires_grad_(gamma > 0)
        real_logits = critic(images)
        loss = criterion(real_logits, torch.ones(batch, 1)) + criterion(critic(fake.detach()), torch.zeros(batch, 1))
        if gamma:
            loss = loss + gamma / 2 * squared_gradients(real_logits, images)
        loss.backward()
        d_adam.step()
        g_adam.zero_grad()
        criterion(critic(fake), torch.ones(batch, 1)).backward()
        g_adam.step()

    return Peer(generator=generator, discriminator=critic, step=step)
