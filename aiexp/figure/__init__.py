"""How figures look: one style file for all of them, each as PNG for the screen and as PDF for a paper."""
