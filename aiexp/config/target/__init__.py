"""What a `_target_` may name, where it is defined, and which arguments it takes: read without importing it.

Here belongs reading Python source and checking values against it. What a whole config must fulfil is for
`config`.
"""
