"""aiexp in Python and notebooks: train, load, ask and compare; torch is imported when a task is asked for."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from aiexp.errors import AiexpError, ConfigError, DataError
from aiexp.rundir.directory import RunDirectory
from aiexp.rundir.file import FIGURES, METRICS
from aiexp.rundir.lock import actual_state
from aiexp.rundir.metrics import read_metrics
from aiexp.rundir.record import find_runs, read_record
from aiexp.runs.listing import headline, started_at
from aiexp.text.terminal import say

if TYPE_CHECKING:
    from aiexp.compare.comparison import Comparison
    from aiexp.prediction.prediction import Prediction
    from aiexp.runs.loaded import LoadedRun
    from aiexp.task.base import Task

OUTPUTS = Path("outputs")


@final
class Run:
    """A run: its results at once, its trained task when it is asked for.

    Args:
        path: The run directory.
        step: Of the checkpoint to use; None: the best one, or the newest where there is none.

    Raises:
        CheckpointError: it is no run directory, or a damaged one.
        ConfigError: that is no path, or no step.
    """

    def __init__(self, path: str | Path, step: int | None = None) -> None:
        check_type(path, (str, Path), "the path of a run", "aiexp.load")
        check_type(step, (int, type(None)), "step=N", "aiexp.load")
        self.directory = RunDirectory.open(Path(path).expanduser())
        self.path = self.directory.path
        self._step = step

    def __repr__(self) -> str:
        record = read_record(self.path)
        name = headline(record)
        judged = f", {name} {record.metrics[name]:.4g}" if name else ""
        return f"<aiexp run of {record.task}, {self.state}{judged}: {self.path}>"

    @cached_property
    def config(self) -> dict[str, Any]:
        """As it was trained."""
        return self.directory.read_config()

    @property
    def state(self) -> str:
        """How far it is: "running", "finished", "died", ..."""
        return str(actual_state(read_record(self.path)))

    @property
    def test(self) -> dict[str, float]:
        """The metrics on the test split, without prefix."""
        metrics = read_record(self.path).metrics
        return {name.removeprefix("test/"): v for name, v in metrics.items() if name.startswith("test/")}

    @property
    def figures(self) -> dict[str, Path]:
        """Pictures and tables by name: `{"test/confusion_step-00001234.png": ...}`."""
        folder = self.path / FIGURES
        return {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}

    def metrics(self) -> Any:
        """What was logged, a row for each step: a pandas DataFrame, without pandas arrays by name."""
        rows: dict[int, dict[str, float]] = {}
        for line in read_metrics(self.path / METRICS):
            rows.setdefault(int(line["step"]), {}).update({k: v for k, v in line.items() if k != "step"})
        try:
            import pandas
        except ImportError:
            import numpy as np

            names = dict.fromkeys(name for row in rows.values() for name in row)
            columns = {name: [row.get(name, np.nan) for row in rows.values()] for name in names}
            return {name: np.array(values) for name, values in {"step": list(rows), **columns}.items()}
        return pandas.DataFrame.from_dict(rows, orient="index").rename_axis("step")

    @cached_property
    def loaded(self) -> "LoadedRun":
        """The trained task with what it runs on; neither the data nor the pretrained model need be there.

        Raises:
            AiexpError: as of `load_run`.
        """
        from aiexp.runs.loaded import load_run

        return load_run(self.path, step=self._step, say=say)

    @property
    def task(self) -> "Task":
        """The trained task, a `torch.nn.Module` in evaluation mode."""
        return self.loaded.task

    def predict(
        self, values: Sequence[Any] | str | None = None, *, batch_size: int = 32, **settings: Any
    ) -> "list[Prediction]":
        """The answers of the task to values, in their order.

        Args:
            values: Texts, paths or bytes of pictures, arrays, seeds, ...: what the task takes; one text or
                path alone is one value; None for tasks that need none, such as those that sample.
            batch_size: Values in a batch.
            settings: Of the kind of inputs: `count`, `seed`, `support`, `direction`.

        Raises:
            DataError: a value cannot be used; it says which.
            ConfigError: an unknown setting, values that are no list, or a task that predicts nothing.
        """
        from aiexp.use.predicting import predictions
        from aiexp.use.reading import Item, named

        check_type(values, (Iterable, Path, type(None)), "a list of values", "Run.predict")
        if not isinstance(batch_size, int) or batch_size < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"batch_size is {batch_size!r}", where="Run.predict", fix="a number from 1 on")
        inputs = self.task.inputs()
        inputs.configure(**settings)
        made = inputs.made()
        if values is None and made is None:
            raise ConfigError(f"nothing to predict from: {inputs.noun} is wanted", where="Run.predict")
        given = [values] if isinstance(values, str | bytes | Path) else values
        items = (
            named(made or ())
            if given is None
            else (Item(f"value {number}", value) for number, value in enumerate(given))
        )
        results: list[Prediction] = []
        for answer in predictions(self.loaded, inputs, items, batch_size=batch_size):
            if isinstance(answer.result, AiexpError):
                raise DataError(answer.result.what, where=answer.name, fix=answer.result.fix)
            results.append(answer.result)
        return results


def load(path: str | Path, step: int | None = None) -> Run:
    """A run that there is, by its directory.

    Raises:
        CheckpointError: as of `Run`.
    """
    return Run(path, step)


def run(*words: str, config_dir: str | None = None) -> Run:
    """Trains what `aiexp run` with these words would train, in this process.

    Args:
        words: "task=mnist_cnn", "seed=1", ...
        config_dir: One more folder of options.

    Raises:
        AiexpError: what the command would refuse or fail with; `Stopped` after an interrupt.
    """
    check_words(words, "aiexp.run")
    from aiexp.config.compose import compose
    from aiexp.run import run as run_composed

    made: list[RunDirectory] = []
    code = run_composed(compose(list(words), config_dir=config_dir), tell=made.append)
    if code:
        raise AiexpError(f"the run has ended with exit code {code}", where=str(made[0].path))
    return Run(made[0].path)


def runs(*words: str, outputs: str | Path = OUTPUTS) -> list[Run]:
    """The runs that there are, newest first.

    Args:
        words: Filters as of `aiexp runs`: "task=mnist_cnn", "seed=0,1", "state=finished".
        outputs: The folder that holds them.

    Raises:
        ConfigError: a filter names nothing that there is.
    """
    check_words(words, "aiexp.runs")
    from aiexp.runs.filter import check_filters, split_words

    filters, paths = split_words(words)
    records = find_runs(paths or [Path(outputs)])
    check_filters(filters, records)
    states = {record.path: actual_state(record) for record in records}
    chosen = [r for r in records if all(f.accepts(r, states[r.path]) for f in filters)]
    return [Run(record.path) for record in sorted(chosen, key=started_at, reverse=True)]


def compare(
    *runs: Run | str | Path,
    by: str | None = None,
    metric: str | None = None,
) -> "Comparison":
    """Which runs are better, and how sure that is: groups with intervals, differences, sentences.

    Args:
        runs: Runs, or folders of some; none for all in outputs.
        by: A config key to group them by; None: by all that differs but the seed.
        metric: Its name; None: the one the tasks are judged by.

    Raises:
        ConfigError: no such key or metric.
        DataError: there is nothing to compare.
    """
    from aiexp.compare.compare import compare as compare_records

    for run in runs:
        check_type(run, (Run, str, Path), "a run or a path", "aiexp.compare")
    paths = [run.path if isinstance(run, Run) else Path(run) for run in runs] or [OUTPUTS]
    records = find_runs(paths, is_sealed=True)
    if not records:
        raise DataError("no runs found", where=", ".join(map(str, paths)))
    return compare_records(records, by=by, metric=metric)


def check_words(words: Sequence[Any], where: str) -> None:
    """Raises `ConfigError` for one that is no text."""
    for word in words:
        check_type(word, (str,), '"KEY=VALUE"', where)


def check_type(value: object, kinds: tuple[type, ...], wanted: str, where: str) -> None:
    """Raises `ConfigError` for a value of another type than is wanted: a notebook has no type checker."""
    if not isinstance(value, kinds) or isinstance(value, bool):
        raise ConfigError(f"this is a {type(value).__name__}, and {wanted} is wanted", where=where)
