"""Networks that learn against each other: GANs and CycleGAN, their losses, and how samples are judged."""
