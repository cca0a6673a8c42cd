"""What the forkserver imports before the first job, so that no job has to."""

from collections.abc import Iterable

# torch's compiler: an optimizer's first step imports it though nothing is compiled. It takes 1.7 s.
# matplotlib: every run draws its curves at the end.
ALWAYS = (
    "torch", "torch._dynamo", "matplotlib.backends.backend_pdf", "aiexp.run", "aiexp.session.session",
    "aiexp.trainer.trainer",
)  # fmt: skip
# Imported inside functions, by tasks and models whose module starts so.
LATE: dict[str, tuple[str, ...]] = {
    "aiexp.dataset.environment": ("gymnasium.vector",),
    "aiexp.model.text.hub": ("transformers",),
    "aiexp.model.image.torchvision": ("torchvision.models",),
    "aiexp.task.adversarial.cyclegan": ("skimage.metrics",),
    "aiexp.task.classification.image": ("sklearn.metrics",),
    "aiexp.task.classification.text": ("sklearn.metrics",),
    "aiexp.task.classification.vector": ("sklearn.metrics",),
    "aiexp.tracker.wandb": ("wandb",),
    "torchvision": ("torchvision",),
    "transformers": ("transformers",),
}


def modules_of(targets: Iterable[str]) -> list[str]:
    """Modules that jobs with such `_target_`s import; a user's own are left to the jobs.

    Importing what nobody here knows might start threads or a GPU, which a fork does not survive.
    """
    modules: list[str] = list(ALWAYS)
    for target in sorted(targets):
        if target.startswith("aiexp."):
            modules.append(target.rpartition(".")[0])
        for start, names in LATE.items():
            if target.startswith(start):
                modules += names
    return list(dict.fromkeys(modules))
