"""What callbacks are told by a GAN, and by any other module."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule
from torch import nn

import lightning_gan
from lightning_gan.callbacks import EMA, ImageClock
from lightning_gan.foreign.average import Shadow
from lightning_gan.foreign.host import ForeignHost, OwnHost, host_of
from lightning_gan.foreign.host_sampling import SampledNetwork
from lightning_gan.loop.averaging import AveragesGenerator
from lightning_gan.loop.networks import network_of
from lightning_gan.schedules.growth import Growth
from tests.callbacks.training.growing_toys import ForeignGAN, fit, growing_gan
from tests.toys import LATENT, equal, toy_gan, toy_trainer, weights_of

SETTINGS = SampledNetwork(generator="netG", latent_dim=LATENT, number_of_classes=0)


class Averaging(AveragesGenerator):
    """Averages nothing, and writes down when its average would be in use."""

    generator = "netG"

    def __init__(self) -> None:
        self.asked: list[LightningModule] = []

    def applied(self, pl_module: LightningModule) -> AbstractContextManager[None]:
        self.asked.append(pl_module)
        return nullcontext()


def test_the_host_is_chosen_by_whose_module_it_is() -> None:
    own, foreign = growing_gan(), ForeignGAN()
    assert isinstance(host_of(own), OwnHost) and isinstance(host_of(foreign), ForeignHost)
    assert host_of(own).module is own and host_of(foreign).module is foreign


def test_only_the_host_asks_whose_module_it_is() -> None:
    package = Path(lightning_gan.__file__).parent
    asking = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if any("isinstance(" in line and ", GAN)" in line for line in path.read_text().splitlines())
    }
    # Game dynamics look at the loop itself.
    assert asking == {"foreign/host.py"}


def test_networks_are_found_by_their_paths_or_refused_with_those_beside_them() -> None:
    module = nn.ModuleDict({"nets": nn.ModuleDict({"critic": nn.Linear(1, 1), "maker": nn.Linear(1, 1)})})
    assert network_of(module, "nets.critic", setting="R1") is module["nets"]["critic"]  # type: ignore[index]
    with pytest.raises(ValueError, match=r"^R1: ModuleDict has no network 'critic'; its networks are nets$"):
        network_of(module, "critic", setting="R1")
    with pytest.raises(ValueError, match=r"'nets\.generator\.x'; its networks are nets\.critic, nets\.maker$"):
        network_of(module, "nets.generator.x", setting="R1")
    with pytest.raises(ValueError, match="its networks are none"):
        network_of(nn.Linear(1, 1), "critic", setting="R1")


def test_what_only_a_gan_can_do_is_refused_elsewhere_with_the_remedy() -> None:
    why: dict[str, Any] = {"problem": "it is not known how", "remedy": "leave it out"}
    gan = growing_gan()
    assert host_of(gan).gan("Metric", **why) is gan
    with pytest.raises(ValueError, match=r"^Metric: ForeignGAN is no lightning_gan\.GAN, so it is not known how; "):
        host_of(ForeignGAN()).gan("Metric", **why)


def test_the_copies_of_a_network_are_those_of_the_averaged_generator() -> None:
    own = host_of(growing_gan())
    assert own.averaged_copies("generator") == ["generator_ema"]
    assert own.averaged_copies("generator.blocks.0") == ["generator_ema.blocks.0"]
    assert own.averaged_copies("discriminator") == own.averaged_copies("generator_ema") == []
    assert host_of(ForeignGAN()).averaged_copies("netG") == host_of(ForeignGAN()).averaged_copies("generator") == []


def test_the_loggers_axis_of_a_gan_is_images_seen_and_elsewhere_it_is_lightnings() -> None:
    own, foreign = growing_gan(), ForeignGAN()
    trainer = fit(foreign, images=8)
    assert host_of(own).logger_step(trainer, images_seen=2999) == 2999
    assert host_of(own).logged_axis(images_seen=25_000_001)["step"].item() == 25_000_001  # fp32 does not have it
    assert host_of(foreign).logger_step(trainer, images_seen=2999) == trainer.global_step == 4
    assert host_of(foreign).logged_axis(images_seen=2500) == {}


@pytest.mark.parametrize("module", [growing_gan(), ForeignGAN()])
def test_averaged_weights_are_those_of_every_callback_that_averages(module: LightningModule) -> None:
    averaging = Averaging()
    with host_of(module).averaged_weights(toy_trainer(averaging, ImageClock())):
        assert averaging.asked == [module]


def test_samples_use_averages_that_are_there_and_asked_for() -> None:
    gan, averaging, plain = growing_gan(), toy_trainer(Averaging()), toy_trainer()
    assert not host_of(gan).uses_average(averaging, ema=True)  # its average has not moved
    gan.averaged = True
    assert host_of(gan).uses_average(plain, ema=True) and not host_of(gan).uses_average(plain, ema=False)
    foreign = host_of(ForeignGAN())
    assert foreign.uses_average(averaging, ema=True) and not foreign.uses_average(plain, ema=True)


def test_the_average_of_a_gan_is_its_own_network_and_elsewhere_a_shadow() -> None:
    own, foreign, shadow = growing_gan(), ForeignGAN(), Shadow()
    average = host_of(own).average(shadow, path="nowhere", setting="EMA(generator=...)")
    average.check()
    with torch.no_grad():
        next(own.generator.parameters()).add_(1)
    average.begin()
    assert equal(weights_of(own.generator), weights_of(own.generator_ema)) and own.averaged
    assert shadow.tensors == {} and not average.put_in()
    average = host_of(foreign).average(shadow, path="netG", setting="EMA(generator=...)")
    average.begin()
    raw = weights_of(foreign.netG)
    with torch.no_grad():
        shadow.tensors[next(iter(shadow.tensors))].add_(1)
    assert average.put_in() and not average.put_in()
    assert not equal(weights_of(foreign.netG), raw)
    average.take_out()
    assert equal(weights_of(foreign.netG), raw)
    with pytest.raises(ValueError, match=r"EMA\(generator=\.\.\.\): ForeignGAN has no network 'nowhere'"):
        host_of(foreign).average(shadow, path="nowhere", setting="EMA(generator=...)").check()


def test_samples_of_both_are_a_function_of_the_seed_and_do_not_depend_on_how_many_are_made_at_once() -> None:
    trainer = toy_trainer()
    for module in (toy_gan(), ForeignGAN()):
        sampling = host_of(module).sampling("SampleGrid", SETTINGS)
        sampling.check(truncation=1.0)
        first, again, other = (
            sampling.images(trainer, count=20, seed=seed, truncation=1.0, ema=True) for seed in (0, 0, 1)
        )
        assert len(first) == 20 and first.dtype == torch.uint8
        assert torch.equal(first, again) and not torch.equal(first, other)


def test_foreign_samples_are_of_the_weights_that_average_their_generator_alone() -> None:
    module = ForeignGAN()
    averaging = Averaging()
    sampling = host_of(module).sampling("SampleGrid", SETTINGS)
    trainer = toy_trainer(averaging, EMA(generator="netD"))
    sampling.images(trainer, count=2, seed=0, truncation=1.0, ema=False)
    assert averaging.asked == []
    sampling.images(trainer, count=2, seed=0, truncation=1.0, ema=True)
    assert averaging.asked == [module]


def test_networks_of_both_grow() -> None:
    growth = Growth(resolution=4, fade_in=1.0)
    own, foreign = growing_gan(), ForeignGAN()
    host_of(own).growing(("nowhere",)).grow(growth, gradient_scale=0.5)
    assert (own.resolution, own.fade_in, own.gradient_scale) == (4, 1.0, 0.5)
    growing = host_of(foreign).growing(("netG",))
    growing.check()
    growing.grow(growth, gradient_scale=0.5)
    assert foreign.netG(torch.zeros(1, LATENT)).shape[-1] == 4
    with pytest.raises(ValueError, match="has no network 'nowhere'"):
        host_of(foreign).growing(("nowhere",)).check()
