"""Finding numbers: losses, their scale, and what an evaluation shows of them."""
