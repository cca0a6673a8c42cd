"""The task without a trainer, on small networks and generated sentences."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from aiexp.checkpoint.state import seed_everything
from aiexp.dataset.tagging.encoding import WORD_MASK
from aiexp.dataset.tagging.stored import UNKNOWN
from aiexp.errors import ConfigError
from aiexp.model.tagging.bilstm import BiLstm
from aiexp.model.text.bert import random_bert
from aiexp.task.tagging.token_tagging import TokenTagging
from tests.dataset.tagging.sentences import Rows, load, names, parts_of_speech
from tests.task.learning import losses

ADAM = partial(torch.optim.AdamW, lr=3e-3)
FAST = partial(torch.optim.AdamW, lr=3e-2)


@pytest.fixture(autouse=True)
def _own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIEXP_DATA_DIR", str(tmp_path / "data"))


def bert() -> Any:
    return random_bert(
        num_layers=2, num_heads=2, hidden_size=32, intermediate_size=64, max_tokens=40, dropout=0.0,
        attention_dropout=0.0,
    )  # fmt: skip


def bilstm(**changes: Any) -> BiLstm:
    settings = {"num_layers": 1, "hidden_size": 16, "word_size": 16, "character_size": 8, "num_filters": 8}
    return BiLstm(**{**settings, "filter_width": 3, "dropout": 0.0, "min_count": 1, **changes})


def make(
    folder: Path, model: Any = bert, rows: Rows | None = None, data: Any = None, **changes: Any
) -> tuple[TokenTagging, Any]:
    seed_everything(0)
    made = model()
    settings: dict[str, Any] = {
        "optimizer": ADAM, "crf": False, "valid_only": True, "dropout": 0.0, "head_lr_scale": 1.0,
        "layer_decay": 1.0, "frozen_layers": 0, "num_worst": 3,
    }  # fmt: skip
    dataset = load(folder / "tagged.conll", names(40) if rows is None else rows, **(data or {}))
    return TokenTagging(model=made, dataset=dataset, **(settings | changes)), dataset


def ask(task: Any, *values: Any) -> list[Any]:
    """As `aiexp predict` does."""
    inputs = task.eval().inputs()
    with torch.inference_mode():
        return task.predict(inputs.collate(inputs.prepare(values)))


@pytest.mark.parametrize("crf", [False, True])
@pytest.mark.parametrize("model", [bert, bilstm])
def test_overfits_a_small_batch(tmp_path: Path, model: Any, crf: bool) -> None:
    task, dataset = make(tmp_path, model, crf=crf, optimizer=ADAM if model is bert else FAST)
    batch = next(dataset.train_batches(0))
    made = losses(task, iter([batch] * 60), 60)
    assert made[0] > 0.7
    assert made[-1] < 0.05
    tags = task.eval()(batch, is_decoding=True)["tags"]
    assert torch.equal(tags[batch[WORD_MASK]], batch["labels"][batch[WORD_MASK]])


def test_golden_losses(tmp_path: Path) -> None:
    """The first losses with seed 0 in fp32; a commit that changes them says why."""
    task, dataset = make(tmp_path, crf=True)
    assert losses(task, dataset.train_batches(0), 4) == pytest.approx(GOLDEN["bert"], abs=2e-4)
    task, dataset = make(tmp_path, bilstm, crf=True)
    assert losses(task, dataset.train_batches(0), 4) == pytest.approx(GOLDEN["bilstm"], abs=2e-4)


GOLDEN = {
    "bert": [1.587484, 1.488145, 1.461074, 1.387805],
    "bilstm": [1.611094, 1.599675, 1.588979, 1.578935],
}


def test_the_loss_is_the_mean_over_words_not_over_pieces_or_padding(tmp_path: Path) -> None:
    task, dataset = make(tmp_path)
    batch = next(dataset.train_batches(0))
    (update,) = task.train_step(batch)
    mask = batch[WORD_MASK]
    wanted = F.cross_entropy(task.emissions(batch)[mask], batch["labels"][mask])
    assert update.loss.item() == pytest.approx(wanted.item(), rel=1e-5)
    assert update.weight == mask.sum()
    assert (batch["labels"] == UNKNOWN).sum() == (~mask).sum() > 0
    wrong = {**batch, "input_ids": batch["input_ids"].masked_fill(~batch["attention_mask"], 7)}
    (other,) = task.train_step(wrong)
    assert other.loss.item() == pytest.approx(update.loss.item(), rel=1e-5)


@pytest.mark.parametrize("crf", [False, True])
@pytest.mark.parametrize("model", [bert, bilstm])
def test_a_sentence_has_the_tags_that_it_has_alone(tmp_path: Path, model: Any, crf: bool) -> None:
    task, dataset = make(tmp_path, model, crf=crf)
    losses(task, dataset.train_batches(0), 5)
    sentences = [dataset.words("eval", i) for i in range(4)]
    together = ask(task, *sentences)
    alone = [ask(task, words)[0] for words in sentences]
    assert [one.values for one in together] == [one.values for one in alone]
    batch = next(dataset.eval_batches("eval"))
    with torch.inference_mode():
        whole = task.emissions(batch)
        row = {name: value[1:2] for name, value in batch.items()}
        count = int(row[WORD_MASK].sum())
        torch.testing.assert_close(task.emissions(row)[0, :count], whole[1, :count], rtol=1e-4, atol=1e-5)


def test_texts_are_cut_into_words_and_spans_are_named(tmp_path: Path) -> None:
    task, dataset = make(tmp_path, bilstm, crf=True, optimizer=FAST)
    losses(task, dataset.train_batches(0), 30)
    (text, words) = ask(task, "the king New Old York, the king Bo", ["the", "king", "Ada", "King"])
    assert text.values["words"] == ["the", "king", "New", "Old", "York", ",", "the", "king", "Bo"]
    assert {"kind": "LOC", "text": "New Old York", "start": 2, "stop": 5} in text.values["spans"]
    assert words.values["tags"] == ["O", "O", "B-PER", "I-PER"]
    assert words.line == "PER: Ada King"
    plain, other = make(tmp_path, bilstm, parts_of_speech(40), optimizer=FAST)
    losses(plain, other.train_batches(0), 20)
    (said,) = ask(plain, "the king sings")
    assert said.line == "the/DET king/NOUN sings/VERB"
    assert "spans" not in said.values


@pytest.mark.parametrize(
    ("value", "message"),
    [("", "the text is empty"), ([], "the text is empty"), (["a", " "], "a word is empty"),
     (3, "a text or a list of words is wanted"), (["a", 3], "a word is wanted"), ("\ud800", "Unicode"),
     (["a"] * 10_001, "10,001 words are too many")],
)  # fmt: skip
def test_what_is_no_sentence(tmp_path: Path, value: Any, message: str) -> None:
    task, _ = make(tmp_path)
    (problem,) = task.inputs().prepare([value])
    assert message in problem.what


def test_a_sentence_longer_than_the_model_reads_has_a_tag_for_each_word(tmp_path: Path) -> None:
    task, dataset = make(tmp_path, data={"max_tokens": 12})
    words = [word for i in range(8) for word in dataset.words("train", i)]
    (answer,) = ask(task, words)
    assert len(answer.values["tags"]) == len(words) > 24
    with torch.inference_mode():
        metrics = task.evaluate(dataset, "eval", report=True).metrics
    assert 0 <= metrics["f1"] <= 1


def test_an_evaluation_counts_every_word_and_shows_the_worst_sentences(tmp_path: Path) -> None:
    task, dataset = make(tmp_path)
    losses(task, dataset.train_batches(0), 6)
    sentences = [dataset.words("eval", i) for i in range(dataset.num_examples("eval"))]
    tags = [one.values["tags"] for one in ask(task, *sentences)]
    truth = [dataset.tags("eval", i) for i in range(len(sentences))]
    right = [[a == b for a, b in zip(*rows, strict=True)] for rows in zip(truth, tags, strict=True)]
    with torch.inference_mode():
        made = task.evaluate(dataset, "eval", report=True)
    count = sum(map(len, right))
    assert made.metrics["accuracy"] == pytest.approx(sum(map(sum, right)) / count)
    assert made.metrics["sentence_accuracy"] == pytest.approx(sum(map(all, right)) / len(right))
    assert set(made.metrics) == set(made.better)
    most = max(len(row) - sum(row) for row in right)
    worst = made.tables["worst_sentences"].rows
    assert worst[0][1] == most
    assert len(worst) == 3
    assert sentences[int(worst[0][0])] == str(worst[0][-1]).split()
    assert str(worst[0][4]).count("/") == most
    assert sum(int(row[4]) for row in made.tables["tags"].rows) == count
    assert {row[0] for row in made.tables["spans"].rows} >= {"PER", "LOC"}
    assert made.pictures["confusion_matrix"][:4] == b"\x89PNG"


def test_a_tag_that_training_has_not_is_an_error_but_spoils_no_loss(tmp_path: Path) -> None:
    path = tmp_path / "eval.conll"
    path.write_text("the O\nBo B-ORG\n\nthe O\nking O\n")
    task, dataset = make(tmp_path, crf=True, data={"eval_file": str(path)})
    with torch.inference_mode():
        metrics = task.eval().evaluate(dataset, "eval").metrics
        batch = next(dataset.eval_batches("eval"))
        made = task(batch)["losses"]
    known = (batch["index"] == 1).nonzero().item()
    assert metrics["loss"] == pytest.approx(made[known].item() / 2, rel=1e-5)
    assert made[1 - known] == 0
    assert metrics["accuracy"] <= 0.75


def test_a_field_chooses_no_broken_tags_unless_it_may(tmp_path: Path) -> None:
    task, dataset = make(tmp_path, crf=True)
    free, _ = make(tmp_path, crf=True, valid_only=False)
    number = {tag: i for i, tag in enumerate(task.tag_names)}
    with torch.no_grad():
        for one in (task, free):
            one.head.weight.zero_()
            one.head.bias.copy_(F.one_hot(torch.tensor(number["I-PER"]), len(number)).float() * 9)
    assert set(ask(free, "the king")[0].values["tags"]) == {"I-PER"}
    assert ask(task, "the king")[0].values["tags"] == ["B-PER", "I-PER"]
    assert dataset.scheme == "iob2"


def test_layers_learn_at_their_rates_and_the_pooler_not_at_all(tmp_path: Path) -> None:
    task, dataset = make(tmp_path, layer_decay=0.5, head_lr_scale=10.0, frozen_layers=1, crf=True)
    groups = task.make_optimizers()["model"].param_groups
    scales = {id(p): group["lr_scale"] for group in groups for p in group["params"]}
    of = {name: scales.get(id(p)) for name, p in task.named_parameters()}
    assert of["head.weight"] == of["decoder.transitions"] == 10.0
    assert of["model.layers.1.output.weight"] == 1.0
    assert of["model.layers.0.output.weight"] == 0.5
    assert of["model.pooler.weight"] is of["model.embedding.word.weight"] is None
    before = task.model.pooler.weight.clone()
    losses(task, dataset.train_batches(0), 2)
    assert torch.equal(task.model.pooler.weight, before)
    assert task.model.pooler not in task.shards()
    assert len(task.shards()) == 3
    with pytest.raises(ConfigError, match=r"4 groups of layers.*at most frozen_layers=4"):
        make(tmp_path, frozen_layers=5)


def test_what_an_export_needs_beside_the_network(tmp_path: Path) -> None:
    task, _ = make(tmp_path, bilstm, crf=True)
    files = task.inputs().files()
    said = json.loads(files["tags.json"])
    assert said["tags"] == task.tag_names == list(task.describe()["id2label"].values())
    assert said["crf"]["transitions"] == task.decoder.transitions.tolist()
    assert json.loads(files["vocabulary.json"])["words"]
    assert make(tmp_path)[0].inputs().files().keys() == {"tags.json", "tokenizer.json"}
