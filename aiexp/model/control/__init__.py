"""Networks that value actions."""
