"""Which numbers an argument may be: read from annotations in source, before anything is imported."""

import re
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

import aiexp
from aiexp.config.compose import compose
from aiexp.config.objects.address import addresses
from aiexp.config.objects.build import build
from aiexp.config.target.arguments import check_arguments
from aiexp.config.target.signature import read
from aiexp.errors import AiexpError, ConfigError
from aiexp.ranges import Length, Range
from tests.lab import Lab, make_lab

KNOW_THE_CONFIG = {"command", "config", "sweep", "session.py", "run.py"}


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    lab = make_lab(tmp_path, monkeypatch)
    lab.write(
        "my_lab/ranged.py",
        """
from typing import Annotated, Optional, TypedDict, Unpack
from aiexp import ranges
from aiexp.errors import ConfigError
from aiexp.ranges import PositiveInt, Range as Interval

Share = Annotated[float, ranges.Range("[0, 1)")]

class Batching(TypedDict):
    batch_size: PositiveInt
    limit: Optional[Annotated[int, Interval(">= 2")]]

class Inner:
    def __init__(self, *, rate: Share, later: bool = False) -> None:
        self.rate = rate
        if rate == 0.5 and not later:
            raise ConfigError("a half", where="rate", fix="at most rate=0.4, or dataset=other")

    def use(self) -> None:
        raise ConfigError("a half", where="Inner.rate=0.5", fix="Inner.rate=0.4")

class Outer:
    def __init__(self, *, inner: Inner, many: list[Share], pair: tuple[Share, PositiveInt] = (0, 1),
                 plain: Annotated[int, "no range"] = 0, **batching: Unpack[Batching]) -> None:
        self.batching = batching
        inner.use() if inner.rate == 0.5 else None
""",
    )
    return lab


def outer(**changes: Any) -> dict[str, Any]:
    inner = {"_target_": "my_lab.ranged.Inner", "rate": changes.pop("rate", 0.1), "later": True}
    values = {"many": [0.1], "batch_size": 1, "limit": None, "inner": inner} | changes
    return {"_target_": "my_lab.ranged.Outer", **values}


REFUSED = [
    ({"rate": 1.0}, "inner.rate", "a number in [0, 1)"),
    ({"rate": "much"}, "inner.rate", "a number in [0, 1)"),
    ({"many": [0.5, 1.5]}, "many", "a list of a number in [0, 1)"),
    ({"pair": [0.5, 0]}, "pair", "a list with a whole number >= 1"),
    ({"limit": 1}, "limit", "a whole number >= 2 or null"),
    ({"batch_size": 0}, "batch_size", "a whole number >= 1"),
]


@pytest.mark.parametrize(("changes", "key", "fix"), REFUSED)
def test_a_user_s_own_code_is_checked_without_being_imported(
    lab: Lab, changes: dict[str, Any], key: str, fix: str
) -> None:
    lab.write("conf/dataset/mine.yaml", "# Mine\n" + OmegaConf.to_yaml(OmegaConf.create(outer(**changes))))
    with pytest.raises(AiexpError) as caught:
        compose(["dataset=mine"])
    assert caught.value.exit_code == 2
    (line,) = caught.value.lines()
    assert f"'dataset.{key}' is " in line
    assert f"dataset.{key} | fix: give {fix}" in line


