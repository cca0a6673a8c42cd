"""Frechet distance between two sets of feature vectors."""

import torch
from torch import Tensor

from aiexp.errors import DataError


def frechet_distance(first: Tensor, second: Tensor) -> float:
    """Squared Frechet distance between Gaussians fitted to two sets of vectors, >= 0.

    Source: Heusel et al. 2017 (arXiv 1706.08500), eq. 6, there on features of Inception-v3.
    Departures: the trace of (S1 S2)^(1/2) is computed from the eigenvalues of S1^(1/2) S2 S1^(1/2), which are
    the same and stay real where a feature never varies.

    Args:
        first: (N, D) float vectors, N >= 2.
        second: (M, D) likewise. Equal N and M make distances comparable: the estimate falls with the numbers.

    Raises:
        DataError: a set has fewer than two vectors.
    """
    if min(len(first), len(second)) < 2:
        raise DataError("a Frechet distance needs two sets of at least two images each", where="dataset")
    (mean1, covariance1), (mean2, covariance2) = (fit_gaussian(x) for x in (first, second))
    root = matrix_root(covariance1)
    mixed = torch.linalg.eigvalsh(root @ covariance2 @ root).clamp(min=0).sqrt().sum()
    distance = (mean1 - mean2).square().sum() + covariance1.trace() + covariance2.trace() - 2 * mixed
    return max(distance.item(), 0.0)


def fit_gaussian(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (D,) and unbiased covariance (D, D) of (N, D) vectors, float64 on the CPU."""
    vectors = vectors.double().cpu()
    return vectors.mean(0), torch.cov(vectors.T).reshape(vectors.shape[1], vectors.shape[1])


def matrix_root(matrix: Tensor) -> Tensor:
    """The symmetric root of a (D, D) covariance."""
    values, vectors = torch.linalg.eigh(matrix)
    return vectors * values.clamp(min=0).sqrt() @ vectors.T
