"""A W&B server on loopback that the real client (wandb 0.31) accepts.

    with FakeWandb() as server:
        ...                                  # run code with server.env()
        server.runs["id"].history            # rows as the client sent them

Faults: `fail = 500` answers everything with that status, `fail_uploads = 401` only the data,
`is_hanging = True` answers nothing, `close()` makes the port refuse connections.
"""

import base64
import gzip
import itertools
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import yaml

GOOD_KEY = "local-" + "a" * 40
BAD_KEY = "local-" + "b" * 40
OPERATION = re.compile(r"\s*(?:#graphql\s*)?(?:query|mutation)\s+(\w+)")


@dataclass
class FakeRun:
    """One run as the server knows it."""

    id: str
    fields: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    console: list[str] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    exit_code: int | None = None

    @property
    def config(self) -> dict[str, Any]:
        """The run's config without W&B's own entry."""
        config = json.loads(self.fields.get("config") or "{}")
        return {key: entry["value"] for key, entry in config.items() if key != "_wandb"}

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The history without W&B's own columns."""
        return [{k: v for k, v in row.items() if not k.startswith("_")} for row in self.history]


class FakeWandb:
    """The server; a context manager that listens on a free port."""

    def __init__(self) -> None:
        self.runs: dict[str, FakeRun] = {}
        self.artifacts: dict[str, dict[str, Any]] = {}
        self.sweeps: dict[str, dict[str, Any]] = {}
        self.agents: dict[str, str] = {}
        self.requests: list[str] = []
        self.unknown: list[str] = []
        self.fail, self.fail_uploads, self.is_hanging = 0, 0, False
        self.hang_after: str | None = None
        self.lock, self.released = threading.RLock(), threading.Event()
        self.http = Server(("127.0.0.1", 0), make_handler(self))
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def __enter__(self) -> "FakeWandb":
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Stops listening and drops what hangs."""
        self.released.set()
        self.http.shutdown()
        self.http.server_close()

    def env(self, key: str = GOOD_KEY) -> dict[str, str]:
        """What a client needs to find this server."""
        return {"WANDB_BASE_URL": self.url, "WANDB_API_KEY": key}

    def answer(self, method: str, path: str, key: str | None, body: bytes) -> tuple[int, Any]:
        """Status and JSON value (or bytes) for one request."""
        self.requests.append(f"{method} {path}")
        is_data = path.endswith("/file_stream") or path.startswith("/storage/")
        if self.fail or (self.fail_uploads and is_data):
            return self.fail or self.fail_uploads, {"error": "the fake server fails on purpose"}
        if path == "/graphql":
            return self.graphql(json.loads(body), key)
        if path.endswith("/file_stream"):
            self.receive_rows(path.split("/")[-2], json.loads(body))
        elif path.startswith("/storage/run/"):
            _, _, _, run_id, name = path.split("/", 4)
            self.run(run_id).files[name] = body
        return 200, {}

    def graphql(self, query: dict[str, Any], key: str | None) -> tuple[int, Any]:
        """Answers one operation by the method named after it."""
        if key == BAD_KEY:
            return 401, {"errors": [{"message": "user is not logged in", "path": ["viewer"]}]}
        found = OPERATION.match(query.get("query", ""))
        name = query.get("operationName") or (found[1] if found else "?")
        self.requests[-1] = name
        operation = getattr(self, f"on_{name}", None)
        if operation is None:
            self.unknown.append(f"{name}: {query.get('query', '')[:500]}")
            return 200, {"data": {}, "errors": [{"message": f"the fake server has no {name}"}]}
        return 200, {"data": operation(query.get("variables") or {})}

    def run(self, run_id: str) -> FakeRun:
        """The run with this id, made on first use."""
        return self.runs.setdefault(run_id, FakeRun(run_id))

    def receive_rows(self, run_id: str, data: dict[str, Any]) -> None:
        """The file stream: lines of history, summary, events and console, each from an offset on."""
        run = self.run(run_id)
        for name, part in (data.get("files") or {}).items():
            offset, lines = part.get("offset") or 0, part.get("content") or []
            if name == "wandb-history.jsonl":
                run.history[offset:] = [json.loads(line) for line in lines]
            elif name == "wandb-events.jsonl":
                run.events[offset:] = [json.loads(line) for line in lines]
            elif name == "output.log":
                run.console[offset:] = lines
            elif name == "wandb-summary.json" and lines:
                run.summary = json.loads(lines[-1])
        if data.get("complete"):
            run.exit_code = data.get("exitcode")

    # GraphQL operations, by the names the client uses.

    def on_Viewer(self, values: dict[str, Any]) -> dict[str, Any]:
        viewer = {"id": "u1", "entity": "me", "username": "me", "email": "me@x.invalid", "flags": "{}"}
        return {"viewer": viewer | {"teams": {"edges": []}, "teams_": None}}

    def on_ServerFeaturesQuery(self, values: dict[str, Any]) -> dict[str, Any]:
        return {"serverInfo": {"features": []}}

    def on_OrganizationCoreWeaveOrganizationID(self, values: dict[str, Any]) -> dict[str, Any]:
        return {"entity": {"organization": None}}

    def on_RunStoppedStatus(self, values: dict[str, Any]) -> dict[str, Any]:
        return {"project": {"run": {"stopped": False}}}

    def on_UpsertBucket(self, values: dict[str, Any]) -> dict[str, Any]:
        is_new = values.get("name") not in self.runs
        run = self.run(values.get("name") or f"server{len(self.runs)}")
        run.fields.update({key: value for key, value in values.items() if value is not None})
        bucket = {
            "id": base64.b64encode(run.id.encode()).decode(),
            "name": run.id,
            "displayName": run.fields.get("displayName") or run.id,
            "description": "",
            "config": run.fields.get("config"),
            "sweepName": run.fields.get("sweep"),
            "historyLineCount": len(run.history),
            "project": {
                "id": "p1",
                "name": values.get("project") or "uncategorized",
                "entity": {"id": "e1", "name": values.get("entity") or "me"},
            },
        }
        return {"upsertBucket": {"bucket": bucket, "inserted": is_new}}

    def on_RunResumeStatus(self, values: dict[str, Any]) -> dict[str, Any]:
        run, bucket = self.runs.get(values["name"]), None
        if run:
            bucket = {
                "id": "b",
                "name": run.id,
                "displayName": run.fields.get("displayName") or run.id,
                "summaryMetrics": json.dumps(run.summary),
                "config": run.fields.get("config") or "{}",
                "tags": run.fields.get("tags") or [],
                "notes": "",
                "logLineCount": len(run.console),
                "historyLineCount": len(run.history),
                "eventsLineCount": len(run.events),
                "historyTail": json.dumps([json.dumps(row) for row in run.history[-1:]]),
                "eventsTail": "[]",
                "wandbConfig": json.dumps({"t": 1}),
            }
        entity = {"id": "e1", "name": "me"}
        return {"model": {"id": "m", "name": values.get("project"), "entity": entity, "bucket": bucket}}

    def on_CreateRunFiles(self, values: dict[str, Any]) -> dict[str, Any]:
        where = f"{self.url}/storage/run/{values['run']}"
        files = [{"name": name, "uploadUrl": f"{where}/{name}"} for name in values["files"]]
        return {"createRunFiles": {"runID": values["run"], "uploadHeaders": [], "files": files}}

    def on_MarkRunFilesUploaded(self, values: dict[str, Any]) -> dict[str, Any]:
        return {"markRunFilesUploaded": {"success": True}}

    def on_ArtifactType(self, values: dict[str, Any]) -> dict[str, Any]:
        return {"project": {"artifact": None}}

    def on_CreateArtifact(self, values: dict[str, Any]) -> dict[str, Any]:
        artifact_id = f"artifact{len(self.artifacts)}"
        self.artifacts[artifact_id] = dict(values["input"], files=[], state="PENDING")
        sequence = {"latestArtifact": None}
        artifact = {"id": artifact_id, "state": "PENDING", "artifactSequence": sequence}
        return {"createArtifact": {"artifact": artifact}}

    def manifest(self, artifact_id: str) -> dict[str, Any]:
        """Where the client puts an artifact's manifest."""
        url = f"{self.url}/storage/manifest/{artifact_id}"
        return {"id": f"mf-{artifact_id}", "file": {"id": "f", "uploadUrl": url, "uploadHeaders": []}}

    def on_CreateArtifactManifest(self, values: dict[str, Any]) -> dict[str, Any]:
        return {"createArtifactManifest": {"artifactManifest": self.manifest(values["artifactID"])}}

    def on_UpdateArtifactManifest(self, values: dict[str, Any]) -> dict[str, Any]:
        manifest = self.manifest(values["artifactManifestID"].removeprefix("mf-"))
        return {"updateArtifactManifest": {"artifactManifest": manifest}}

    def on_CreateArtifactFiles(self, values: dict[str, Any]) -> dict[str, Any]:
        edges: list[dict[str, Any]] = []
        for spec in values.get("artifactFiles") or values["input"]["artifactFiles"]:
            artifact_id, name = spec["artifactID"], spec["name"]
            self.artifacts[artifact_id]["files"].append(name)
            node = {
                "storagePath": name,
                "uploadUrl": f"{self.url}/storage/artifact/{artifact_id}/{name}",
                "uploadHeaders": [],
                "uploadMultipartUrls": None,
                "artifact": {"id": artifact_id},
            }
            edges.append({"node": node})
        return {"createArtifactFiles": {"files": {"edges": edges}}}

    def on_CommitArtifact(self, values: dict[str, Any]) -> dict[str, Any]:
        artifact = self.artifacts[values["artifactID"]]
        artifact["state"] = "COMMITTED"
        return {
            "commitArtifact": {"artifact": {"id": values["artifactID"], "digest": artifact.get("digest")}}
        }

    # Sweeps: a grid in the order of the file.

    def on_GetDefaultEntity(self, values: dict[str, Any]) -> dict[str, Any]:
        return {"viewer": {"id": "u1", "entity": "me"}}

    def on_UpsertSweep(self, values: dict[str, Any]) -> dict[str, Any]:
        config = yaml.safe_load(values["config"])
        parameters: dict[str, Any] = config["parameters"]
        points = itertools.product(*(p.get("values", [p.get("value")]) for p in parameters.values()))
        name = f"sweep{len(self.sweeps)}"
        self.sweeps[name] = {
            "config": config,
            "todo": [dict(zip(parameters, p, strict=True)) for p in points],
        }
        project = {"id": "p1", "name": values["projectName"], "entity": {"id": "e1", "name": "me"}}
        return {"upsertSweep": {"sweep": {"name": name, "project": project}, "configValidationWarnings": []}}

    def on_SweepWithRuns(self, values: dict[str, Any]) -> dict[str, Any]:
        name = values["sweep"]
        empty = (
            "description",
            "createdAt",
            "heartbeatAt",
            "updatedAt",
            "bestLoss",
            "controller",
            "scheduler",
        )
        sweep: dict[str, Any] = dict.fromkeys(empty) | {
            "id": name, "name": name, "method": "grid", "state": "RUNNING", "earlyStopJobRunning": False,
            "config": json.dumps(self.sweeps[name]["config"]), "runs": {"edges": []},
        }  # fmt: skip
        return {"project": {"sweep": sweep}}

    def on_CreateAgent(self, values: dict[str, Any]) -> dict[str, Any]:
        self.agents["agent0"] = values["sweep"]
        return {"createAgent": {"agent": {"id": "agent0"}}}

    def on_Heartbeat(self, values: dict[str, Any]) -> dict[str, Any]:
        todo = self.sweeps[self.agents[values["id"]]]["todo"]
        commands: list[dict[str, Any]] = []
        if not any(json.loads(values["runState"] or "{}").values()):
            commands = [{"type": "exit"}]
            if todo:
                arguments = {name: {"value": value} for name, value in todo.pop(0).items()}
                run_id = f"agentrun{len(todo)}"
                commands = [
                    {"type": "run", "id": len(todo), "run_id": run_id, "args": arguments, "program": None}
                ]
        return {"agentHeartbeat": {"agent": {"id": values["id"]}, "commands": json.dumps(commands)}}


class Server(ThreadingHTTPServer):
    """The listening socket."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing: the client drops idle connections."""


def make_handler(fake: FakeWandb) -> type[BaseHTTPRequestHandler]:
    """The request handler class bound to `fake`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            pass

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            if fake.is_hanging or (fake.hang_after and fake.hang_after in fake.requests):
                fake.released.wait(60)
                return
            with fake.lock:
                path = self.path.split("?")[0]
                status, value = fake.answer(self.command, path, self.key(), body)
            content = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def key(self) -> str | None:
            kind, _, value = (self.headers.get("Authorization") or "").partition(" ")
            return base64.b64decode(value).decode().partition(":")[2] if kind == "Basic" else None

        do_GET = do_POST = do_PUT = do_HEAD = handle_any

    return Handler
