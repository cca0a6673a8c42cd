"""One module for each command: `main(argv) -> int`, imported only when its command is typed.

Here belongs reading arguments and printing; what a command does is for the rooms below.
"""

# Order of the help page.
COMMANDS = {
    "init": "a project of your own that runs at once",
    "new": "one more task, model or data set in it: YAML, code and test",
    "run": "compose an experiment from conf/ and train it; -m runs a sweep",
    "list": "every task, model, data set, ... with one line each",
    "show": "one run in full; or a config, with what each key means",
    "check": "everything short of training: build, one batch, estimated time",
    "sweep": "check a W&B sweep file and register it (aiexp run -m sweeps here)",
    "resume": "continue a stopped run exactly where it stopped",
    "branch": "go on from a checkpoint with another setting, as a new run",
    "reproduce": "train a run's first steps again and compare them bit for bit",
    "predict": "what a trained task says of new texts, pictures, episodes, ...",
    "evaluate": "how good: again, on other data, several together, group by group",
    "explain": "why it answers so: what each word, pixel or number adds",
    "export": "its networks as ONNX, torch.export, Hugging Face or plain weights",
    "serve": "answer over HTTP what trained tasks say, with a page to try it",
    "data": "data sets and pretrained weights: list, fetch, path",
    "runs": "the runs there are: list, filter, remove, prune checkpoints",
    "doctor": "is this machine, or a run directory, healthy",
    "compare": "which of many runs is better, and how sure that is",
    "board": "runs in the browser while they train: curves, logs, comparison",
    "schema": "JSON schemas, by which editors check and complete YAML files",
    "completion": "print the completion script for bash, zsh or fish",
}

# The rooms of commands that do not lie beside this file.
ROOMS = {
    "use": ("predict", "evaluate", "explain", "export", "serve"),
    "looking": ("list", "show", "data", "doctor"),
    "comparing": ("runs", "compare", "board"),
    "project": ("init", "new", "schema"),
}


def module_of(command: str) -> str:
    """Name of a command's module."""
    room = next((f"{room}." for room, commands in ROOMS.items() if command in commands), "")
    return f"aiexp.command.{room}{command}"
