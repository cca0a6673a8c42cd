"""An explanation as one HTML file: nothing from elsewhere, no script, light and dark."""

import base64
import io
from html import escape
from importlib.resources import files

from aiexp.text.terminal import visible, visible_lines
from aiexp.use.explaining.explanation import Explanation, Panel, Part, Word
from aiexp.use.explaining.gradients import percent

STRONG = 0.75  # opacity of the largest value: the text on it stays readable


def page(explanation: Explanation) -> str:
    """The document."""
    style = files("aiexp.use.explaining").joinpath("page.css").read_text(encoding="utf-8")
    name = shown(explanation.name)
    notes = "".join(f'<p class="note">{shown(note)}</p>' for note in explanation.notes)
    parts = "".join(section(part, explanation.target) for part in explanation.parts)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{name}: why</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        f"style-src 'unsafe-inline'\"><style>{style}</style></head><body>"
        f'<h1>{shown(explanation.prediction.line)}</h1><p class="soft">{name}<br>{shown(explanation.run)}</p>'
        f"{notes}{bars(explanation.chances, '.4f')}<p>Explained: <b>{shown(explanation.target)}</b></p>"
        f"{parts}</body></html>\n"
    )


def shown(text: str) -> str:
    """A text on one line, as HTML."""
    return escape(visible(text))


def section(part: Part, target: str) -> str:
    """What one method says."""
    pieces = [f'<section><h2>{shown(part.title)}</h2><p class="soft">{shown(part.text)}</p>']
    is_signed = part.attribution is not None or any(value < 0 for _, value in part.strongest)
    if is_signed:
        key = f'<i class="for"></i>for {shown(target)}<i class="against"></i>against it'
        pieces.append(f'<p class="soft key">{key}</p>')
    if part.words:
        pieces.append(f'<div class="text">{words(part.words)}</div>')
    pieces += [figure(panel) for panel in part.panels]
    pieces.append(bars(part.strongest))
    if part.layers:
        pieces.append(layers(part))
    if part.attribution is not None:
        a = part.attribution
        pieces.append(
            f'<p class="soft">Output {a.output:.4f}, of the baseline {a.baseline:.4f}; what is added sums '
            f"up to {float(a.values.double().sum()):.4f}: completeness error {a.error:.2g}, "
            f"{percent(a.relative_error)} of the difference, with {a.steps} steps.</p>"
        )
    return "".join(pieces) + "</section>"


def words(all_words: list[Word]) -> str:
    """The text, each word on the colour of its value."""
    largest = max((abs(word.value) for word in all_words if not word.is_special), default=0.0)
    pieces: list[str] = []
    for word in all_words:
        text = escape(visible_lines(word.text))
        style = background(word.value, largest) if not word.is_special else ""
        kind = ' class="special"' if word.is_special else ""
        number = f"{word.value:+.3g}"
        pieces.append(
            f'{escape(visible_lines(word.before))}<span{kind}{style} title="{number}">{text}</span>'
        )
    return "".join(pieces)


def background(value: float, largest: float) -> str:
    """The attribute for a value's colour."""
    opacity = STRONG * min(1.0, abs(value) / largest) if largest else 0.0
    if opacity < 0.01:
        return ""
    return f' style="background:rgba(var(--{"for" if value > 0 else "against"}),{opacity:.2f})"'


def bars(values: list[tuple[str, float]], form: str = ".4g") -> str:
    """Values with a bar each, their numbers in a form."""
    largest = max((abs(value) for _, value in values), default=0.0)
    rows = "".join(
        f'<span class="name">{shown(name)}</span><span class="bar {"for" if value > 0 else "against"}" '
        f'style="width:{100 * abs(value) / largest if largest else 0:.1f}%"></span>'
        f'<span class="number">{value:{form}}</span>'
        for name, value in values
    )
    return f'<div class="bars">{rows}</div>' if rows else ""


def layers(part: Part) -> str:
    """What the first token looks at in every layer."""
    head = "".join(f"<th>{number}</th>" for number in range(1, len(part.layers[0]) + 1))
    rows = "".join(
        f"<tr><th>{shown(word.text)}</th>"
        + "".join(f"<td{background(value, 1.0)}>{100 * value:.0f}</td>" for value in values)
        + "</tr>"
        for word, values in zip(part.words, part.layers, strict=True)
    )
    return (
        "<details><summary>In every layer, from the first token, in %</summary>"
        f'<div class="scroll"><table><tr><th>layer</th>{head}</tr>{rows}</table></div></details>'
    )


def figure(panel: Panel) -> str:
    """A picture with its caption."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(panel.pixels).save(buffer, format="png", optimize=True)
    data = base64.b64encode(buffer.getvalue()).decode()
    caption = shown(panel.caption)
    source = f"data:image/png;base64,{data}"
    return f'<figure><img alt="{caption}" src="{source}"><figcaption>{caption}</figcaption></figure>'
