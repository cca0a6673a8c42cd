"""Layers that torch has too, faster or more exact here. Any network may use them; they know no network."""
