"""Followers of a run beside metrics.jsonl; mirrors conf/tracker. base.py has the contract.

Here belongs each service's own client. A tracker may fail or hang; the run does neither (guard.py).
"""
