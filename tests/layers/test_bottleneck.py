"""A Gaussian code has the mean and the variance it says, and gives gradients to both."""

import torch

from lightning_gan.layers.bottleneck import GaussianCode, reparametrized


def test_samples_have_the_mean_and_the_variance_they_are_made_for() -> None:
    torch.manual_seed(0)
    mean, log_variance = torch.full((50_000, 1), 2.0), torch.full((50_000, 1), -1.0)
    samples = reparametrized(mean, log_variance)
    torch.testing.assert_close(samples.mean(), torch.tensor(2.0), rtol=0, atol=0.01)
    torch.testing.assert_close(samples.var().log(), torch.tensor(-1.0), rtol=0, atol=0.03)


def test_gradients_reach_the_mean_as_they_are_and_the_variance_through_the_noise() -> None:
    mean, log_variance = torch.zeros(3, 2, requires_grad=True), torch.zeros(3, 2, requires_grad=True)
    samples = reparametrized(mean, log_variance)
    by_mean, by_variance = torch.autograd.grad(samples.sum(), [mean, log_variance])
    assert torch.equal(by_mean, torch.ones(3, 2))
    torch.testing.assert_close(by_variance, samples.detach() / 2)  # at deviation 1 the sample is the noise


def test_a_code_is_a_mean_and_a_log_variance_of_its_size() -> None:
    mean, log_variance = GaussianCode(5, 3)(torch.zeros(2, 5))
    assert mean.shape == log_variance.shape == (2, 3)
