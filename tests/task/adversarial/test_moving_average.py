"""The averaged network follows the trained one and nothing else."""

import torch
from torch import nn

from aiexp.task.adversarial.moving_average import MovingAverage


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def test_the_average_of_weights_and_statistics() -> None:
    torch.manual_seed(0)
    trained = network()
    average = MovingAverage(trained, 0.5)
    assert not any(p.requires_grad for p in average.parameters())
    expected = {name: value.clone() for name, value in trained.state_dict().items()}
    for step in range(1, 6):
        with torch.no_grad():
            trained[0].weight.add_(torch.randn(4, 3))
        trained(torch.randn(5, 3))
        average.update(trained)
        past = min(0.5, (1 + step) / (10 + step))
        for name, value in trained.state_dict().items():
            mean = expected[name]
            expected[name] = mean + (value - mean) * (1 - past) if mean.is_floating_point() else value.clone()
    for name, value in average.network.state_dict().items():
        torch.testing.assert_close(value, expected[name])
    assert average.num_updates == 5
    average.eval()
    images = torch.randn(2, 3)
    assert torch.equal(average(images), average.network(images))
