"""What can be typed next on a command line: one file for each kind of word, none of which imports torch.

All give words with what they are: a text, or the folder of a run, which is read only if its word is shown.
"""

from pathlib import Path

Found = dict[str, str | Path]
