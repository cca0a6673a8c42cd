"""`aiexp explain` on trained runs: what it says, what it writes, and what it refuses."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from aiexp.command.use import explain as command
from aiexp.errors import AiexpError, ConfigError, StorageError
from aiexp.prediction.inputs import Inputs
from aiexp.prediction.network import Network, Port
from aiexp.prediction.prediction import Prediction
from aiexp.runs.loaded import load_run
from aiexp.use.explaining.explain import Explaining, Folders, Request
from aiexp.use.reading import Item
from tests.toys import Adversaries, Replay
from tests.use.trained_runs import loaded


def explained(run: Any, value: Any, method: str = "", target: str = "") -> Any:
    explaining = Explaining(run, run.task.inputs(), Request(method=method, target=target))
    return explaining.explanation(Item("one", value))


def test_a_folder_that_holds_something_else_is_not_replaced(texts: Path, tmp_path: Path) -> None:
    mine = tmp_path / "why" / "fine" / "mine.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(StorageError, match="holds something else"):
        command.main([str(texts), "fine", f"--out={tmp_path}/why"])
    assert mine.read_text() == "mine"
    mine.unlink()
    for _ in range(2):  # an earlier explanation is
        assert command.main([str(texts), "fine", f"--out={tmp_path}/why"]) == 0
    assert len(list(mine.parent.iterdir())) == 3


def test_words_add_up_to_the_output_and_files_are_whole(
    texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "reviews.csv").write_text("text,id\na great film,1\n<b>dull</b> & poor,2\n")
    assert (
        command.main([str(texts), str(tmp_path / "reviews.csv"), "--column=text", f"--out={tmp_path}/why"])
        == 0
    )
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert all("completeness error" in line and "steps" in line for line in lines)
    for number in (2, 3):  # lines of the file
        folder = tmp_path / "why" / f"reviews.csv-{number}"
        assert sorted(path.name for path in folder.iterdir()) == [
            f"explanation.{e}" for e in ("html", "json", "png")
        ]
        record = json.loads((folder / "explanation.json").read_text())
        gradients = record["methods"][0]
        total = sum(value for _, value in gradients["words"])
        difference = gradients["output"] - gradients["baseline_output"]
        assert gradients["completeness_error"] < 0.01 * abs(difference) + 1e-4
        assert abs(total - difference) == pytest.approx(gradients["completeness_error"], abs=1e-5)
        assert (folder / "explanation.png").read_bytes().startswith(b"\x89PNG")
    assert "&lt;" in (tmp_path / "why/reviews.csv-3/explanation.html").read_text()
    assert "<b>dull" not in (tmp_path / "why/reviews.csv-3/explanation.html").read_text()


def test_outputs_are_those_of_the_task_and_each_class_can_be_asked_for(texts: Path) -> None:
    run = load_run(texts)
    task: Any = run.task
    inputs = task.inputs()
    value = "a warm and fine film"
    logits = task.logits(inputs.collate(inputs.prepare([value])))[0]
    for number, name in enumerate(task.class_names):
        by_name, by_number = explained(run, value, target=name), explained(run, value, target=str(number))
        assert by_name.parts[0].attribution.output == pytest.approx(logits[number].item(), abs=1e-5)
        assert by_name.parts[0].words == by_number.parts[0].words
    assert explained(run, value).target == task.class_names[int(logits.argmax())]


def test_a_text_that_is_cut_says_so(texts: Path) -> None:
    made = explained(load_run(texts), "great film " * 2000)
    assert made.notes == [
        "The text is cut after 40 tokens, as in training: its last 21,930 characters were not read."
    ]


def test_pixels_add_up_and_grad_cam_is_drawn(pictures: Path) -> None:
    run = load_run(pictures)
    pixels = torch.randint(0, 256, (1, 20, 20), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    made = explained(run, pixels)
    assert [part.method for part in made.parts] == ["grad_cam", "integrated_gradients", "saliency"]
    attribution = made.parts[1].attribution
    assert attribution.values.shape == (1, 20, 20)
    assert attribution.is_good
    with torch.no_grad():
        logits = run.task.logits({"images": torch.stack([pixels, torch.zeros_like(pixels)])})
    number = int(logits[0].argmax())
    wanted = (logits[0, number] - logits[1, number]).item()
    assert attribution.values.sum().item() == pytest.approx(wanted, rel=0.02, abs=1e-3)
    assert all(panel.pixels.shape == (260, 260, 3) for part in made.parts for panel in part.panels)


def test_explaining_leaves_the_task_as_it_was(texts: Path) -> None:
    run = load_run(texts)
    before = {name: value.clone() for name, value in run.task.state_dict().items()}
    explained(run, "a fine film")
    assert all(torch.equal(value, before[name]) for name, value in run.task.state_dict().items())
    assert not any(module._forward_hooks for module in run.task.modules())  # pyright: ignore[reportPrivateUsage]
    assert all(parameter.grad is None for parameter in run.task.parameters())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fine", "--target=1O"], "there is no class '1O'"),
        (["fine", "--target=2"], "there is no class '2'"),
        (["fine", "--method=grad_cam"], "grad_cam is not for inputs that are a text"),
        (
            ["fine", "--method=lime"],
            "--method takes integrated_gradients|grad_cam|saliency|attention, not 'lime'",
        ),
        ([], "nothing to explain: a text is wanted"),
        ([" "], "the text is empty"),
        (["fine", "--step=99"], "the run has no checkpoint of step 99"),
    ],
)
def test_what_cannot_be_is_one_line(texts: Path, words: list[str], said: str) -> None:
    with pytest.raises(AiexpError) as raised:
        command.main([str(texts), *words])
    assert said in raised.value.line()
    assert not (texts / "explanations").exists()


def test_inputs_of_another_kind_are_refused(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("this is no picture")
    with pytest.raises(AiexpError, match="there is no such file or folder"):
        command.main([str(pictures), "a great film"])
    with pytest.raises(AiexpError, match=r"text\.png"):
        command.main([str(pictures), str(tmp_path / "text.png")])
    picture = next((pictures.parents[2] / "pictures").rglob("*.png"))
    with pytest.raises(ConfigError, match="has no attention that can be seen"):
        command.main([str(pictures), str(picture), "--method", "attention"])


def test_a_run_without_a_checkpoint_is_refused(texts: Path, tmp_path: Path) -> None:
    shutil.copytree(texts, tmp_path / "untrained", ignore=shutil.ignore_patterns("checkpoints"))
    with pytest.raises(AiexpError, match="and has no checkpoint any more"):
        command.main([str(tmp_path / "untrained"), "fine"])


def test_a_task_that_is_no_classifier_is_refused(tmp_path: Path) -> None:
    run = loaded(tmp_path, Adversaries())
    with pytest.raises(
        ConfigError, match="Adversaries is no classifier, and has no network that values actions"
    ):
        Explaining(run, Numbers(4), Request())


class Numbers(Inputs):
    """Lists of numbers, or of pixels."""

    noun = "an observation"

    def __init__(self, *shape: int, dtype: torch.dtype = torch.float32) -> None:
        self.shape, self.dtype = shape, dtype

    def prepare(self, values: Any) -> list[Any]:
        return [torch.as_tensor(value, dtype=self.dtype) for value in values]

    def collate(self, examples: Any) -> dict[str, Tensor]:
        return {"observations": torch.stack(list(examples))}

    def ports(self) -> dict[str, Port]:
        return {"observations": Port(sizes=("batch", *self.shape), dtype=self.dtype)}


class Acts(Replay):
    """Values two actions by a network."""

    def __init__(self, network: nn.Module, kind: Numbers) -> None:
        super().__init__()
        self.network, self.kind = network, kind

    def inputs(self) -> Numbers:
        return self.kind

    def predict(self, batch: Any) -> list[Prediction]:
        values = self.network(batch["observations"])
        return [
            Prediction(line=f"action {int(v.argmax())}", values={"action": int(v.argmax())}) for v in values
        ]

    def networks(self) -> dict[str, Network]:
        return {"q_network": Network(module=self.network, inputs=self.kind.ports(), outputs=("values",))}


def test_numbers_of_an_observation_are_weighed_for_the_best_action(tmp_path: Path) -> None:
    layer = nn.Linear(4, 2, bias=False)
    nn.init.zeros_(layer.weight)
    layer.weight.data[1] = torch.tensor([0.0, 3.0, -1.0, 0.0])
    run = loaded(tmp_path, Acts(nn.Sequential(nn.Flatten(), layer), Numbers(1, 4)).requires_grad_(False))
    made = explained(run, [[0.5, 1.0, 0.5, 9.0]])
    assert made.target == "action 1"
    assert [part.method for part in made.parts] == ["integrated_gradients", "saliency"]  # no convolution
    strongest = made.parts[0].strongest
    assert [name for name, _ in strongest] == ["number 1", "number 2"]
    assert [value for _, value in strongest] == pytest.approx([3.0, -0.5])
    assert [value for _, value in explained(run, [[1.0, 1.0, 1.0, 1.0]], target="1").parts[1].strongest] == [
        3,
        -1,
    ]
    with pytest.raises(ConfigError, match=r"there is no action '2'.*0 to 1"):
        explained(run, [[0.0] * 4], target="2")
    with pytest.raises(ConfigError, match="has no convolution of more than one pixel"):
        explained(run, [[0.0] * 4], method="grad_cam")


class Plays(Acts):
    """Is given no observation, and plays an episode of three."""

    def predict(self, batch: Any) -> list[Prediction]:
        self.network(batch["observations"])
        for number in (1.0, 3.0, 2.0):
            self.network(torch.full((1, 1, 4), number))
        return [Prediction(line="return 3", values={"return": 3})]


def test_of_an_episode_the_most_decided_moment_is_explained(tmp_path: Path) -> None:
    layer = nn.Linear(4, 2, bias=False)
    layer.weight.data = torch.tensor([[0.0] * 4, [1.0, 0.0, 0.0, 0.0]])
    run = loaded(tmp_path, Plays(nn.Sequential(nn.Flatten(), layer), Numbers(1, 4)).requires_grad_(False))
    made = explained(run, [[0.0] * 4])
    assert made.notes == [
        "Explained is the step of the episode at which the best action leads most: step 2 of 3, by 3."
    ]
    assert made.parts[0].strongest == [("number 0", pytest.approx(3.0))]
    assert made.chances == [("action 1", 3.0), ("action 0", 0.0)]


class Frames(nn.Module):
    """Scales pixels only if they come as integers, as our networks for observations do."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 36, 2))

    def forward(self, observations: Tensor) -> Tensor:
        return self.layers(observations.float() / 255 if observations.dtype == torch.uint8 else observations)


