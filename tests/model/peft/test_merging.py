"""Adapters computed into the weights make the same network, by its modules and by its weights alone."""

from pathlib import Path

import pytest
import torch

from aiexp.model.peft.merging import Adapter, is_added, merge, merged_weights
from tests.model.peft.networks import KINDS, NETWORKS, adapted, answer

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.mark.parametrize("kind", ["lora", "lora everywhere", "ia3"])
@pytest.mark.parametrize("network", NETWORKS)
def test_merged_it_makes_the_same_without_adapters(network: str, kind: str, tmp_path: Path) -> None:
    model, plain = adapted(network, kind, tmp_path), NETWORKS[network](tmp_path).eval()
    before, weights = answer(model), merged_weights(model.state_dict())
    assert (before - answer(plain)).abs().max() > 1e-3
    plain.load_state_dict(weights)
    torch.testing.assert_close(answer(plain), before, atol=1e-5, rtol=1e-5)
    assert merge(model) > 0
    assert not any(isinstance(module, Adapter) for module in model.modules())
    assert model.state_dict().keys() == weights.keys()
    assert not any(map(is_added, weights))
    assert torch.equal(answer(model), answer(plain))


def test_what_is_no_adapter_of_a_layer_stays() -> None:
    for kind in ("bitfit", "prefix", "prompt"):
        model = adapted("bert", kind, Path())
        weights = model.state_dict()
        assert merge(model) == 0
        merged = merged_weights(weights)
        assert merged.keys() == weights.keys()
        assert any(map(is_added, merged)) == (kind != "bitfit")


def test_adapters_that_another_network_has_alike_are_kept() -> None:
    model, other = adapted("bert", "lora", Path()), NETWORKS["bert"](Path())
    weights = model.state_dict()
    KINDS["lora"]().apply(other)
    kept = merged_weights(weights, keep=other.state_dict())
    assert kept.keys() == weights.keys()
    assert all(torch.equal(kept[name], value) for name, value in weights.items())
    wider = {n: torch.zeros(4, 4) if n.endswith("lora_left") else v for n, v in other.state_dict().items()}
    assert not any(map(is_added, merged_weights(weights, keep=wider)))
