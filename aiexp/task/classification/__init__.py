"""One label for each example: texts and images, their augmentation and their reports."""
