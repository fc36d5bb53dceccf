"""The projection discriminator's last layer."""

import torch

from lightning_gan.layers.projection import ClassEmbedding, ProjectionHead


def test_the_logit_is_linear_in_the_summed_features_and_in_the_classes_vector() -> None:
    head = ProjectionHead(2, number_of_classes=3)
    assert head.embedding is not None
    features = torch.tensor([[[[1.0, 2.0]], [[-5.0, 4.0]]]])  # rectified and summed: 3, 4
    pooled = torch.tensor([3.0, 4.0])
    expected = head.linear.weight[0] @ pooled + head.linear.bias[0] + head.embedding.weight[1] @ pooled
    torch.testing.assert_close(head(features, torch.tensor([1]))[0, 0], expected)


def test_without_classes_there_is_no_projection() -> None:
    head = ProjectionHead(2, number_of_classes=0, bias=False)
    assert [name for name, _ in head.named_parameters()] == ["linear.weight"]
    torch.testing.assert_close(head(torch.ones(1, 2, 1, 1), None)[0, 0], head.linear.weight.sum())


def test_vectors_of_a_multi_hot_row_add_up() -> None:
    embedding = ClassEmbedding(3, 4)
    both = embedding(torch.tensor([[1.0, 0.0, 1.0]]))
    torch.testing.assert_close(both[0], embedding.weight[0] + embedding.weight[2])
    assert torch.equal(embedding(torch.tensor([2]))[0], embedding.weight[2])
