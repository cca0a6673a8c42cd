"""What Optuna's CMA-ES keeps in a study is a pickle: checked before Optuna loads it from a resumed search."""

import io
import pickle
from typing import TYPE_CHECKING, Any

from aiexp.errors import SecurityError

if TYPE_CHECKING:
    from optuna import Study

PREFIX = "cma:optimizer:"
ALLOWED = {
    ("cmaes._cma", "CMA"), ("numpy", "dtype"), ("numpy", "ndarray"),
    ("numpy.core.multiarray", "_reconstruct"), ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "scalar"),
}  # fmt: skip


class _Strict(pickle.Unpickler):
    """Finds nothing but what the state of CMA-ES consists of."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """The class or function, if it is harmless."""
        if (module_name, global_name) not in ALLOWED:
            raise SecurityError(
                f"the study names '{module_name}.{global_name}' in what is to be the state of CMA-ES",
                where="study.journal", fix="resume only searches of your own",
            )  # fmt: skip
        return super().find_class(module_name, global_name)


def check_states(study: "Study") -> None:
    """Refuses a study whose pickles would run code.

    Raises:
        SecurityError: a pickle names anything but arrays and the optimizer.
    """
    for trial in study.get_trials(deepcopy=False):
        chunks = {int(k.rpartition(":")[2]): v for k, v in trial.system_attrs.items() if k.startswith(PREFIX)}
        if not chunks:
            continue
        text = "".join(chunks[number] for number in sorted(chunks))
        try:
            _Strict(io.BytesIO(bytes.fromhex(text))).load()
        except (ValueError, pickle.UnpicklingError, EOFError) as error:
            raise SecurityError(
                f"the state of CMA-ES in trial {trial.number} is damaged", where="study.journal",
                fix="start a new search",
            ) from error  # fmt: skip
