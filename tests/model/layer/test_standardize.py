import torch

from aiexp.model.layer.standardize import Standardize


def test_mean_and_deviation_over_uneven_parts_are_those_of_the_whole() -> None:
    x = torch.randn(1000, 3, dtype=torch.float64) * torch.tensor([1.0, 0.1, 0.0]) + torch.tensor(
        [0, 1e3, 7.0]
    )
    layer = Standardize([3])
    layer.fit(torch.split(x, [1, 500, 499]))
    made = layer((x - 0).double())
    assert torch.allclose(made.mean(0).float(), torch.zeros(3), atol=1e-3)
    assert torch.allclose(made[:, 0].std(correction=0).float(), torch.ones(()), atol=1e-3)
    assert torch.equal(made[:, 2], torch.zeros(1000))  # what never changes says nothing
    back = layer.undo(layer(x[:5]))
    assert torch.allclose(back[:, [0, 2]], x[:5, [0, 2]].float(), atol=1e-4)
    again = Standardize([3])
    again.load_state_dict(layer.state_dict())
    assert torch.equal(again(x[:5]), layer(x[:5]))
