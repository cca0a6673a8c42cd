"""What a config describes, built: hardware, trainer, data set and task, always in the same order."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self, final

from aiexp.config.objects.build import build
from aiexp.config.start import starts
from aiexp.model.carried import collecting

if TYPE_CHECKING:
    from aiexp.dataset.base import Dataset
    from aiexp.hardware.hardware import Hardware
    from aiexp.session.follower import Follower
    from aiexp.session.session import Session
    from aiexp.task.base import Task
    from aiexp.task.report import Evaluation
    from aiexp.trainer.trainer import Trainer


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Experiment:
    """The parts of a run, before its first step."""

    hardware: "Hardware"
    trainer: "Trainer"
    dataset: "Dataset"
    task: "Task"
    # Small files of a pretrained model, which a run keeps.
    carried: Mapping[str, bytes] = field(default_factory=lambda: {})

    @property
    def num_parameters(self) -> int:
        """Numbers that the task holds in its networks."""
        return sum(p.numel() for p in self.task.parameters())

    @property
    def num_trained(self) -> int:
        """Of these the numbers that learn, as it begins."""
        return sum(p.numel() for p in self.task.parameters() if p.requires_grad)

    @property
    def sizes(self) -> dict[str, int | None]:
        """Examples in each split; None of a stream."""
        return {split: self.dataset.num_examples(split) for split in ("train", "eval", "test")}

    @classmethod
    def of(cls, config: dict[str, Any], hardware: "Hardware | None" = None) -> Self:
        """Builds what a config describes; the same config gives the same weights.

        Args:
            config: Checked and resolved.
            hardware: Built from it, its environment set; None to do that here.

        Raises:
            AiexpError: a part cannot be built, does not fit the others, or breaks its contract.
        """
        made: Hardware = hardware or build(config["hardware"])
        if hardware is None:
            made.set_environment()  # before torch is imported
        from aiexp.checkpoint.state import seed_everything
        from aiexp.task.contract import check_dataset, check_task

        made.start()
        seed_everything(config["seed"])
        trainer = build(config["trainer"])
        dataset = build(config["dataset"])
        check_dataset(dataset)
        with collecting() as carried:
            task = build_task(config, dataset)
        check_task(task)
        if made.world.rank:  # dropout and noise of its own; the leader's are those of a run alone
            seed_everything(made.world.own_seed(config["seed"]))
        return cls(hardware=made, trainer=trainer, dataset=dataset, task=task, carried=carried)

    def start(self, config: dict[str, Any], session: "Session | Follower") -> None:
        """Takes the weights that a new run starts from; those of one that goes on are in its checkpoint.

        Args:
            config: Checked and resolved.
            session: Records which they were.

        Raises:
            AiexpError: there are none, or they do not fit.
        """
        if not starts(config) or session.world.from_leader(session.checkpoints.steps()):
            return
        from aiexp.trainer.starting import start

        session.record_start(start(self.task, config, session.say))

    def fit(self, session: "Session | Follower") -> dict[str, float]:
        """Trains to the end; see `Trainer.fit`."""
        return self.trainer.fit(self.task, self.dataset, self.hardware, session)

    def try_evaluation(self, split: str, *, report: bool = False) -> "Evaluation":
        """The evaluation of the first batch of a split: which metrics there are, in a moment."""
        from aiexp.dataset.preview import first_batch
        from aiexp.trainer.evaluation import evaluate

        self.hardware.prepare(self.task)
        return evaluate(self.task, first_batch(self.dataset), split, self.hardware, report=report)


def build_task(config: dict[str, Any], dataset: Any) -> Any:
    """The task of a config on a data set, which need not be the config's."""
    return build(config["task"], model=build(config["model"]), dataset=dataset)
