"""Runs served from the first line to the last: loaded, behind a socket, followed, ended."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from aiexp.listening import address_of, bound, checked_host, own_hosts
from aiexp.runs.loaded import load_run
from aiexp.use.serving.application import make_app
from aiexp.use.serving.batcher import Model
from aiexp.use.serving.engine import EAGER, use_onnx
from aiexp.use.serving.follow import Follower, Watch
from aiexp.use.serving.limits import Limits, limits_for
from aiexp.use.serving.metrics import Metrics
from aiexp.use.serving.reasons import Reasons
from aiexp.use.serving.served import ServedRun, names_for
from aiexp.use.serving.server import make_server, serve

Say = Callable[[str], object]


def serve_runs(
    paths: Sequence[Path], *, host: str, port: int, allow_remote: bool, follow: bool, engine: str, say: Say
) -> int:
    """Serves runs until a signal ends it; returns the exit code.

    Args:
        paths: Of the runs.
        host: Where it listens.
        port: Where it listens; 0 for any that is free.
        allow_remote: Whether other machines may ask.
        follow: Whether runs are exchanged when `paths` that are links move.
        engine: One of `ENGINES`: what computes the networks of the tasks.
        say: Hears what there is to know.

    Raises:
        SecurityError: other machines could ask, and may not.
        ConfigError: the port cannot be had, or the engine cannot compute a task.
        AiexpError: a run cannot be loaded.
    """
    checked_host(host, allow_remote=allow_remote)

    def load(path: Path) -> Model:
        return load_model(path, engine, say)

    with ExitStack() as opened:
        socket = opened.enter_context(bound(host, port))
        served = open_runs(paths, [load(path) for path in paths], metrics := Metrics(), opened)
        if follow:
            opened.callback(Follower([Watch(one, load, say) for one in served]).close)
        app = make_app(served, metrics, None if allow_remote else own_hosts(host))
        for one in served:
            by = f", by {one.engine}" if engine != EAGER else ""
            say(f"serving   {one.name}: {one.run.directory.path.name}, step {one.run.step}{by}")
        say(f"address   {address_of(socket)} (Ctrl-C ends it)")
        return serve(make_server(app), socket)


def load_model(path: Path, engine: str, say: Say) -> Model:
    """A run, ready to answer by an engine."""
    if engine == EAGER:
        run = load_run(path, say=say)
        return Model(run, run.task.inputs())
    run = load_run(path, say=say, hardware={"device": "cpu"})
    inputs = run.task.inputs()
    largest = use_onnx(run)
    say(f"{engine}      {run.directory.path.name}: differs by at most {largest:.1e} on made-up inputs")
    return Model(run, inputs, engine)


def open_runs(
    paths: Sequence[Path], models: Sequence[Model], metrics: Metrics, opened: ExitStack
) -> list[ServedRun]:
    """Runs that answer, until `opened` is closed."""
    names = names_for([model.run for model in models])
    reasons = Reasons(Limits().explanations)
    opened.callback(reasons.close)
    served: list[ServedRun] = []
    for name, path, model in zip(names, paths, models, strict=True):
        limits = limits_for(model.inputs.schema)
        served.append(ServedRun(name, path, model, limits, metrics, reasons))
        opened.callback(served[-1].close)
    return served
