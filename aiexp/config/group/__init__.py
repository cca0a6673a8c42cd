"""Groups that are chosen like any other but are more than a file put under their name."""
