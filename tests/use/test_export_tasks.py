"""The networks of every shipped task as programs: read back without our code, they are the task's own."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from omegaconf import OmegaConf
from tokenizers import Tokenizer, models
from torch import Tensor, nn

from aiexp.config.compose import Merged, compose
from aiexp.config.folders import builtin_dirs
from aiexp.config.objects.build import build
from aiexp.dataset.recalled import Recalled
from aiexp.experiment import build_task
from aiexp.model.carried import carried_by
from aiexp.prediction.network import Network
from aiexp.use.exporting import onnx_form, torch_form
from aiexp.use.exporting.onnx_form import OnnxForm
from aiexp.use.exporting.parity import TOLERANCE, called, difference, tensors_of
from aiexp.use.exporting.program import SMALLEST_EXAMPLE, exported, fitting, free_sizes
from aiexp.use.exporting.torch_form import TorchForm
from tests.counting_env import environments

MERGED: Merged = {}
SIZES = (1, 7)  # of batches; programs are made of one of 3


def pictures(size: int, channels: int) -> Callable[[dict[str, Any]], Any]:
    """What a run remembers of pictures in ten classes, or in episodes of five."""
    attributes: dict[str, Any] = {
        "image_size": size, "channels": channels, "mean": [0.5] * channels, "std": [0.25] * channels,
        "class_names": [str(number) for number in range(10)], "batch_size": 32, "ways": 5, "shots": 1,
    }  # fmt: skip
    remembered = {
        "attributes": attributes,
        "answers": {"batches_per_epoch": 10},
        "examples": {"train": 320, "eval": 64, "test": 64},
        "methods": ["train_batches", "eval_batches", "fingerprint", "aligned", "images", "names"],
    }
    return lambda _: Recalled(remembered)


def own(config: dict[str, Any]) -> Any:
    """The data set of the config, which reads nothing."""
    return build(config["dataset"])


def frames(_: dict[str, Any]) -> Any:
    """An environment whose observations are pictures, the last four at once."""
    return environments("Squares-v0", frame_stack=4)


def running_text(_: dict[str, Any]) -> Any:
    """What a run remembers of running text; its vocabulary lies among the run's own files."""
    attributes = {"batch_size": 4, "eval_batch_size": 4, "context": 5, "has_documents": False}
    methods = ["train_batches", "eval_batches", "fingerprint", "make_tokenizer", "characters_per_token"]
    remembered = {"attributes": attributes, "answers": {"batches_per_epoch": 10}, "examples": {"train": 40}}
    return Recalled({**remembered, "methods": [*methods, "bytes_per_token", "row"]})


def labelled_texts(_: dict[str, Any]) -> Any:
    """What a run remembers of texts in two classes."""
    attributes = {"class_names": ["negative", "positive"], "max_tokens": 9, "batch_size": 4}
    methods = ["train_batches", "eval_batches", "fingerprint", "texts"]
    answers = {"batches_per_epoch": 10, "class_counts": [20, 20]}
    return Recalled(
        {"attributes": attributes, "answers": answers, "examples": {"train": 40}, "methods": methods}
    )


def tagged(_: dict[str, Any]) -> Any:
    """What a run remembers of tagged sentences; the vocabulary of words lies among the run's own files."""
    attributes = {"tag_names": ["B-X", "I-X", "O"], "scheme": "iob2", "max_tokens": 9, "batch_size": 4}
    methods = ["train_batches", "eval_batches", "fingerprint", "word_counts", "words", "tags"]
    remembered = {"attributes": attributes, "answers": {"batches_per_epoch": 10}, "examples": {"train": 40}}
    return Recalled({**remembered, "methods": methods})


