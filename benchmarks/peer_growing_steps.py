"""Training steps of other projects' growing networks and of StudioGAN's, from clones, for `peers.py`.

As in `peer_steps.py`, networks are imported from the clones, and orders of calls that are scripts for CUDA are written
here.
"""

import copy
import importlib
import random
import sys
from contextlib import nullcontext
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from peer_steps import Peer, file_module, squared_gradients
from torch import Tensor, nn
from torch.nn.functional import softplus


def growing_widths(size: int, *, most: int) -> list[int]:
    """The feature maps at 4x4, 8x8 ... `size`: half the size's sixteenfold after every doubling, up to `most`."""
    return [min(16 * size // 2**stage, most) for stage in range(2, size.bit_length())]


def trains(network: nn.Module, flag: bool) -> None:
    """Let the weights of a network require grad, or not."""
    for parameter in network.parameters():
        parameter.requires_grad = flag


def gan_zoo(clones: Path, *, width: int, batch: int, gamma: float) -> Peer:
    """PGGAN at 64x64, fully grown, with the logistic loss: their `optimizeParameters`, whose R1 is their own."""
    sys.path.insert(0, str(clones / "pytorch_GAN_zoo"))
    module = importlib.import_module("models.progressive_gan")

    def adam(parameters: Any, betas: object, lr: float) -> torch.optim.Adam:
        return torch.optim.Adam(parameters, lr=lr, betas=(0.0, 0.99))  # theirs has an integer, which torch refuses now

    module.optim = SimpleNamespace(Adam=adam)
    widths = growing_widths(64, most=width)
    settings = {"logisticGradReal": gamma / 2} if gamma else {}
    gan = module.ProgressiveGAN(
        dimLatentVector=64,
        depthScale0=widths[0],
        miniBatchStdDev=True,
        useGPU=False,
        lossMode="Logistic",
        **settings,
    )
    for features in widths[1:]:
        gan.addScale(features)
    real = torch.rand(batch, 3, 64, 64) * 2 - 1
    return Peer(generator=gan.netG, discriminator=gan.netD, step=lambda: gan.optimizeParameters(real))


def rosinality(clones: Path, *, width: int, batch: int, gamma: float) -> Peer:
    """StyleGAN at 64x64, fully grown: their blocks at these widths, in the order of their `train.py`."""
    networks = file_module(clones / "style-based-gan-pytorch" / "model.py", "rosinality_model")
    size, code = 64, 64
    widths = growing_widths(size, most=width)
    level = len(widths) - 1
    generator = networks.StyledGenerator(code, n_mlp=4)
    block = partial(networks.StyledConvBlock, kernel_size=3, padding=1, style_dim=code)
    generator.generator.progression = nn.ModuleList(
        [block(widths[0], widths[0], initial=True)] + [block(a, b, upsample=True) for a, b in pairwise(widths)]
    )
    generator.generator.to_rgb = nn.ModuleList([networks.EqualConv2d(features, 3, 1) for features in widths])
    critic = networks.Discriminator(from_rgb_activate=True)
    critic.progression = nn.ModuleList(
        [networks.ConvBlock(b, a, 3, 1, downsample=True) for a, b in reversed(list(pairwise(widths)))]
        + [networks.ConvBlock(widths[0] + 1, widths[0], 3, 1, 4, 0)]
    )
    critic.from_rgb = nn.ModuleList(
        [nn.Sequential(networks.EqualConv2d(3, features, 1), nn.LeakyReLU(0.2)) for features in reversed(widths)]
    )
    critic.n_layer, critic.linear = len(widths), networks.EqualLinear(widths[0], 1)
    average = copy.deepcopy(generator).eval()
    g_adam = torch.optim.Adam(generator.generator.parameters(), lr=1e-3, betas=(0.0, 0.99))
    g_adam.add_param_group({"params": generator.style.parameters(), "lr": 1e-5})
    d_adam = torch.optim.Adam(critic.parameters(), lr=1e-3, betas=(0.0, 0.99))
    images = torch.rand(batch, 3, size, size) * 2 - 1
    trains(generator, False)

    def codes() -> list[Tensor]:
        return [torch.randn(batch, code) for _ in range(2 if random.random() < 0.9 else 1)]

    def step() -> None:
        critic.zero_grad()
        real = images.detach().requires_grad_(gamma > 0)
        real_logits = critic(real, step=level, alpha=1)
        softplus(-real_logits).mean().backward(retain_graph=gamma > 0)
        if gamma:
            (gamma / 2 * squared_gradients(real_logits, real)).backward()
        softplus(critic(generator(codes(), step=level, alpha=1), step=level, alpha=1)).mean().backward()
        d_adam.step()
        generator.zero_grad()
        trains(generator, True)
        trains(critic, False)
        softplus(-critic(generator(codes(), step=level, alpha=1), step=level, alpha=1)).mean().backward()
        g_adam.step()
        with torch.no_grad():
            weights = dict(generator.named_parameters())
            for name, mean in average.named_parameters():
                mean.mul_(0.999).add_(weights[name], alpha=0.001)
        trains(generator, False)
        trains(critic, True)

    return Peer(generator=generator, discriminator=critic, step=step)


def studiogan(clones: Path, *, width: int, batch: int, gamma: float) -> Peer:
    """StudioGAN's SNGAN for CIFAR-10 with classes and projection: its networks in the order of its worker."""
    source = clones / "PyTorch-StudioGAN" / "src"
    for name in ("utils", "models"):
        package = ModuleType(name)
        package.__path__ = [str(source / name)]
        sys.modules[name] = package
    misc = ModuleType("utils.misc")  # theirs imports seaborn and CUDA sources; the networks need one context of it
    misc.dummy_context_mgr = nullcontext  # type: ignore[attr-defined]
    sys.modules["utils.misc"] = misc
    layers, networks = importlib.import_module("utils.ops"), importlib.import_module("models.resnet")
    parts = SimpleNamespace(
        g_conv2d=layers.conv2d,
        g_linear=layers.linear,
        g_bn=layers.ConditionalBatchNorm2d,
        g_act_fn=nn.ReLU(inplace=True),
        d_conv2d=layers.snconv2d,
        d_linear=layers.snlinear,
        d_embedding=layers.sn_embedding,
        d_act_fn=nn.ReLU(inplace=True),
    )
    of_model = SimpleNamespace(info_type="N/A", g_info_injection="N/A")
    generator = networks.Generator(
        128, "N/A", 32, width // 4, False, [], "cBN", 10, "ortho", "N/A", False, parts, of_model
    )
    critic = networks.Discriminator(
        32, width // 2, True, False, [], "PD", "W/O", "N/A", False, 10, "ortho", "N/A", False, parts, of_model
    )
    g_adam = torch.optim.Adam(generator.parameters(), 2e-4, betas=(0.5, 0.999))
    d_adam = torch.optim.Adam(critic.parameters(), 2e-4, betas=(0.5, 0.999))
    real, labels = torch.rand(batch, 3, 32, 32) * 2 - 1, torch.randint(10, (batch,))
    norms = [module for module in generator.modules() if isinstance(module, nn.BatchNorm2d)]

    def track(flag: bool) -> None:
        for norm in norms:
            norm.track_running_stats = flag

    def step() -> None:
        trains(generator, False)
        trains(critic, True)
        track(False)
        d_adam.zero_grad()
        classes = torch.randint(10, (batch,))
        fake = generator(torch.randn(batch, 128), classes)
        images = real.detach().requires_grad_(gamma > 0)
        real_logits = critic(images, labels)["adv_output"]
        fake_logits = critic(fake, classes, adc_fake=False)["adv_output"]
        cost = torch.relu(1 - real_logits).mean() + torch.relu(1 + fake_logits).mean()
        if gamma:
            cost = cost + gamma / 2 * squared_gradients(real_logits, images)
        cost.backward()
        d_adam.step()
        trains(critic, False)
        trains(generator, True)
        track(True)
        g_adam.zero_grad()
        classes = torch.randint(10, (batch,))
        (-critic(generator(torch.randn(batch, 128), classes), classes)["adv_output"].mean()).backward()
        g_adam.step()

    return Peer(generator=generator, discriminator=critic, step=step)
