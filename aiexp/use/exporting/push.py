"""An exported folder sent to the Hugging Face hub, with the user's own login."""

import sys
from pathlib import Path

from aiexp.errors import ConfigError, HardwareError, reason_of
from aiexp.source.download import is_offline

WHERE = "--push"


def check_push(repository: str) -> None:
    """Looks whether there is any use in trying, before work is done; asks no server.

    Raises:
        ConfigError: that is no name of a repository.
        HardwareError: offline, or nobody is logged in.
    """
    from huggingface_hub import constants, get_token
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repository)
    except HFValidationError:
        repository = ""
    if repository.count("/") != 1:
        raise ConfigError("this is no name of a repository of the hub", where=WHERE, fix="--push owner/name")
    if is_offline():
        raise HardwareError("nothing can be pushed offline", where=WHERE, fix="unset AIEXP_OFFLINE")
    if constants.HF_HUB_OFFLINE:
        raise HardwareError("nothing can be pushed offline", where=WHERE, fix="unset HF_HUB_OFFLINE")
    if not get_token():
        raise HardwareError("nobody is logged in to the Hugging Face hub", where=WHERE, fix="hf auth login")


def push(folder: Path, repository: str) -> str:
    """Uploads a folder; a new repository is private. Returns its address.

    Raises:
        HardwareError: the hub does not answer or refuses; the folder stays where it is.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.utils import disable_progress_bars

    if not sys.stderr.isatty():
        disable_progress_bars()
    try:
        api = HfApi()
        api.create_repo(repository, private=True, exist_ok=True)
        api.upload_folder(repo_id=repository, folder_path=folder, commit_message="Exported by aiexp")
    except Exception as error:  # the client's errors share no base class with those of its HTTP library
        raise HardwareError(
            f"the hub did not take it: {reason_of(error)}", where=f"{WHERE} {repository}",
            fix=f"the folder is complete: hf upload {repository} {folder}",
        ) from error  # fmt: skip
    return f"{api.endpoint}/{repository}"
