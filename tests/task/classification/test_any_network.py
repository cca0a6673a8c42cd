"""Any network that makes logits is a model of the image tasks."""

import copy

import pytest
import torch.nn.functional as F
from torch import Tensor, nn

from aiexp.errors import ConfigError
from tests.task.classification.test_image_classification import make, trunk


class Whole(nn.Module):
    """A network of one's own that makes logits itself."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.LazyLinear(16), nn.ReLU(), nn.Linear(16, num_classes))

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)


def test_any_network_that_makes_logits_is_a_model() -> None:
    """Equal to the same network trained by hand; nothing is added to it."""
    task, images = make(model=Whole(3))
    assert isinstance(task.head, nn.Identity)
    by_hand = copy.deepcopy(task.model)
    batch = next(images.train_batches(0))
    (update,) = list(task.train_step(batch))
    expected = F.cross_entropy(by_hand(task.normalize(batch["images"])), batch["labels"])
    assert update.loss.item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Whole(5), r"Whole makes \(2, 5\), not logits \(2, 3\)"),
        (nn.Linear(3, 3), "Linear cannot be called on images: RuntimeError"),
    ],
)
def test_a_network_that_makes_something_else_is_refused(model: nn.Module, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make(model=model)


def test_a_network_with_its_own_head_cannot_be_frozen_below_it() -> None:
    with pytest.raises(ConfigError, match="has its own last layer"):
        make(model=Whole(3), trunk=trunk(frozen_epochs=1.0))