def test_frames_are_explained_where_pixels_are_scaled_by_their_type(tmp_path: Path) -> None:
    torch.manual_seed(0)
    run = loaded(tmp_path, Acts(Frames(), Numbers(2, 8, 8, dtype=torch.uint8)).requires_grad_(False))
    made = explained(run, torch.randint(0, 256, (2, 8, 8)).tolist())
    assert [part.method for part in made.parts] == ["grad_cam", "integrated_gradients", "saliency"]
    assert made.parts[1].attribution.is_good
    assert all(part.panels for part in made.parts)


class Newest(nn.Module):
    """Looks at the upper left pixel of the newest frame, and half as much at that of the one before."""

    def __init__(self, newest: Any, before: Any) -> None:
        super().__init__()
        self.newest, self.before = newest, before

    def forward(self, observations: Tensor) -> Tensor:
        pixels = observations.float()
        value = pixels[self.newest] + 0.5 * pixels[self.before]
        return torch.stack([value, -value], 1)


ALL = slice(None)


@pytest.mark.parametrize(
    ("shape", "newest", "before"),
    [
        ((3, 8, 8), (ALL, 2, 0, 0), (ALL, 1, 0, 0)),  # by us; as many as there are colours
        ((1, 8, 8, 4), (ALL, 0, 0, 0, 3), (ALL, 0, 0, 0, 2)),  # by the environment, as channels
        ((1, 4, 8, 8), (ALL, 0, 3, 0, 0), (ALL, 0, 2, 0, 0)),  # by gymnasium's wrapper
        ((2, 8, 8, 1), (ALL, 1, 0, 0, 0), (ALL, 0, 0, 0, 0)),
    ],
)
def test_of_stacked_grey_frames_the_newest_is_drawn_with_its_own_saliency(
    tmp_path: Path, shape: tuple[int, ...], newest: Any, before: Any
) -> None:
    run = loaded(tmp_path, Acts(Newest(newest, before), Numbers(*shape, dtype=torch.uint8)))
    pixels = torch.full(shape, 100, dtype=torch.uint8)[None].clone()
    pixels[newest], pixels[before] = 200, 40
    gradients, saliency = explained(run, pixels[0].tolist(), target="0").parts
    assert [round(value) for _, value in gradients.strongest] == [200, 20]
    assert [name for name, _ in gradients.strongest] == ["newest frame", "1 frame earlier"]
    assert saliency.strongest == [("newest frame", 1.0), ("1 frame earlier", 0.5)]
    frames = shape[0] if len(shape) == 3 else shape[0] * min(shape[1], shape[3])
    assert f"the newest of {frames} frames" in saliency.text
    picture, heat = (panel.pixels for panel in saliency.panels)
    assert picture.shape == heat.shape == (256, 256, 3)
    assert picture[0, 0].tolist() == [200] * 3  # grey, of the newest frame
    assert picture[-1, -1].tolist() == [100] * 3
    assert heat[0, 0].tolist() == [230, 120, 20]
    assert (heat[32:] == heat[-1, -1]).all()  # nothing elsewhere


