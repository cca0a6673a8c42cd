"""What a trained task is asked and what it answers: kinds of inputs, how each is made ready, predictions.

Here belongs what a task says of its inputs; reading files, printing and serving are for the room `use`.
"""