@pytest.mark.parametrize(("changes", "key", "fix"), REFUSED)
def test_build_checks_the_same_for_those_who_did_not_compose(
    lab: Lab, changes: dict[str, Any], key: str, fix: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        build(OmegaConf.create({"dataset": outer(**changes)}).dataset)
    assert (caught.value.where, caught.value.fix) == (f"dataset.{key}", f"give {fix}")


def test_values_in_range_are_built(lab: Lab) -> None:
    lab.write("conf/dataset/mine.yaml", "# Mine\n" + OmegaConf.to_yaml(OmegaConf.create(outer(plain=-3))))
    built = build(compose(["dataset=mine", "dataset.limit=2"]).config.dataset)
    assert built.batching == {"batch_size": 1, "limit": 2}


def test_shared_arguments_are_known_by_name(lab: Lab) -> None:
    lab.write("conf/dataset/mine.yaml", "# Mine\n" + OmegaConf.to_yaml(OmegaConf.create(outer())))
    with pytest.raises(ConfigError, match="Did you mean 'batch_size'"):
        compose(["dataset=mine", "+dataset.batch_siz=3"])
    with pytest.raises(ConfigError, match="needs the argument batch_size"):
        compose(["dataset=mine", "~dataset.batch_size"])


def test_a_constructor_s_error_gets_the_key_of_its_node(lab: Lab) -> None:
    node = {"_target_": "my_lab.ranged.Inner", "rate": 0.5}
    config = OmegaConf.create({"mine": {"list": [node]}, "one": outer(rate=0.5)})
    with pytest.raises(ConfigError) as caught:
        build(
            OmegaConf.create(
                {
                    "mine": {
                        "_target_": "my_lab.ranged.Outer",
                        "inner": node,
                        "many": [],
                        "batch_size": 1,
                        "limit": None,
                    }
                }
            ).mine
        )
    assert (caught.value.where, caught.value.fix) == (
        "mine.inner.rate",
        "at most mine.inner.rate=0.4, or dataset=other",
    )
    with pytest.raises(ConfigError) as caught:
        build(config.one)  # said by the object inside after it was built, with the name of its class
    assert (caught.value.where, caught.value.fix) == ("one.inner.rate=0.5", "one.inner.rate=0.4")


def test_an_error_while_training_gets_the_key_from_the_whole_config() -> None:
    config = {
        "seed": 0,
        "task": {"mine": [{"_target_": "aiexp.task.classification.augmentation.Augmentation", "crop": 30}]},
    }
    config["model"] = {"a": {"_target_": "x.Two"}, "b": {"_target_": "x.Two"}}
    for where, expected in (
        ("Augmentation.crop", "task.mine[0].crop"), ("dataset", "dataset"), ("seed=1", "seed=1"),
        ("data/a.csv", "data/a.csv"), ("Other.crop", "Other.crop"), ("Two.crop", "Two.crop"),
        ("task.mine", "task.mine"),
    ):  # fmt: skip
        with pytest.raises(ConfigError) as caught, addresses(config):
            raise ConfigError("too large", where=where, fix="at most Augmentation.crop=27")
        assert (caught.value.where, caught.value.fix) == (expected, "at most task.mine[0].crop=27")


def test_ranges_as_in_mathematics() -> None:
    numbers = (-1, 0, 0.5, 1, 2, float("nan"))
    for text, inside in (
        ("[0, 1]", [0, 0.5, 1]),
        ("(0, 1)", [0.5]),
        ("(0, 1]", [0.5, 1]),
        (">= 1", [1, 2]),
        ("> 1", [2]),
    ):
        assert [number for number in numbers if Range(text).allows(number)] == inside
    assert not Length(">= 1").allows([])
    for text in ("0..1", "[0, 1", "< 3"):
        with pytest.raises(ValueError, match="not a range"):
            Range(text)


@pytest.mark.parametrize(
    ("target", "values"),
    [
        ("aiexp.trainer.schedule.Schedule", {"shape": "square", "warmup": -1, "hold": -0.1, "final": 2.0}),
        ("aiexp.trainer.selection.Selection", {"mode": "most", "patience": 0}),
        ("aiexp.hardware.hardware.Hardware", {"device": "tpu", "precision": "fp8", "threads": 0}),
        (
            "aiexp.trainer.trainer.Trainer",
            {"steps": 0, "epochs": 0, "clip": -1.0, "accumulate": 0, "log_every": 0, "evaluate_every": "day"},
        ),
        ("aiexp.checkpoint.store.CheckpointPolicy", {"every": 0, "keep_last": 0}),
        ("aiexp.tracker.wandb.WandbTracker", {"mode": "onlin", "probe_seconds": 0}),
        ("aiexp.task.control.dqn.DQN", {"discount": 1.5, "target_interval": 0, "tau": 0.0}),
        (
            "aiexp.task.control.exploration.Exploration",
            {"start": 1.2, "end": -1, "steps": -3, "repetition": 1.0},
        ),
        ("aiexp.task.control.rollout.Rollout", {"train_freq": 0, "gradient_steps": 0, "learning_starts": -1}),
        (
            "aiexp.task.control.replay.Replay",
            {"size": 0, "num_steps": 0, "alpha": 1.5, "beta": -1, "beta_steps": -1},
        ),
        (
            "aiexp.task.adversarial.gan.GAN",
            {
                "loss": "hinge",
                "label_smoothing": 1.0,
                "ema_decay": 1.0,
                "num_discriminator_updates": 0,
                "gradient_penalty": -1.0,
            },
        ),
        ("aiexp.task.adversarial.sample_quality.SampleQuality", {"num_samples": 1}),
        (
            "aiexp.task.adversarial.cyclegan.CycleGAN",
            {
                "cycle_weight": -1.0,
                "identity_weight": -0.5,
                "pool_size": -1,
                "num_pictures": 0,
                "ema_decay": 1,
            },
        ),
        ("aiexp.task.classification.augmentation.Augmentation", {"crop": -1, "cutout": -2}),
        ("aiexp.task.classification.mixing.Mixing", {"mixup_alpha": -1.0, "cutmix_alpha": -1}),
        (
            "aiexp.task.classification.trunk.Trunk",
            {"lr_scale": 0.0, "frozen_epochs": -1.0, "whitening_examples": -1},
        ),
        (
            "aiexp.task.classification.image.ImageClassification",
            {"label_smoothing": 1.0, "normalization": "no"},
        ),
        (
            "aiexp.task.classification.text.TextClassification",
            {"label_smoothing": 1.0, "layer_decay": 0.0, "frozen_layers": -1, "dropout": 1.5},
        ),
        (
            "aiexp.task.few_shot.maml.MAML",
            {
                "algorithm": "fo-maml",
                "inner_lr": 0.0,
                "inner_steps": 0,
                "inner_points": 0,
                "eval_steps": [],
                "num_pictures": 0,
            },
        ),
        (
            "aiexp.dataset.text.hub.hub",
            {"batch_size": 0, "max_tokens": 2, "limit": 1, "eval_fraction": float("nan")},
        ),
        (
            "aiexp.dataset.text.files.text_files",
            {"test_fraction": 1, "num_workers": -1, "on_bad_sample": "guess"},
        ),
        (
            "aiexp.dataset.image.folder.image_folder",
            {"channels": 2, "image_size": 0, "mean": [], "std": [0.0]},
        ),
        (
            "aiexp.dataset.image.published.published_images",
            {"collection": "mnits", "num_eval": -1, "mean": [130.0], "std": [float("nan")], "seed": -1},
        ),
        ("aiexp.dataset.image.emoji_styles.emoji_styles", {"channels": 4, "limit": 0, "eval_fraction": 1.0}),
        ("aiexp.dataset.image.unpaired_folders.unpaired_folders", {"num_eval": -1, "eval_batch_size": -1}),
        (
            "aiexp.dataset.few_shot.glyphs.glyphs",
            {"ways": 1, "shots": 0, "examples": 1, "image_size": 4, "num_episodes": 0},
        ),
        (
            "aiexp.dataset.few_shot.sinusoids.Sinusoids",
            {"shots": 0, "num_tasks": 0, "epoch_batches": 0, "seed": -1},
        ),
        (
            "aiexp.dataset.environment.dataset.Environments",
            {"num_envs": 0, "num_eval_episodes": -1, "frame_stack": 0},
        ),
        ("aiexp.model.image.mlp.Mlp", {"hidden_sizes": [4, 0], "dropout": 1.0}),
        ("aiexp.model.control.q_network.QMlp", {"hidden_sizes": []}),
        ("aiexp.model.control.q_network.QCnn", {"hidden_size": 0}),
        ("aiexp.model.image.fast_cnn.FastCnn", {"widths": [8, 8]}),
        ("aiexp.model.few_shot.conv4.Conv4", {"halving": "skip", "filters": 0}),
        (
            "aiexp.model.adversarial.dcgan.DCGAN",
            {"latent_size": 0, "base_channels": -1, "discriminator_norm": "rms"},
        ),
        ("aiexp.model.adversarial.cyclegan.CycleGANNetworks", {"num_blocks": 0, "base_channels": 0}),
        ("aiexp.model.image.torchvision.TorchvisionModel", {"input_size": 0}),
    ],
)
def test_what_the_components_of_aiexp_refuse(target: str, values: dict[str, Any]) -> None:
    node = {"_target_": target, "_partial_": True, **values}
    problems = check_arguments(node, "mine", read(target), given=(), blocks=())
    assert [problem.key for problem in problems] == [f"mine.{name}" for name in values]
    assert all(problem.fix.startswith("give ") for problem in problems)


def test_no_component_names_a_key_of_the_config() -> None:
    """A component may stand under any key, so it names its own arguments; `build` knows the key."""
    literal = re.compile(r"""where=f?["'](?:task|dataset|model|trainer|hardware|tracker)\.""")
    root = Path(aiexp.__file__).parent
    files = [path for path in root.rglob("*.py") if not KNOW_THE_CONFIG & set(path.relative_to(root).parts)]
    assert len(files) > 100
    assert [str(f) for f in files if literal.search(f.read_text("utf-8"))] == []
