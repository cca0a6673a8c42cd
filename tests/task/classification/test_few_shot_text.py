"""Classes of texts from few examples: what a class begins as, the loss by hand, what is refused."""

from typing import Any

import pytest
import torch
from torch.testing import assert_close

from aiexp.checkpoint.state import seed_everything
from aiexp.dataset.text.dataset import TextDataset
from aiexp.errors import ConfigError
from aiexp.model.text.tokenizer import check_has_tokenizer
from aiexp.task.classification.few_shot_text import FewShotTextClassification, described, mean_vectors
from tests.task.classification.test_text_classification import WORDS, encoder, texts

DESCRIPTIONS = {name: f"the film is {' '.join(words)}" for name, words in WORDS.items()}


def make(**changes: Any) -> tuple[FewShotTextClassification, TextDataset]:
    seed_everything(0)
    dataset = TextDataset(
        splits={"train": texts(48, 0), "eval": texts(12, 1)}, class_names=list(WORDS), source="generated",
        batch_size=6, eval_batch_size=5, max_tokens=32, pad_multiple=1, limit=None, shots=4, seed=0,
        num_workers=0,
    )  # fmt: skip
    settings: dict[str, Any] = {
        "optimizer": lambda groups: torch.optim.AdamW(groups, lr=3e-3, weight_decay=0.01),
        "descriptions": DESCRIPTIONS,
        "contrast": 0.5,
        "scale": 10.0,
        "head_lr_scale": 10.0,
        "num_worst": 3,
    }
    return FewShotTextClassification(model=encoder(), dataset=dataset, **(settings | changes)), dataset


def test_a_class_begins_as_its_description_whatever_it_is_padded_to() -> None:
    task, _ = make()
    encodings = task.model.tokenizer.encode_batch(list(DESCRIPTIONS.values()))
    longest = max(len(encoding.ids) for encoding in encodings) + 3
    ids = torch.tensor([encoding.ids + [0] * (longest - len(encoding.ids)) for encoding in encodings])
    mask = torch.tensor([[i < len(encoding.ids) for i in range(longest)] for encoding in encodings])
    task.eval()
    logits, vectors = task({"input_ids": ids, "attention_mask": mask})
    assert_close(vectors, task.classes.detach(), atol=1e-5, rtol=1e-5)
    assert_close(logits.diagonal(), torch.full((3,), 10.0), atol=1e-4, rtol=1e-4)
    assert task.model.training is False
    assert make()[0].model.training, "as it was before its classes were described"


def test_the_loss_by_hand() -> None:
    task, dataset = make(contrast=0.25)
    batch = next(dataset.train_batches(0))
    (update,) = task.train_step(batch)
    logits, vectors = task(batch)
    labels, total, pairs = batch["labels"].tolist(), 0.0, 0
    for i in range(6):
        for j in range(6):
            if i != j:
                cosine = torch.cosine_similarity(vectors[i], vectors[j], dim=0).item()
                total, pairs = total + (cosine - float(labels[i] == labels[j])) ** 2, pairs + 1
    entropy = -logits.log_softmax(1)[range(6), labels].mean().item()
    assert update.loss.item() == pytest.approx(0.25 * total / pairs + 0.75 * entropy, rel=1e-4)


def test_one_text_has_no_pair() -> None:
    task, dataset = make()
    batch = {name: value[:1] for name, value in next(dataset.train_batches(0)).items()}
    (update,) = task.train_step(batch)
    entropy = torch.nn.functional.cross_entropy(task.logits(batch), batch["labels"])
    assert update.loss.item() == pytest.approx(0.5 * entropy.item(), rel=1e-5)


def test_it_learns_from_four_examples_of_each() -> None:
    task, dataset = make()
    optimizer = task.make_optimizers()["model"]
    assert {id(p) for group in optimizer.param_groups for p in group["params"]} == {
        id(p) for p in task.parameters() if p.requires_grad
    }
    assert not any(p.requires_grad for p in task.model.pooler.parameters())
    for _, batch in zip(range(40), dataset.train_batches(0), strict=False):
        (update,) = task.train_step(batch)
        optimizer.zero_grad()
        update.loss.backward()
        optimizer.step()
    task.eval()
    with torch.inference_mode():
        evaluation = task.evaluate(dataset, "eval", report=True)
    assert evaluation.metrics["accuracy"] >= 0.9
    assert "confusion_matrix" in evaluation.pictures
    assert dataset.num_examples("train") == 12


def test_names_are_descriptions_where_there_are_none() -> None:
    assert described(["very_good", "bad"], None) == ["very good", "bad"]
    given = dict(reversed(DESCRIPTIONS.items()))
    assert described(list(WORDS), given) == list(DESCRIPTIONS.values()), "in the order of the classes"


@pytest.mark.parametrize(
    ("descriptions", "message"),
    [
        ({**DESCRIPTIONS, "god": "x"}, r"no class 'god'. Did you mean 'good'\?.*descriptions=null"),
        ({"bad": "x", "good": "y"}, r"class 'odd' has no description.*one for every class"),
    ],
)
def test_descriptions_of_other_classes(descriptions: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make(descriptions=descriptions)


def test_a_model_without_a_vocabulary() -> None:
    model = encoder()
    model.tokenizer = None
    with pytest.raises(ConfigError, match=r"no vocabulary.*model.vocabulary=RUN"):
        check_has_tokenizer(model)
    check_has_tokenizer(encoder())


def test_a_mean_leaves_padding_out() -> None:
    hidden = torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[True, True, False, False], [True] * 4])
    expected = torch.stack([hidden[0, :2].mean(0), hidden[1].mean(0)])
    assert_close(mean_vectors(hidden, mask), torch.nn.functional.normalize(expected, dim=1))
    assert_close(mean_vectors(hidden[1:], None), mean_vectors(hidden, mask)[1:])
