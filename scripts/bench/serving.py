"""Requests a second and latencies of `aiexp serve` beside the same model in a plain FastAPI handler.

    .venv/bin/python scripts/bench/serving.py [--tasks mnist_cnn bert_finetune] [--seconds 5] [--rounds 3]
    .venv/bin/python scripts/bench/serving.py --sides aiexp --engine eager onnx --clients 1 32
    .venv/bin/python scripts/bench/serving.py --minutes 10      (memory and errors at full load instead)

Trains a short run of each task first, or takes --runs. Each server is a process of its own with the run's
threads; both stand there and are asked in turn by 1, 8 and 32 clients, each of which has one connection and
sends its next request when it has its answer. Requests have one input: a text of 4 to 40 words, a PNG of 28
pixels. "plain" is how FastAPI's own pages do it: a handler that is a `def`, which runs in a pool of threads;
"plain_async" is the same as an `async def`, one request after the other. The model, the reading of inputs
and the server's process (uvicorn) are the same. With `--engine eager onnx` our server stands there once for
each engine. `cpu_ms` is the processor time of the server for a request, which other programs disturb least.
Numbers are medians over the rounds.
"""

import argparse
import asyncio
import base64
import io
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

from side import USE, Claim, write_json

TRAINED = {
    "mnist_cnn": ["dataset.limit=2000", "trainer.epochs=1"],
    "bert_finetune": ["dataset.limit=200", "trainer.steps=4", "trainer.epochs=null"],
}
SIDES = ("aiexp", "plain", "plain_async")
ENGINES = ("eager", "onnx")
CLIENTS = (1, 8, 32)
WORDS = ("film", "story", "actor", "plot", "never", "always", "moving", "dull", "scene", "of", "and", "best")


def train(task: str, folder: Path) -> Path:
    """A short run; how good it is does not matter here."""
    command = [sys.executable, "-m", "aiexp", "run", f"task={task}", "tracker=none", *TRAINED[task]]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return (folder / "outputs" / "latest").resolve()


def bodies(task: str, count: int = 200) -> list[bytes]:
    """Requests of one input each, the same for every side."""
    chooser = random.Random(0)
    if task == "mnist_cnn":
        return [
            json.dumps({"inputs": [base64.b64encode(digit(chooser)).decode()]}).encode() for _ in range(count)
        ]
    texts = [" ".join(chooser.choices(WORDS, k=chooser.randint(4, 40))) for _ in range(count)]
    return [json.dumps({"inputs": [text]}).encode() for text in texts]


def digit(chooser: random.Random) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.frombytes("L", (28, 28), chooser.randbytes(784)).save(file, "PNG")
    return file.getvalue()


def serve_plainly(path: Path, side: str) -> None:
    """A handler as one writes it by hand; prints the address."""
    import uvicorn
    from fastapi import FastAPI
    from pydantic import BaseModel

    from aiexp.listening import address_of, bound
    from aiexp.runs.loaded import load_run
    from aiexp.use.predicting import predict_batch

    run = load_run(path)
    inputs = run.task.inputs()
    is_file = "contentEncoding" in inputs.schema
    app = FastAPI()

    class Body(BaseModel):
        inputs: list[str]

    def answer(texts: list[str]) -> Any:
        values = [base64.b64decode(text) for text in texts] if is_file else texts
        predictions = predict_batch(run, inputs, inputs.prepare(values))
        return {"predictions": [prediction.values for prediction in predictions]}

    if side == "plain":

        @app.post("/predict")
        def predict(body: Body) -> Any:
            return answer(body.inputs)
    else:

        @app.post("/predict")
        async def predict(body: Body) -> Any:
            return answer(body.inputs)

    socket = bound("127.0.0.1", 0)
    print("address", address_of(socket), file=sys.stderr, flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False)).run([socket])


class Served:
    """A server as a process."""

    def __init__(self, side: str, run: Path, engine: str = "") -> None:
        ours = ["-m", "aiexp", "serve", str(run), "--port", "0", "--engine", engine]
        command = ours if engine else [__file__, "--worker", side, "--runs", str(run)]
        self.process = subprocess.Popen([sys.executable, *command], stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        said: list[str] = []
        for line in self.process.stderr:
            said.append(line)
            if found := re.search(r"address\s+(http\S+)", line):
                self.address = urlsplit(found[1])
                break
        else:
            raise SystemExit("".join(said))
        threading.Thread(target=self.process.stderr.read, daemon=True).start()
        while True:
            try:
                urlopen(f"{self.address.geturl()}/openapi.json").read()
                break
            except OSError:
                time.sleep(0.05)

    def memory(self) -> float:
        """MB that are its own."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon"))

    def cpu_seconds(self) -> float:
        """Processor time that it has taken."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> int:
        self.process.terminate()
        return self.process.wait()


class Client(asyncio.Protocol):
    """One connection that always waits for one answer."""

    def __init__(self, requests: list[bytes], first: int, until: float, seen: "Seen") -> None:
        self.requests, self.next, self.until, self.seen = requests, first, until, seen
        self.buffer, self.ended = b"", asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.send()

    def send(self) -> None:
        self.next = (self.next + 1) % len(self.requests)
        self.buffer, self.began = b"", time.perf_counter()
        self.transport.write(self.requests[self.next])

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, body = self.buffer.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE) if found else None
        if length is None or len(body) < int(length[1]):
            return
        now = time.perf_counter()
        self.seen.seconds.append(now - self.began)
        self.seen.errors += not head.startswith(b"HTTP/1.1 200")
        if now < self.until:
            self.send()
        else:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if time.perf_counter() < self.until:
            self.seen.errors += 1
        self.ended.set_result(None)


