"""A comparison as text: tables, Markdown, CSV, JSON and sentences."""
