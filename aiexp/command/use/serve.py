"""`aiexp serve RUN...`: a trained task behind HTTP."""

import os
from pathlib import Path

from aiexp.command.flags import TRUST, Flag, Flags
from aiexp.errors import HardwareError
from aiexp.listening import port_of
from aiexp.text.terminal import say

ENGINES = ("eager", "onnx")
HELP = """\
usage: aiexp serve RUN... [flags]

Answers over HTTP what the tasks of runs say: JSON in and out, a page to try
it in a browser. Requests that come at the same time are answered together.
Ctrl-C ends it, after the requests under way. There is no authentication:
other machines are let in only with --allow-remote.

  aiexp serve outputs/latest
  curl http://127.0.0.1:8000/predict -H 'content-type: application/json' \\
      -d '{"inputs": ["a film to remember"]}'

  /               a page to try it        /runs      the runs, what they take
  /predict        answers, of one run     /health    whether it answers
  /runs/NAME/predict    of several        /metrics   numbers for Prometheus
  /explain        why one input is answered so; also /runs/NAME/explain
  /docs           the addresses, as OpenAPI (also /openapi.json)
"""
FLAGS = Flags(
    "serve",
    Flag("--port", "where it listens (8000); 0 takes any that is free", value="N"),
    Flag("--host", "where it listens (127.0.0.1)", value="HOST"),
    Flag("--allow-remote", "let other machines in; anyone who reaches it can use it"),
    Flag("--follow", "RUN is a link that moves (outputs/latest): change over once the new run has finished"),
    Flag(
        "--engine",
        "what computes the network: torch (eager), or ONNX Runtime on the CPU (onnx), exported at the start",
        choices=ENGINES,
    ),
    TRUST,
)  # fmt: skip

ENVIRONMENT = {  # is read when torch is imported
    # Threads of torch that wait for work would spin on the core that reads requests: 1.7 against 1.3 ms of
    # processor time for a request of mnist_cnn.
    "GOMP_SPINCOUNT": "0",
    # Batches have every size and length, and oneDNN keeps what it makes for each: with 4096 of them MiniLM
    # grew by 116 MB in 4 minutes of full load, and had not ended (scripts/bench/serving.py --minutes 4). 16
    # cost no time: 846 and 102 requests/s of mnist_cnn and MiniLM, with 4096 718 and 92 (--clients 32).
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "16",
}


def main(argv: list[str]) -> int:
    """Serves; returns its exit code."""
    words, flags = FLAGS.parse(argv)
    if not words:
        from aiexp.command.help import lacks_words

        return lacks_words("serve")
    port = port_of(flags.get("port", "8000"))
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        from aiexp.use.serving.serving import serve_runs
    except ImportError as error:
        raise HardwareError(
            f"serving needs {error.name}, which is not installed", fix="pip install 'aiexp[serve]'"
        ) from error
    return serve_runs(
        [Path(word) for word in words],
        host=flags.get("host", "127.0.0.1"),
        port=port,
        allow_remote="allow-remote" in flags,
        follow="follow" in flags,
        engine=flags.get("engine", ENGINES[0]),
        say=say,
    )
