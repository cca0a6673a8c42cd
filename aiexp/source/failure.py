"""Why one source did not work; `fetch` collects these and goes on to the next source."""


class SourceFailed(Exception):
    """One source could not give what was asked; the text is the reason, without the source's name."""
