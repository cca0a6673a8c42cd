"""Data sets and weights: what exists (`catalog`), where it lies (`cache`), how it is got (`fetch`).

Here belongs everything that touches a network or an archive. What the bytes mean is for `dataset` and
`model`.
"""
