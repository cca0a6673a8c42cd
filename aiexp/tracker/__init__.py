"""Followers of a run beside metrics.jsonl; mirrors conf/tracker."""
