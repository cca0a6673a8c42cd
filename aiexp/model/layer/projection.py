"""A linear layer of which some rows can be asked for alone."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn


class Projection(nn.Linear):
    """`nn.Linear` whose outputs are several things side by side, such as query, key and value.

    Who wants only some of them asks for these, instead of reaching for rows of the weight: what stands in
    place of the layer (`aiexp.model.peft`) can answer that too.
    """

    def part(self, x: Tensor, rows: slice) -> Tensor:
        """`forward(x)[..., rows]`: (..., in_features) to as many outputs as rows."""
        bias: Any = self.bias  # None without one, which torch's annotation leaves out
        return F.linear(x, self.weight[rows], None if bias is None else bias[rows])
