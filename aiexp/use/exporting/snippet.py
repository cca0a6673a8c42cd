"""How an exported network is loaded and called, as a program that runs inside the folder."""

from collections.abc import Sequence

from aiexp.prediction.network import Network
from aiexp.use.exporting.form import Form
from aiexp.use.exporting.program import fitting, free_sizes

TEXTS = """\
tokenizer = Tokenizer.from_file("tokenizer.json")  # cuts and pads
encoded = tokenizer.encode_batch(["a film to remember", "what a waste of time, and of money"])
inputs = {
    "input_ids": np.array([one.ids for one in encoded]),
    "attention_mask": np.array([one.attention_mask for one in encoded], bool),
}"""
PICTURES = """\
picture = ImageOps.exif_transpose(Image.open("picture.png")).convert("{mode}")
side = min(picture.size)
left, top = (picture.width - side) / 2, (picture.height - side) / 2
square = left, top, left + side, top + side
picture = picture.resize(({size}, {size}), Image.Resampling.BILINEAR, box=square)
pixels = np.asarray(picture).reshape({size}, {size}, {channels}).transpose(2, 0, 1)  # 0 to 255
inputs = {{"{name}": np.ascontiguousarray(pixels[None])}}"""


def snippet(form: Form, name: str, network: Network, files: Sequence[str], classes: Sequence[str]) -> str:
    """The program.

    Args:
        form: How it was exported.
        name: Of the network.
        network: The network.
        files: Names of what lies beside it.
        classes: Of a classifier.
    """
    heads, lines = _inputs(network, files)
    if "tokenizer = " in form.loads:
        heads = []
        lines = 'texts = ["a film to remember", "what a waste of time, and of money"]\n'
        lines += 'inputs = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")'
    imports = sorted({*heads, *form.imports.split("\n")}, key=lambda line: line.split()[1])
    program = [*imports, "", form.loads, lines, form.calls]
    if classes:
        program += [f"classes = {list(classes)!r}", "print([classes[int(row.argmax())] for row in outputs])"]
    else:
        program += ["print([output.shape for output in outputs])" if len(network.outputs) > 1
                    and form.suffix != "onnx" else "print(outputs.shape)"]  # fmt: skip
    return "\n".join(program).replace("NAME", name)


def _inputs(network: Network, files: Sequence[str]) -> tuple[list[str], str]:
    """Imports, and the lines that make `inputs`."""
    if list(network.inputs) == ["input_ids", "attention_mask"] and "tokenizer.json" in files:
        return ["import numpy as np", "from tokenizers import Tokenizer"], TEXTS
    if list(network.inputs) == ["images"] and str(network.inputs["images"].dtype) == "torch.uint8":
        _, channels, size, _ = network.inputs["images"].sizes
        lines = PICTURES.format(
            mode="L" if channels == 1 else "RGB", size=size, channels=channels, name="images"
        )
        return ["import numpy as np", "from PIL import Image, ImageOps"], lines
    free = {size: fitting(limits, 2) for size, limits in free_sizes(network).items()}
    made = [
        f'    "{name}": np.ones({tuple(free[s] if isinstance(s, str) else s for s in port.sizes)}, '
        f'"{dtype_of(port.dtype)}"),'
        for name, port in network.inputs.items()
    ]
    return ["import numpy as np"], "\n".join(["inputs = {", *made, "}"])


def dtype_of(dtype: object) -> str:
    """The name of a dtype: "float32"."""
    return str(dtype).removeprefix("torch.")
