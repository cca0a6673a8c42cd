"""Data sets; mirrors conf/dataset. base.py has the contract, a room below holds each kind of example.

Here belongs everything up to a batch of tensors. What is learned from it is for `task`, fetching files
for `source`.
"""
