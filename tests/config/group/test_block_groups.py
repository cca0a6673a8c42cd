"""optimizer= and schedule= take the place of blocks of the task and the trainer."""

from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from aiexp.config.compose import compose
from aiexp.config.group.block_groups import replaced
from aiexp.errors import AiexpError
from aiexp.experiment import Experiment

MERGED: dict[Any, Any] = {}


def config(*overrides: str) -> Any:
    return OmegaConf.to_container(compose([*overrides], merged=MERGED).config, resolve=True)


@pytest.mark.parametrize("option", ["adam", "adamw", "nadam", "radam", "rmsprop", "sgd"])
def test_every_optimizer_moves_the_weights_of_a_task(option: str) -> None:
    made = config(
        "task=maml_sine", f"optimizer={option}", "dataset.num_tasks=8", "dataset.batch_size=4",
        "hardware=cpu", "hardware.threads=1",
    )  # fmt: skip
    assert "optimizer" not in made
    experiment = Experiment.of(made)
    optimizer = experiment.task.make_optimizers()["model"]
    assert type(optimizer).__name__.lower() == option
    weights = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    before = [weight.detach().clone() for weight in weights]
    for weight in weights:
        weight.grad = torch.ones_like(weight)
    optimizer.step()
    assert not any(torch.equal(a, b) for a, b in zip(before, weights, strict=True))
    assert experiment.task.make_optimizers()["baseline"] is not None, "other blocks stay"


def test_what_both_take_stays() -> None:
    own = config("task=mnist_cnn", "task.optimizer.weight_decay=0.3", "task.optimizer.eps=1e-6")["task"]
    assert own["optimizer"]["lr"] == 1e-3
    adamw = config("task=bert_finetune", "optimizer=adamw")["task"]["optimizer"]
    assert (adamw["lr"], adamw["betas"]) == (1e-4, [0.9, 0.999]), "of the same kind"
    sgd = config("task=bert_finetune", "optimizer=sgd")["task"]["optimizer"]
    assert (sgd["lr"], sgd["weight_decay"], sgd["fused"]) == (0.05, 0.01, True), "of another kind"
    assert not {"betas", "eps"} & sgd.keys()
    typed = config("optimizer=sgd", "task.optimizer.lr=0.5", "task=cifar10_fast")["task"]["optimizer"]
    assert typed["lr"] == 0.5, "what is typed comes last"


def test_their_keys_have_the_name_of_the_group_too() -> None:
    made = config("task=bert_finetune", "peft=lora", "peft.rank=3", "optimizer.lr=0.5", "schedule.hold=7")
    assert made["task"]["peft"]["rank"] == 3
    assert made["task"]["optimizer"]["lr"] == 0.5
    assert made["trainer"]["schedule"]["hold"] == 7
    assert "peft" not in made
    averaged = config("average=ema", "average.decay=0.5")
    assert averaged["trainer"]["selection"]["average"]["decay"] == 0.5


def test_an_option_may_stand_for_none() -> None:
    assert config("task=bert_finetune", "peft=none")["task"]["peft"] is None
    assert "peft" not in config("task=mnist_cnn", "peft=none")["task"], "which takes nothing away"
    with pytest.raises(AiexpError, match="no peft is chosen"):
        config("task=bert_finetune", "peft.rank=3")


def test_each_of_several_optimizers_is_replaced() -> None:
    optimizers = config("task=dcgan", "optimizer=radam")["task"]["optimizers"]
    assert {name: block["_target_"] for name, block in optimizers.items()} == {
        "generator": "torch.optim.RAdam", "discriminator": "torch.optim.RAdam",
    }  # fmt: skip
    assert optimizers["generator"]["betas"] == [0.5, 0.999]
    assert "fused" not in optimizers["generator"], "RAdam has none"


def test_nothing_stays_of_no_block() -> None:
    new = {"_target_": "torch.optim.SGD", "lr": 0.05}
    assert replaced({}, new) == new


@pytest.mark.parametrize(("option", "at_the_end"), [
    ("constant", 1.0), ("linear", 0.0), ("cosine", 0.0), ("one_cycle", 4e-6), ("step", 0.01),
])  # fmt: skip
def test_every_schedule_builds(option: str, at_the_end: float) -> None:
    from aiexp.config.objects.build import build

    schedule = build(config("task=bert_finetune", f"schedule={option}")["trainer"]["schedule"])
    assert schedule.factor(1000, 1000) == pytest.approx(at_the_end)
    assert schedule.factor(1, 1000) < 0.02, "the trainer's warm-up stays, or the option has its own"


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("optimizer=sdg", "no option 'sdg' in group 'optimizer'. Did you mean 'sgd'?"),
        ("task.optimizer=sgd", "'task.optimizer' is a block, not a name | command line: task.optimizer=sgd"
                               " | fix: type optimizer=sgd"),
        ("trainer.schedule=step", "fix: type schedule=step"),
        ("peft=lora", "this task has no task.peft that peft=lora could replace | command line: peft=lora"),
        ("average.dekay=0.5", "unknown key 'trainer.selection.average.dekay'. Did you mean "
                              "'trainer.selection.average.decay'?"),
    ],
)  # fmt: skip
def test_slips_are_one_line(word: str, expected: str) -> None:
    with pytest.raises(AiexpError) as caught:
        config("task=mnist_cnn", word)
    (line,) = caught.value.lines()
    assert expected in line