def test_a_colour_frame_is_drawn_in_colour(tmp_path: Path) -> None:
    first = (ALL, 0, 0, 0, 0)
    run = loaded(tmp_path, Acts(Newest(first, first), Numbers(1, 8, 8, 3, dtype=torch.uint8)))
    pixels = torch.zeros(1, 8, 8, 3)
    pixels[..., 1] = 90
    made = explained(run, pixels.tolist(), method="saliency").parts[0]
    assert not made.strongest
    assert made.panels[0].pixels[0, 0].tolist() == [0, 90, 0]


class Looks(nn.Module):
    """Looks pixels up in a table: it has no gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(256, 2)

    def forward(self, observations: Tensor) -> Tensor:
        first = observations[:, 0, 0, 0]
        return self.table(first.long() if first.dtype == torch.uint8 else first)


def test_a_network_without_gradients_is_said_to_have_none(tmp_path: Path) -> None:
    run = loaded(tmp_path, Acts(Looks(), Numbers(2, 8, 8, dtype=torch.uint8)).requires_grad_(False))
    with pytest.raises(ConfigError, match="does not answer the same when its integers come as floats"):
        explained(run, torch.zeros(2, 8, 8).tolist())


def test_folders_are_named_by_their_inputs_and_no_two_the_same() -> None:
    folders = Folders(Path("why"))
    names = ["photos/a b.png", "other/a b.png", "reviews.csv:17", "../..", "", "\u65e5\u672c"]
    made = [str(folders.of(name)) for name in names]
    assert made == [
        "why/a-b.png",
        "why/a-b.png-2",
        "why/reviews.csv-17",
        "why/input",
        "why/input-2",
        "why/\u65e5\u672c",
    ]
