"""What tasks answer: each kind of input, alone and in a batch, without the data they learned from."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from aiexp.errors import AiexpError, ConfigError
from aiexp.prediction.prediction import Prediction
from tests.counting_env import environments
from tests.task.adversarial import test_cyclegan, test_gan
from tests.task.control.test_dqn import make_task
from tests.task.episodes import episodes
from tests.task.few_shot import test_maml, test_protonet


def ask(task: Any, values: Sequence[Any], **options: Any) -> list[Prediction]:
    """As `aiexp predict` does."""
    inputs = task.eval().inputs()
    inputs.configure(**options)
    batch = inputs.collate(inputs.prepare(values))
    with torch.inference_mode():
        return task.predict(batch)


def pixels_of(picture: bytes) -> Any:
    return np.asarray(Image.open(io.BytesIO(picture)))


def test_a_sample_depends_on_its_seed_alone() -> None:
    task, _ = test_gan.make()
    together, alone = ask(task, [3, 4, "5"]), ask(task, [4])
    assert [made.values["seed"] for made in together] == [3, 4, 5]
    assert np.array_equal(pixels_of(together[1].pictures["sample"]), pixels_of(alone[0].pictures["sample"]))
    assert pixels_of(alone[0].pictures["sample"]).shape == (16, 16)
    assert list(task.inputs().made() or ()) == list(range(16))


def test_pictures_are_translated_in_both_directions_as_in_the_evaluation() -> None:
    task, dataset = test_cyclegan.make().eval(), test_cyclegan.make_dataset()
    batch = next(dataset.eval_batches("eval"))
    with torch.inference_mode():
        truth = task.translations(batch)
    for direction, given, wanted in (("a_to_b", "a", truth.fake_b), ("b_to_a", "b", truth.fake_a)):
        values = [image.numpy() for image in batch[given]]
        for made, image in zip(ask(task, values, direction=direction), wanted, strict=True):
            pixels = (image * 255).round().byte().permute(1, 2, 0).numpy()
            assert np.array_equal(pixels_of(made.pictures["translation"]), pixels)
    with pytest.raises(ConfigError, match="direction"):
        ask(task, [], direction="up")


def test_an_agent_plays_the_episodes_of_its_evaluation_and_names_values() -> None:
    task = make_task()
    dataset = environments("CartPole-v1")
    seeds = next(dataset.eval_batches("eval"))["seeds"].tolist()
    with torch.inference_mode():
        mean = task.evaluate(dataset, "eval").metrics["return_mean"]
    made = ask(task, seeds)
    assert np.mean([one.values["return"] for one in made]) == mean
    assert made[0].pictures["episode"].startswith(b"GIF8")
    observation = [0.1, 0.0, -0.05, 0.0]
    answer, text = ask(task, [observation, "[0.1, 0, -0.05, 0]"])
    assert answer == text
    values = task.model(torch.tensor([[observation]]))[0]
    assert answer.values["action"] == int(values.argmax())
    assert answer.values["values"] == pytest.approx(values.tolist())


@pytest.mark.parametrize("value", [[0.1], [[1, 2], [3]], ["a"] * 4, [1e400, 0, 0, 0], "[1,", -3, None, True])
def test_what_is_no_observation_is_refused(value: Any) -> None:
    (problem,) = make_task().inputs().prepare([value])
    assert isinstance(problem, AiexpError)


def support_of(episode: dict[str, Any]) -> tuple[dict[str, list[Any]], list[Any]]:
    """The support of the first episode as dark ink, by class, and its queries."""
    support, query = (
        [(255 * (1 - image)).round().byte().numpy() for image in episode[part][0]]
        for part in ("support_x", "query_x")
    )
    classes: dict[str, list[Any]] = {}
    for image, label in zip(support, episode["support_y"][0].tolist(), strict=True):
        classes.setdefault(f"class {label}", []).append(image)
    return classes, query


@pytest.mark.parametrize("make", [test_maml.make_classes, test_protonet.make])
def test_a_class_follows_from_the_support_whatever_else_is_asked(make: Any) -> None:
    task = make()
    classes, query = support_of(next(episodes().eval_batches("test")))
    together, alone = ask(task, query, support=classes), ask(task, query[2:3], support=classes)
    assert set(together[0].values["probabilities"]) == set(classes)
    assert together[2].values["probabilities"] == pytest.approx(alone[0].values["probabilities"], abs=1e-5)
    with pytest.raises(ConfigError, match="--support FOLDER"):
        ask(task, query)


def test_prototypes_tell_any_number_of_classes_apart_and_find_what_was_given() -> None:
    task = test_protonet.make(model=test_protonet.Plain())
    corners = [np.full((1, 16, 16), 255, np.uint8) for _ in range(2)]
    corners[0][0, 0, 0], corners[1][0, -1, -1] = 0, 0  # ink
    first, second = ask(task, corners, support={"left": [corners[0]], "right": [corners[1]]})
    assert (first.values["label"], second.values["label"]) == ("left", "right")


def test_a_wave_is_continued_from_its_points_as_in_the_evaluation() -> None:
    task, batch = test_maml.make(), next(test_maml.waves().eval_batches("eval"))
    pairs = torch.cat([batch["support_x"], batch["support_y"]], 2)[0].tolist()
    wanted = task.adaptation.outputs_after(
        batch["support_x"][:1], batch["support_y"][:1], batch["query_x"][:1], [3]
    )
    made = ask(task, batch["query_x"][0, :, 0].tolist(), support=pairs)
    assert [one.values["y"] for one in made] == pytest.approx(wanted.flatten().tolist(), abs=1e-5)


def test_every_shipped_kind_of_task_names_networks_that_run_on_what_it_says() -> None:
    makes: list[Any] = [
        test_gan.make()[0], test_cyclegan.make(), make_task(), test_maml.make(), test_maml.make_classes(),
        test_protonet.make(),
    ]  # fmt: skip
    for task in makes:
        for network in task.eval().networks().values():
            tensors = [port.example({"batch": 3}) for port in network.inputs.values()]
            made = network.module(*tensors)
            assert len(made) == 3
            assert torch.isfinite(made).all()
