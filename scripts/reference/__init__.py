"""The pages of the reference, made from the source whenever the site is built."""
