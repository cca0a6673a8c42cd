"""MLflow: its run, how a run is described to it, and what waits while its server is away."""

from aiexp.tracker.mlflow.tracker import MlflowTracker as MlflowTracker