class Seen:
    """What clients have seen."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.errors = 0


async def load(served: Served, requests: list[bytes], num_clients: int, seconds: float) -> Seen:
    """The given number of clients at work for so long."""
    seen, loop = Seen(), asyncio.get_running_loop()
    until = time.perf_counter() + seconds
    clients: list[Client] = []
    for number in range(num_clients):
        client = Client(requests, number * 7, until, seen)
        clients.append(client)
        await loop.create_connection(
            lambda client=client: client, served.address.hostname, served.address.port
        )
    await asyncio.gather(*(client.ended for client in clients))
    return seen


def measure(served: Served, requests: list[bytes], num_clients: int, seconds: float) -> dict[str, float]:
    asyncio.run(load(served, requests, num_clients, min(seconds / 4, 1.0)))
    began, spent = time.perf_counter(), served.cpu_seconds()
    seen = asyncio.run(load(served, requests, num_clients, seconds))
    rate = len(seen.seconds) / (time.perf_counter() - began)
    spent = served.cpu_seconds() - spent
    cuts = statistics.quantiles(seen.seconds, n=100)
    return {
        "requests_per_second": rate,
        "p50_ms": cuts[49] * 1e3,
        "p99_ms": cuts[98] * 1e3,
        "cpu_ms": spent / len(seen.seconds) * 1e3,
        "errors": seen.errors,
    }


def compare(run: Path, requests: list[bytes], given: argparse.Namespace) -> dict[str, Any]:
    """Every side with every number of clients, in turn."""
    sides = {side: Served(side, run) for side in given.sides if side != "aiexp"}
    if "aiexp" in given.sides:
        sides |= {f"aiexp {engine}": Served("aiexp", run, engine) for engine in given.engine}
    result: dict[str, Any] = {}
    for num_clients in given.clients:
        rounds: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
        for number in range(given.rounds):
            order = list(sides.items())
            for side, served in order if number % 2 else order[::-1]:
                rounds[side].append(measure(served, requests, num_clients, given.seconds))
        row = {
            side: {name: statistics.median(r[name] for r in its) for name in its[0]}
            for side, its in rounds.items()
        }
        result[str(num_clients)] = row
        for side, its in row.items():
            print(
                f"  {num_clients:3} clients  {side:12} " + "  ".join(f"{n} {v:.1f}" for n, v in its.items()),
                flush=True,
            )
    for served in sides.values():
        served.close()
    return result


def last_long(run: Path, requests: list[bytes], given: argparse.Namespace) -> dict[str, Any]:
    """Full load for minutes: errors, and memory after a tenth of the time and at the end."""
    served = Served("aiexp", run, given.engine[0])
    errors, answered, memory = 0, 0, [served.memory()]
    end = time.monotonic() + given.minutes * 60
    while time.monotonic() < end:
        seen = asyncio.run(load(served, requests, max(given.clients), given.minutes * 6))
        errors, answered = errors + seen.errors, answered + len(seen.seconds)
        memory.append(served.memory())
    code = served.close()
    growth = max(memory[2:]) - memory[1]
    print(f"  {answered:,} answers, {errors} errors, exit {code}, grew {growth:.1f} MB: {memory}")
    return {"answers": answered, "errors": errors, "memory_mb": memory, "growth_mb": growth}


def claims(result: dict[str, Any]) -> list[Claim]:
    """For `docs/benchmarks.md`."""
    found: list[Claim] = []
    for task in (name for name in TRAINED if name in result):
        if "answers" in (long := result[task]):  # of --minutes
            measured = f"{long['answers']:,} answers, {long['errors']} errors, {long['growth_mb']:+.1f} MB"
            found.append(Claim(field=USE, what=f"`aiexp serve`, {task} at full load", measured=measured))
            continue
        for clients, sides in result[task].items():
            ours, plain = sides["aiexp eager"], sides["plain"]
            ratio = ours["requests_per_second"] / plain["requests_per_second"]
            what = (
                f"`aiexp serve`, {task}, {clients} client{'s' * (clients != '1')}, against a FastAPI handler"
            )
            measured = (
                f"{ours['requests_per_second']:.0f} against {plain['requests_per_second']:.0f} requests/s, "
                f"{ratio:.1f}x; p50 {ours['p50_ms']:.0f} against {plain['p50_ms']:.0f} ms, "
                f"p99 {ours['p99_ms']:.0f} against {plain['p99_ms']:.0f} ms"
            )
            is_goal = clients == "32"
            found.append(
                Claim(
                    field=USE,
                    what=what,
                    measured=measured,
                    goal="2x" if is_goal else "",
                    is_met=ratio >= 2 if is_goal else None,
                )
            )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", nargs="+", choices=TRAINED, default=list(TRAINED))
    parser.add_argument(
        "--runs", nargs="+", type=Path, help="run directories for them; default: trains short ones"
    )
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--engine", nargs="+", choices=ENGINES, default=["eager"], help="of the side aiexp")
    parser.add_argument("--clients", nargs="+", type=int, default=list(CLIENTS))
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=0.0, help="full load for so long instead")
    parser.add_argument("--json", type=Path, help="write the numbers here")
    parser.add_argument("--worker", choices=SIDES, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        serve_plainly(given.runs[0], given.worker)
        return
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, task in enumerate(given.tasks):
            run = given.runs[number] if given.runs else train(task, Path(folder))
            print(task, flush=True)
            requests = [
                b"POST /predict HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
                b"content-length: %d\r\n\r\n%s" % (len(body), body)
                for body in bodies(task)
            ]
            result[task] = (last_long if given.minutes else compare)(run.resolve(), requests, given)
    write_json(given.json, result, "fastapi", "uvicorn")


if __name__ == "__main__":
    main()
