"""MLflow."""

from aiexp.tracker.mlflow.tracker import MlflowTracker as MlflowTracker
