"""The addresses of a server: predictions, explanations, what there is, health, metrics, the page."""

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from aiexp import __version__
from aiexp.use.serving.docs import docs
from aiexp.use.serving.metrics import Metrics
from aiexp.use.serving.page import headers, page
from aiexp.use.serving.payload import described, described_why
from aiexp.use.serving.refusal import Refusal, json_response
from aiexp.use.serving.served import ServedRun

Respond = Callable[[Request], Awaitable[Response]]

TITLE = "aiexp serve"
TEXT = "What trained tasks say of new inputs. `GET /runs` says which there are and what they take."


def make_app(served: Sequence[ServedRun], metrics: Metrics, hosts: frozenset[str] | None = None) -> FastAPI:
    """The application.

    Args:
        served: The runs; the first also answers at `/predict`.
        metrics: Of the server.
        hosts: Names under which it may be addressed, in lower case; None for any.
    """
    # The pages of FastAPI load scripts from elsewhere.
    app = FastAPI(title=TITLE, version=__version__, description=TEXT, docs_url=None, redoc_url=None)
    if hosts is not None:
        app.add_middleware(OwnHosts, hosts=hosts)
    for number, one in enumerate(served):
        for start in [f"/runs/{one.name}"] if number else ["", f"/runs/{one.name}"]:
            app.router.add_api_route(
                f"{start}/predict", responder(one.predict), route_class_override=Direct, methods=["POST"],
                summary=f"ask {one.name}: {one.inputs.noun}",
                openapi_extra=described(one.inputs, one.limits.inputs), response_class=Response,
            )  # fmt: skip
            app.router.add_api_route(
                f"{start}/explain", responder(one.explain), route_class_override=Direct, methods=["POST"],
                summary=f"ask {one.name} why: {one.inputs.noun}", include_in_schema=not one.lacks,
                openapi_extra=described_why(one.inputs), response_class=Response,
            )  # fmt: skip

    @app.get(
        "/health", summary="whether it answers", responses={503: {"description": "a run no longer answers"}}
    )
    async def health() -> Response:
        dead = [one.name for one in served if not one.is_alive]
        return json_response({"status": "dead" if dead else "ok", "dead": dead}, 503 if dead else 200)

    @app.get("/runs", summary="the runs and what they take")
    async def runs() -> Response:
        return json_response({"runs": [listed(one) for one in served]})

    @app.get("/metrics", summary="numbers for Prometheus", response_class=Response)
    async def numbers() -> Response:
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/", include_in_schema=False)
    async def front() -> HTMLResponse:
        return HTMLResponse(page(), headers=headers())

    @app.get("/docs", include_in_schema=False)
    async def addresses() -> HTMLResponse:
        return HTMLResponse(docs(app.openapi()), headers=headers())

    return app


class Direct(APIRoute):
    """A route whose function takes the request, so that nothing looks for arguments in it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The function itself."""
        return self.endpoint


def responder(respond: Respond) -> Respond:
    """What FastAPI calls; it looks at the annotations, and takes a method's `self` for none."""

    async def called(request: Request) -> Response:
        return await respond(request)

    return called


def listed(one: ServedRun) -> dict[str, Any]:
    """What `/runs` says of a run; nothing about where it lies on this machine."""
    return {
        "name": one.name,
        "run": one.run.directory.path.name,
        "step": one.run.step,
        "input": one.inputs.noun,
        "schema": one.inputs.schema,
        "settings": dict(one.inputs.remote_options),
        "engine": one.engine,
        "explains": not one.lacks,
        "most_inputs": one.limits.inputs,
        "most_bytes": one.limits.bytes,
    }


class OwnHosts:
    """Sends away requests that are addressed to another host.

    A page of the web could make a browser here ask its own name, let that name mean this machine ("DNS
    rebinding"), and read the answers; then the request still bears its name.

    Args:
        app: What comes after.
        hosts: Names that are this server's.
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, or not."""
        if scope["type"] != "http" or self._is_own(scope):
            await self._app(scope, receive, send)
            return
        refusal = Refusal(400, "the request is addressed to another host: this one takes no remote ones")
        await refusal.response()(scope, receive, send)

    def _is_own(self, scope: Scope) -> bool:
        host = dict(scope["headers"]).get(b"host", b"").decode("latin-1").lower()
        name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
        return name in self._hosts
