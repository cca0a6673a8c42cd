"""Networks. Any `nn.Module` will do; mirrors conf/model."""
