"""Runs served from the first line to the last: loaded, behind a socket, followed, ended."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from aiexp.runs.loaded import load_run
from aiexp.use.serving.application import make_app
from aiexp.use.serving.batcher import Model
from aiexp.use.serving.follow import Follower, Watch
from aiexp.use.serving.limits import limits_for
from aiexp.use.serving.metrics import Metrics
from aiexp.use.serving.served import ServedRun, names_for
from aiexp.use.serving.server import address_of, bound, checked_host, make_server, own_hosts, serve

Say = Callable[[str], object]


def serve_runs(
    paths: Sequence[Path], *, host: str, port: int, allow_remote: bool, follow: bool, say: Say
) -> int:
    """Serves runs until a signal ends it; returns the exit code.

    Args:
        paths: Of the runs.
        host: Where it listens.
        port: Where it listens; 0 for any that is free.
        allow_remote: Whether other machines may ask.
        follow: Whether runs are exchanged when `paths` that are links move.
        say: Hears what there is to know.

    Raises:
        SecurityError: other machines could ask, and may not.
        ConfigError: the port cannot be had.
        AiexpError: a run cannot be loaded.
    """
    checked_host(host, allow_remote=allow_remote)

    def load(path: Path) -> Model:
        run = load_run(path, say=say)
        return Model(run, run.task.inputs())

    with ExitStack() as opened:
        socket = opened.enter_context(bound(host, port))
        served = open_runs(paths, [load(path) for path in paths], metrics := Metrics(), opened)
        if follow:
            opened.callback(Follower([Watch(one, load, say) for one in served]).close)
        app = make_app(served, metrics, None if allow_remote else own_hosts(host))
        for one in served:
            say(f"serving   {one.name}: {one.run.directory.path.name}, step {one.run.step}")
        say(f"address   {address_of(socket)} (Ctrl-C ends it)")
        return serve(make_server(app), socket)


def open_runs(
    paths: Sequence[Path], models: Sequence[Model], metrics: Metrics, opened: ExitStack
) -> list[ServedRun]:
    """Runs that answer, until `opened` is closed."""
    names = names_for([model.run for model in models])
    served: list[ServedRun] = []
    for name, path, model in zip(names, paths, models, strict=True):
        served.append(ServedRun(name, path, model, limits_for(model.inputs.schema), metrics))
        opened.callback(served[-1].close)
    return served
