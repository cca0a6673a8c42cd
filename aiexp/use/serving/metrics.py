"""What a server counts, for Prometheus."""

from typing import final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
SIZES = (1, 2, 4, 8, 16, 32, 64)


@final
class Metrics:
    """The numbers of one server, in a registry of its own."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.requests = Counter(
            "aiexp_requests", "Requests for predictions", ["run", "status"], registry=registry
        )
        self.explanations = Counter(
            "aiexp_explanations", "Requests for explanations", ["run", "status"], registry=registry
        )
        self.inputs = Counter("aiexp_inputs", "Inputs answered", ["run"], registry=registry)
        self.seconds = Histogram(
            "aiexp_request_seconds",
            "From its head to its answer",
            ["run"],
            buckets=SECONDS,
            registry=registry,
        )
        self.batches = Histogram(
            "aiexp_batch_inputs", "Inputs that a task got at once", ["run"], buckets=SIZES, registry=registry
        )
        self.waiting = Gauge("aiexp_waiting_requests", "Read or waiting", ["run"], registry=registry)
        self.step = Gauge(
            "aiexp_run_step", "Of the checkpoint that answers", ["run", "directory"], registry=registry
        )
        self.reloads = Counter(
            "aiexp_reloads", "Times that another run took over", ["run"], registry=registry
        )

    def text(self) -> bytes:
        """In the format of Prometheus."""
        return generate_latest(self.registry)
