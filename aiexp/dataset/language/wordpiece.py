"""BERT's tokenizer: lower-case words and punctuation marks in pieces, its vocabulary learned from a text."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from aiexp.dataset.language.running_text import SEPARATOR, Part, cut_at_lines

SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
INSIDE = "##"  # before a piece that goes on with a word
MOST_CHARACTERS = 1000  # of the alphabet, the most frequent; as the library's own limit in its examples
_TRAINED_ON = 1 << 16  # characters at a time
_INSIDE_A_WORD = re.compile(r"(?<=\S)\S")


def wordpiece_tokenizer(part: Part, vocab_size: int) -> Tokenizer:
    """Pieces of words learned from the text, the same at every time.

    Source: Wu et al. 2016 (arXiv 1609.08144), section 4.1, with the pieces of the tokenizers library, which
    joins the most frequent pairs.
    Departures: the library numbers pieces of one character in the order of a hash table, and ties follow; so
    they are given to it in the order of Unicode.

    Args:
        part: What it is made of.
        vocab_size: Tokens, the five special ones and the alphabet among them; the alphabet is never cut.
    """
    tokenizer = bert_tokenizer({}, lowercase=True)
    alphabet, inner = _characters(part, tokenizer)
    special = [*SPECIAL_TOKENS, *(INSIDE + character for character in inner)]
    trainer = trainers.WordPieceTrainer(
        vocab_size=max(vocab_size, len(special) + len(alphabet)), special_tokens=special,  # pyright: ignore
        initial_alphabet=alphabet, limit_alphabet=len(alphabet), show_progress=False,
        continuing_subword_prefix=INSIDE,
    )  # fmt: skip
    tokenizer.train_from_iterator(_pieces(part), trainer)
    return bert_tokenizer(tokenizer.get_vocab(), lowercase=True)


def bert_tokenizer(vocabulary: dict[str, int], *, lowercase: bool) -> Tokenizer:
    """BERT's own tokenizer of a vocabulary.

    Args:
        vocabulary: Piece to number.
        lowercase: Whether capitals and accents are taken off.
    """
    tokenizer = Tokenizer(models.WordPiece(vocab=vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)  # pyright: ignore
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()  # pyright: ignore
    tokenizer.decoder = decoders.WordPiece()  # pyright: ignore
    return with_special_tokens(tokenizer) if vocabulary else tokenizer


def with_special_tokens(tokenizer: Tokenizer) -> Tokenizer:
    """`tokenizer` that writes [CLS] text [SEP] and never splits a special token."""
    tokenizer.add_special_tokens(SPECIAL_TOKENS)
    ids = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(  # pyright: ignore
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ids
    )
    return tokenizer


def _pieces(part: Part) -> Iterator[str]:
    """The text, a line break between two documents: the library drops what it cannot see."""
    return (piece.replace(SEPARATOR, "\n") for piece in cut_at_lines(part.pieces(), _TRAINED_ON))


def _characters(part: Part, tokenizer: Tokenizer) -> tuple[list[str], list[str]]:
    """The characters to make pieces of, and those of them that stand inside words."""
    counts: Counter[str] = Counter()
    inner: set[str] = set()
    for piece in _pieces(part):
        text: str = tokenizer.normalizer.normalize_str(piece)  # pyright: ignore
        counts.update(text)
        inner.update(_INSIDE_A_WORD.findall(text))
    visible = sorted((-count, character) for character, count in counts.items() if not character.isspace())
    alphabet = sorted(character for _, character in visible[:MOST_CHARACTERS])
    return alphabet, [character for character in alphabet if character in inner and not _is_mark(character)]


def _is_mark(character: str) -> bool:
    """Whether a character is punctuation to BERT, which stands alone."""
    is_ascii_mark = character.isascii() and not character.isalnum()
    return is_ascii_mark or unicodedata.category(character).startswith("P")
