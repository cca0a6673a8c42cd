"""One thing wrong with a config, before it is known where it was written."""

from dataclasses import dataclass

from aiexp.errors import AiexpError, ConfigError, ConfigErrors, SecurityError


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One thing wrong with a config.

    Args:
        key: Dotted key it concerns: `task.optimizer.lr`.
        what: A sentence naming the value.
        fix: What to type, or what is allowed.
        is_refusal: Whether it is refused for security (exit 10, not 2).
    """

    key: str
    what: str
    fix: str = ""
    is_refusal: bool = False

    def error(self, where: str) -> AiexpError:
        """The error to show, given where the key was written."""
        kind = SecurityError if self.is_refusal else ConfigError
        return kind(self.what, where=where, fix=self.fix)


def raise_all(errors: list[AiexpError]) -> None:
    """Raises the one error, or all of them together, refusals first; nothing when there is none."""
    unique = list({e.line(): e for e in errors}.values())
    unique.sort(key=lambda e: -e.exit_code)
    if len(unique) == 1:
        raise unique[0]
    if unique:
        raise ConfigErrors(unique)
