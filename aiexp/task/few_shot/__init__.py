"""Learning from a few examples of each class: MAML, Reptile and prototypical networks."""