# Words behind `task=`, and the data set that the task is built on.
SHIPPED: dict[str, tuple[list[str], Callable[[dict[str, Any]], Any]]] = {
    "mnist_cnn": ([], pictures(28, 1)),
    "cifar10_cnn": ([], pictures(32, 3)),
    "cifar10_fast": ([], pictures(32, 3)),
    "transfer": ([], pictures(32, 3)),
    "dcgan": (["task.quality.classifier=null"], pictures(28, 1)),
    "cyclegan": (["model.num_blocks=1"], pictures(64, 3)),  # one after the other, all alike
    "dqn_cartpole": ([], own),
    "dqn_cartpole model=q_cnn": ([], frames),
    "maml_sine": ([], own),
    "maml_fewshot": ([], pictures(28, 1)),
    "reptile_fewshot": ([], pictures(28, 1)),
    "protonet_fewshot": ([], pictures(28, 1)),
    "char_lm": ([], running_text),
    "char_lm model=lstm_lm": ([], running_text),
    "gpt_lm": (["model.positions=learned", "model.num_layers=2"], running_text),
    "setfit": (["model=bert_tiny"], labelled_texts),
    "token_tagging": (["model=bert_tiny", "model.num_layers=1"], tagged),
    "token_tagging model=bilstm": (["task.crf=true"], tagged),
    "mlm_pretrain": (["model=bert_tiny"], running_text),
    "vector_classification": ([], own),
    "vector_regression": ([], own),
}
NETWORKS = {"cyclegan": ["generator_a_to_b", "generator_b_to_a"]}
ELSEWHERE = {"bert_finetune"}  # test_export.py, of a trained run
SLOW = {"transfer", "token_tagging"}  # the latter's encoder is that of ELSEWHERE
AS_CARTPOLE = {"dqn_acrobot", "dqn_mountain_car"}  # other numbers of the same network


def test_every_shipped_task_is_here() -> None:
    tasks = set(builtin_dirs().options()["task"])
    assert {name.split()[0] for name in SHIPPED} == tasks - ELSEWHERE - AS_CARTPOLE


def made(name: str, folder: Path) -> Any:
    """A shipped task that nobody has trained, without the pretrained weights that it starts from."""
    words, dataset = SHIPPED[name]
    composed = compose([f"task={name.split()[0]}", *name.split()[1:], *words, "tracker=none"], merged=MERGED)
    config: Any = OmegaConf.to_container(composed.config, resolve=True)
    torch.manual_seed(0)
    words = {"?": 0} | {letter: number for number, letter in enumerate("abcdefgh", 1)}
    Tokenizer(models.BPE(vocab=words, merges=[], unk_token="?")).save(str(folder / "tokenizer.json"))
    (folder / "vocabulary.json").write_text(json.dumps({"words": ["a", "dog"], "characters": list("adgo")}))
    with carried_by(folder):
        return build_task(config, dataset(config)).eval()


def learn(task: nn.Module) -> None:
    """Lets statistics and parameters be such as training leaves them, not zeros and ones."""
    with torch.no_grad():
        for module in task.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_var is not None:  # pyright: ignore[reportPrivateUsage]
                assert module.running_mean is not None
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.3, 0.6)
        for parameter in task.parameters():
            if parameter.ndim < 2:
                parameter.add_(torch.randn_like(parameter), alpha=0.1)


def case_of(network: Network, size: int) -> list[Tensor]:
    sizes = {name: fitting(limits, size) for name, limits in free_sizes(network).items()}
    return [port.example(sizes) for port in network.inputs.values()]


@pytest.fixture
def shared_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets both forms be made of one program, which takes half of the time."""
    programs: dict[int, Any] = {}

    def once(name: str, network: Network) -> Any:
        if id(network) not in programs:
            programs[id(network)] = exported(name, network)
        return programs[id(network)]

    monkeypatch.setattr(onnx_form, "exported", once)
    monkeypatch.setattr(torch_form, "exported", once)


@pytest.mark.usefixtures("shared_programs")
@pytest.mark.parametrize(
    "task", [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in SHIPPED]
)
def test_both_forms_equal_the_task_for_any_number_of_inputs(task: str, tmp_path: Path) -> None:
    assert SMALLEST_EXAMPLE not in SIZES
    built = made(task, tmp_path)
    learn(built)
    networks: dict[str, Network] = built.networks()
    assert list(networks) == NETWORKS.get(task, list(networks)[:1])
    forms: Any = [OnnxForm(None, networks), TorchForm(None, networks)]  # pyright: ignore[reportArgumentType]
    for name, network in networks.items():
        for form in forms:
            form.write(name, tmp_path)
        session: Any = onnxruntime.InferenceSession(
            tmp_path / f"{name}.onnx", providers=["CPUExecutionProvider"]
        )
        program = torch.export.load(tmp_path / f"{name}.pt2").module()
        for size in SIZES:
            case = case_of(network, size)
            (wanted,) = called(network, case)
            assert len(wanted) == size
            assert wanted.abs().max() > 0.01, "nothing to compare"
            arrays = {key: np.asarray(tensor) for key, tensor in zip(network.inputs, case, strict=True)}
            (theirs,) = session.run(None, arrays)
            assert difference(wanted, torch.from_numpy(theirs)) <= TOLERANCE
            with torch.no_grad():
                (again,) = tensors_of(program(*case))
            assert difference(wanted, again) <= TOLERANCE
