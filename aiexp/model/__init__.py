"""Networks. Any `nn.Module` will do; mirrors conf/model. A room for each field, layers for all.

Here belong networks without losses, optimizers or metrics: those are for `task`.
"""
