"""Text classifiers as folders that transformers' `from_pretrained` loads."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from aiexp.model.text.sequence_classifier import no_form, sequence_classifier, write_tokenizer
from aiexp.task.base import LOGITS
from aiexp.use.exporting.form import Form, Rebuilt
from aiexp.use.exporting.program import quiet


@final
class HuggingFaceForm(Form):
    """config.json, model.safetensors, tokenizer.json and tokenizer_config.json."""

    suffix = ""
    imports = "import torch\nfrom transformers import AutoModelForSequenceClassification, AutoTokenizer"
    loads = (
        'network = AutoModelForSequenceClassification.from_pretrained(".")\n'
        'tokenizer = AutoTokenizer.from_pretrained(".")'
    )
    calls = "with torch.no_grad():\n    outputs = network(**inputs).logits"

    def check(self) -> None:
        """Raises `ConfigError` unless the task is a linear head on a text encoder."""
        task: Any = self.run.task
        if list(self.networks) != [LOGITS] or not hasattr(getattr(task, "model", None), "tokenizer"):
            raise no_form(
                f"{type(task).__name__} is no classifier of texts, the only kind that has this form"
            )
        self.made()

    def made(self) -> Any:
        """The model of transformers."""
        task: Any = self.run.task
        return sequence_classifier(task.model, getattr(task, "head", None), list(task.class_names))

    def write(self, name: str, folder: Path) -> None:
        """Writes the model and its tokenizer."""
        with quiet_transformers():
            self.made().save_pretrained(folder)
        task: Any = self.run.task
        write_tokenizer(task.model.tokenizer, task.inputs().max_tokens, folder)

    def read(self, name: str, folder: Path) -> "TheirClassifier":
        """Reads the model."""
        from transformers import AutoModelForSequenceClassification

        with quiet_transformers():
            return TheirClassifier(AutoModelForSequenceClassification.from_pretrained(folder).eval())


@contextmanager
def quiet_transformers() -> Generator[None]:
    """A body in which transformers shows no progress."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    with quiet():
        yield


@final
class TheirClassifier(Rebuilt):
    """A classifier of transformers.

    Args:
        model: The model.
    """

    def __init__(self, model: Any) -> None:
        self.model = model

    def outputs(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Its logits."""
        ids, mask = tensors
        with torch.no_grad():
            return [self.model(input_ids=ids, attention_mask=mask.long()).logits]
