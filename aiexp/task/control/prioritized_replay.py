"""Prioritised replay: transitions that surprise are drawn more often."""

from typing import Any, final

import numpy as np
from numpy.typing import NDArray

SMALLEST = 1e-6  # priority of a transition without any error


@final
class SumTree:
    """Weights of rows, with all sums over halves: to draw a row takes as many steps as the tree is deep.

    Args:
        size: Rows.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.leaves = 1 << max(size - 1, 1).bit_length()
        # Node i has the children 2i and 2i + 1; the root is 1.
        self.nodes = np.zeros(2 * self.leaves, np.float64)

    @property
    def total(self) -> float:
        """The sum of all weights."""
        return float(self.nodes[1])

    def set(self, rows: NDArray[np.int64], weights: NDArray[np.float64] | float) -> None:
        """Sets the weights of (N,) rows; of rows named twice the last counts."""
        nodes = rows + self.leaves
        self.nodes[nodes] = weights
        while len(nodes) and nodes[0] > 1:
            # All nodes are at the same depth. Sums are made anew, so that no rounding errors add up.
            nodes = nodes >> 1
            self.nodes[nodes] = self.nodes[2 * nodes] + self.nodes[2 * nodes + 1]

    def get(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """(N,) the weights of rows."""
        return self.nodes[rows + self.leaves]

    def find(self, sums: NDArray[np.float64]) -> NDArray[np.int64]:
        """(N,) the rows at which the running sum of the weights exceeds (N,) `sums` in [0, total)."""
        nodes, sums = np.ones(len(sums), np.int64), sums.copy()
        while nodes[0] < self.leaves:
            left = self.nodes[2 * nodes]
            # Never into an empty half, wherever rounding put the sum.
            goes_right = ((sums >= left) & (self.nodes[2 * nodes + 1] > 0)) | (left <= 0)
            sums = np.where(goes_right, np.maximum(sums - left, 0), sums)
            nodes = 2 * nodes + goes_right
        return nodes - self.leaves


@final
class PrioritizedReplay:
    """Draws rows in proportion to a power of their last error, and says how to correct for it.

    Source: Schaul et al. 2015 (arXiv 1511.05952), proportional variant, algorithm 1.
    Departures: corrections are divided by the largest of their batch, not of the whole buffer.

    Args:
        size: Rows of the buffer.
        alpha: 1 draws in proportion to the error.
        beta: in the beginning; it rises linearly to 1.
        beta_steps: Batches until it is 1.
    """

    def __init__(self, *, size: int, alpha: float, beta: float, beta_steps: int) -> None:
        self.tree = SumTree(size)
        self.alpha, self.beta, self.beta_steps = alpha, beta, beta_steps
        self.largest = 1.0  # weight of a transition that was never drawn
        self.num_drawn = 0  # batches

    def change(self, added: NDArray[np.int64], dropped: NDArray[np.int64]) -> None:
        """Takes rows in, with the largest weight so far, and others out."""
        self.tree.set(dropped, 0.0)
        self.tree.set(added, self.largest)

    def draw(self, count: int, random: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """(B,) rows, one from each of B equal parts of the total weight, and (B,) corrections in (0, 1]."""
        total = self.tree.total
        rows = self.tree.find((np.arange(count) + random.random(count)) * (total / count))
        share = min(self.num_drawn / self.beta_steps, 1.0) if self.beta_steps else 1.0
        self.num_drawn += 1
        corrections = self.tree.get(rows) ** -(self.beta + share * (1 - self.beta))
        return rows, (corrections / corrections.max()).astype(np.float32)

    def update(self, rows: NDArray[np.int64], errors: NDArray[np.float64]) -> None:
        """Sets the weights of (B,) rows from (B,) temporal-difference errors."""
        weights = (np.abs(errors) + SMALLEST) ** self.alpha
        self.largest = max(self.largest, float(weights.max()))
        # Rows that were overwritten since they were drawn stay out.
        is_there = self.tree.get(rows) > 0
        self.tree.set(rows[is_there], weights[is_there])

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold."""
        leaves = self.tree.nodes[self.tree.leaves : self.tree.leaves + self.tree.size]
        return {"weights": leaves, "largest": self.largest, "num_drawn": self.num_drawn}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restores what `state` returned."""
        self.tree.set(np.arange(self.tree.size), state["weights"])
        self.largest, self.num_drawn = state["largest"], state["num_drawn"]
