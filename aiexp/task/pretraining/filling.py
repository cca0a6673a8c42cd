"""What a network fills in for hidden tokens, for people.

Tensor letters: `B` texts, `S` tokens of each, `K` hidden ones, `V` vocabulary.
"""

from tokenizers import Tokenizer
from torch import Tensor

from aiexp.prediction.prediction import Prediction
from aiexp.task.pretraining.masking import IGNORED
from aiexp.task.pretraining.token_kinds import TokenKinds
from aiexp.task.report import Table
from aiexp.text.terminal import visible

AROUND = 12  # tokens that are shown on either side of a hidden one
HIDDEN = "_"
_DIGITS = 3


def fillings(logits: Tensor, tokenizer: Tokenizer, count: int) -> list[tuple[str, float, int]]:
    """The most probable tokens of (V,) logits as text, their probabilities and numbers."""
    top = logits.float().softmax(0).topk(min(count, len(logits)))
    pairs = zip(top.indices.tolist(), top.values.tolist(), strict=True)
    return [(word(tokenizer, number), probability, number) for number, probability in pairs]


def word(tokenizer: Tokenizer, number: int) -> str:
    """A token as text: pieces that go on with a word keep their mark."""
    return (
        tokenizer.decode([number], skip_special_tokens=False).strip() or tokenizer.id_to_token(number) or ""
    )


def shown(found: list[tuple[str, float, int]]) -> str:
    """Fillings as one line."""
    return ", ".join(f"{text} {probability:.{_DIGITS}f}" for text, probability, _ in found)


def prediction(
    ids: list[int], places: list[int], logits: Tensor, tokenizer: Tokenizer, count: int
) -> Prediction:
    """The answer to a text.

    Args:
        ids: Its S tokens.
        places: Of its masks, -1 behind them.
        logits: (K, V).
        tokenizer: Of the tokens.
        count: Fillings of each mask.
    """
    ids, each = list(ids), []
    for place, row in zip(places, logits, strict=True):
        if place >= 0:
            each.append(fillings(row, tokenizer, count))
            ids[place] = each[-1][0][2]
    text = tokenizer.decode(ids)
    values = [
        [{"token": word, "probability": probability} for word, probability, _ in found] for found in each
    ]
    line = f"{text}  ({'; '.join(map(shown, each))})"
    return Prediction(line=visible(line), values={"text": text, "fillings": values})


def around(ids: list[int], tokenizer: Tokenizer, kinds: TokenKinds) -> str:
    """Tokens beside a hidden one as text, others that are hidden as a dash."""
    text = tokenizer.decode([i for i in ids if i not in (kinds.pad, kinds.sep)], skip_special_tokens=False)
    return text.replace(word(tokenizer, kinds.mask), HIDDEN)


def sample_table(
    batch: dict[str, Tensor], logits: Tensor, tokenizer: Tokenizer, kinds: TokenKinds, count: int
) -> Table:
    """What is filled in for the first masked token of each text.

    Args:
        batch: Of a task: `input_ids`, `places`, `targets`.
        logits: (B, K, V).
        tokenizer: Of the tokens.
        kinds: Of the tokens.
        count: Fillings of each.
    """
    rows: list[list[str | int | float]] = []
    for number, ids in enumerate(batch["input_ids"].tolist()):
        targets = batch["targets"][number].tolist()
        for rank, place in enumerate(batch["places"][number].tolist()):
            if targets[rank] != IGNORED and ids[place] == kinds.mask:
                sides = ids[max(place - AROUND, 1) : place], ids[place + 1 : place + AROUND + 1]
                text = f" {word(tokenizer, kinds.mask)} ".join(
                    around(side, tokenizer, kinds) for side in sides
                )
                found = fillings(logits[number, rank], tokenizer, count)
                rows.append(
                    [visible(text.strip()), visible(word(tokenizer, targets[rank])), visible(shown(found))]
                )
                break
    return Table(columns=["text", "truth", "fillings"], rows=rows)
