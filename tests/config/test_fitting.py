"""A data set or model of another field than the task is said before anything is built."""

import pytest

from aiexp.config.compose import compose
from aiexp.config.folders import builtin_dirs
from aiexp.errors import ConfigError

TASKS = list(builtin_dirs().options()["task"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["task=mnist_cnn", "dataset=movie_reviews"],
            "task mnist_cnn learns from pictures, dataset movie_reviews has texts",
        ),
        (["task=bert_finetune", "dataset=mnist"], "learns from texts, dataset mnist has pictures"),
        (["task=mnist_cnn", "model=minilm"], "takes models for pictures, model minilm is for text"),
        (
            ["task=char_lm", "dataset=movie_reviews"],
            "learns from running text, dataset movie_reviews has texts",
        ),
        (
            ["task=token_tagging", "dataset=movie_reviews"],
            "learns from tagged sentences, dataset movie_reviews",
        ),
        (["task=bert_finetune", "model=bilstm"], "takes models for text, model bilstm is for tagging"),
        (["task=mlm_pretrain", "dataset=movie_reviews"], "learns from running text"),
        (["task=mlm_pretrain", "model=gpt_small"], "takes models for pretraining, model gpt_small is for"),
        (["task=bert_finetune", "model=gpt_small"], "takes models for text, model gpt_small is for language"),
        (["task=dqn_cartpole", "dataset=glyphs"], "learns from environments, dataset glyphs has episodes"),
        (["task=dqn_cartpole", "model=mnist_cnn"], "model mnist_cnn is for pictures"),
        (["task=dcgan", "model=mnist_cnn"], "takes models for generating pictures"),
    ],
)
def test_another_field(words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        compose(words)


@pytest.mark.parametrize("task", TASKS)
def test_every_task_fits_what_it_selects(task: str) -> None:
    assert compose([f"task={task}"]).choices["task"] == task


def test_few_shot_tasks_take_trunks_of_pictures() -> None:
    assert (
        compose(["task=protonet_fewshot", "model=mnist_cnn", "model.channels=1"]).choices["model"]
        == "mnist_cnn"
    )
