"""What training would take: everything built, a few steps, and what they cost."""

from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING, Any, cast

from omegaconf import DictConfig, OmegaConf

from aiexp.config.objects.build import build
from aiexp.errors import ConfigErrors
from aiexp.session.parts import described_parameters, described_sizes
from aiexp.text.terminal import out

if TYPE_CHECKING:
    from aiexp.experiment import Experiment
    from aiexp.runs.rehearsal import Rehearsal
PROBE_STEPS = 5


@dataclass(frozen=True, kw_only=True)
class Bill:
    """What a run would take.

    Args:
        total_steps: Its length in optimizer steps.
        step_seconds: Median of a few steps, without evaluations.
        num_parameters: Of all networks.
        examples: Of each split; None where that is not known.
        metrics: Names that an evaluation returns.
        peak_memory_bytes: Of this process so far.
    """

    total_steps: int
    step_seconds: float
    num_parameters: int
    examples: dict[str, int | None]
    metrics: list[str]
    peak_memory_bytes: int

    @property
    def seconds(self) -> float:
        """Of all steps together."""
        return self.total_steps * self.step_seconds

    def fields(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self) | {"seconds": self.seconds}


def check(config: DictConfig, *, resume: bool = False, nodes: int = 1) -> Bill:
    """Builds everything a config names and runs a few steps; says what it finds.

    Args:
        config: Checked.
        resume: Also compare a resumed run with one that goes on.
        nodes: Machines that train it.

    Raises:
        AiexpError: what a run would raise; with `resume` also every way in which a resumed run would differ.
    """
    from aiexp.experiment import Experiment
    from aiexp.rundir.weights import followed
    from aiexp.trainer.starting import start

    plain = cast(dict[str, Any], OmegaConf.to_container(config, resolve=True))
    asked = plain["hardware"]["devices"]
    if asked != "all":  # a rank is tried out on whatever this machine has
        plain["hardware"]["devices"] = 1
    hardware = build(plain["hardware"])
    hardware.set_environment()  # before anything imports torch
    build(plain["tracker"])  # what it lacks is said before data and model are built
    experiment = Experiment.of(plain, hardware)
    ranks = nodes * (experiment.hardware.devices if asked == "all" else int(asked))
    start(experiment.task, followed(plain), out)
    say("hardware", experiment.hardware.describe())
    say("dataset", described_sizes(experiment, plain["dataset"].get("limit")))
    say("model", _describe_parameters(experiment))
    from aiexp.runs.rehearsal import Rehearsal

    rehearsal = Rehearsal(experiment, ranks)
    bill = probe(rehearsal, evaluate(experiment))
    if resume:
        _check_resume(plain, rehearsal)
    if ranks > 1:
        say_rank(rehearsal)
    return bill


def say(name: str, value: str) -> None:
    """One aligned line."""
    out(f"{name:<10}{value}")


def _describe_parameters(experiment: "Experiment") -> str:
    """So many parameters, and the memory that training them in fp32 with Adam takes."""
    # weights, and of what learns gradients and two moments, 4 bytes each; activations come on top
    size = experiment.num_parameters * 4 + experiment.num_trained * 12
    return f"{described_parameters(experiment)}, {size / 2**20:.0f} MiB with gradients and Adam's moments"


def evaluate(experiment: "Experiment") -> list[str]:
    """Evaluates one batch; returns the names of its metrics."""
    if not experiment.sizes["eval"]:
        return []
    names = list(experiment.try_evaluation("eval").metrics)
    experiment.trainer.selection.check(names)
    say("evaluates", ", ".join(names))
    return names


def probe(rehearsal: "Rehearsal", metrics: list[str]) -> Bill:
    """Runs a few training steps on weights that are thrown away."""
    from aiexp.hardware.memory import peak_memory_bytes

    step = median(rehearsal.advance(PROBE_STEPS)[1:])  # the first step allocates
    experiment = rehearsal.experiment
    bill = Bill(
        total_steps=rehearsal.total_steps, step_seconds=step, num_parameters=experiment.num_parameters,
        examples=dict(experiment.sizes), metrics=metrics, peak_memory_bytes=peak_memory_bytes(),
    )  # fmt: skip
    say(
        "steps",
        f"{bill.total_steps} of {step:.3f} s: about {bill.seconds / 60:.1f} min, evaluations besides",
    )
    say("memory", f"{bill.peak_memory_bytes / 2**30:.1f} GiB at most so far")
    return bill


def say_rank(rehearsal: "Rehearsal") -> None:
    """What one of several ranks has to do and to hold; after it the rehearsal is over."""
    experiment, ranks = rehearsal.experiment, rehearsal.world.size
    size = experiment.dataset.batch_size
    rows = size if size < ranks else -(-size // ranks)
    say("rank", f"1 of {ranks} by {experiment.hardware.parallel}: {rows} of {size} rows of each batch, "
        "timed without the others")  # fmt: skip
    if experiment.hardware.parallel == "fsdp":
        from aiexp.runs.rank_memory import sharded_memory

        say("", sharded_memory(rehearsal, ranks).describe())
        return
    parts = rehearsal.rank_bytes()
    named = ", ".join(f"{name} {count / 2**20:.1f}" for name, count in parts.items())
    say("", f"{sum(parts.values()) / 2**20:.1f} MiB: {named}")


def _check_resume(config: dict[str, Any], rehearsal: "Rehearsal") -> None:
    """Makes a report and compares going on with resuming; raises every breach found."""
    from aiexp.runs.rehearsal import STEPS, check_resuming

    experiment = rehearsal.experiment
    split_name = "test" if experiment.sizes["test"] else "eval"
    if experiment.sizes[split_name]:
        report = experiment.try_evaluation(split_name, report=True)
        say("report", ", ".join([*report.metrics, *report.pictures, *report.tables]))
    errors = check_resuming(rehearsal, lambda: type(experiment).of(config, experiment.hardware))
    if errors:
        raise errors[0] if len(errors) == 1 else ConfigErrors(errors)
    say("resume", f"exact: saved, built again and loaded; {STEPS} steps further everything is equal")
