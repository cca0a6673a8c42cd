"""From a command line to a checked config, and from a config to objects. Imports no torch.

Here belongs what holds for a config as a whole: `compose` makes one, `validate` checks a stored one, `build`
makes objects. What a single `_target_` may be and takes is for `config/target`.
"""
