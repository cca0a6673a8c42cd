"""Why a trained task answers as it does: what each word, pixel or number adds to an output, and attention.

Works on the tensors of a batch and on modules that it finds by running them; knows no task by name.
"""
