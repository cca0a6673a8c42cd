"""Commands on the runs there are: listing, removing, comparing them."""
