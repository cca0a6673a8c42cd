"""Groups for optimizers: what decays, in the order of the network, and nothing that does not learn."""

from torch import nn

from aiexp.task.network_parts import grouped, stages


def test_matrices_decay_vectors_do_not_and_what_is_frozen_is_left_out() -> None:
    first, norm, last = nn.Linear(3, 4), nn.LayerNorm(4), nn.Conv1d(4, 2, 1)
    network = nn.Sequential(first, norm, last)
    last.bias.requires_grad_(False)
    matrices, vectors = grouped(network.parameters(), {"lr_scale": 0.5}, {"lr_scale": 8.0})
    assert [id(p) for p in matrices.pop("params")] == [id(first.weight), id(last.weight)]
    assert [id(p) for p in vectors.pop("params")] == [id(p) for p in (first.bias, norm.weight, norm.bias)]
    assert (matrices, vectors) == ({"lr_scale": 0.5}, {"lr_scale": 8.0, "weight_decay": 0.0})


def test_a_group_of_nothing_is_left_out() -> None:
    assert [sorted(g) for g in grouped(nn.LayerNorm(4).parameters())] == [["params", "weight_decay"]]
    assert [sorted(g) for g in grouped([nn.Linear(2, 2).weight])] == [["params"]]
    assert grouped(nn.Linear(2, 2).requires_grad_(False).parameters()) == []


def test_stages_are_those_with_parameters_plain_sequences_opened() -> None:
    first, last = nn.Conv2d(1, 2, 1), nn.Linear(2, 2)
    network = nn.Sequential(nn.Sequential(first, nn.ReLU()), nn.Flatten(), last)
    for wrapped in (network, nn.ModuleDict({"network": network})):
        assert stages(wrapped) == [first, last]
    assert stages(nn.Linear(2, 2)) == []
