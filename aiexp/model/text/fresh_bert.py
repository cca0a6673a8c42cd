"""`Bert` with fresh weights, for the vocabulary of a data set or of a run."""

from tokenizers import Tokenizer

from aiexp.dataset.language.vocabulary import read_tokenizer
from aiexp.dataset.text.ragged import pad_id
from aiexp.model.carried import carried_folder
from aiexp.model.text.bert import Bert, Shape, carry_description
from aiexp.model.text.tokenizer import load_tokenizer
from aiexp.ranges import PositiveFloat, PositiveInt, Share


def fresh_bert(
    *,
    vocabulary: str | None,
    num_layers: PositiveInt,
    num_heads: PositiveInt,
    hidden_size: PositiveInt,
    intermediate_size: PositiveInt,
    max_tokens: PositiveInt,
    dropout: Share,
    attention_dropout: Share,
    initializer_range: PositiveFloat,
) -> Bert:
    """A `Bert` whose tokens are those of the data, or of a run.

    Args:
        vocabulary: A run, a folder or a file with tokenizer.json; None: that of the data, which the task
            hands over.
        num_layers: Encoder layers.
        num_heads: Attention heads of each layer.
        hidden_size: Width; a multiple of `num_heads`.
        intermediate_size: Width of the feed-forward block.
        max_tokens: Longest sequence, in tokens.
        dropout: Probability of dropping a hidden unit, [0, 1).
        attention_dropout: Probability of dropping an attention weight, [0, 1).
        initializer_range: Standard deviation of the weights.

    Raises:
        ConfigError: `hidden_size` is no such multiple.
        DataError: there is no such vocabulary.
    """
    tokenizer = known_tokenizer(vocabulary)
    shape = Shape(
        vocab_size=1 if tokenizer is None else tokenizer.get_vocab_size(), hidden_size=hidden_size,
        num_layers=num_layers, num_heads=num_heads, intermediate_size=intermediate_size,
        max_tokens=max_tokens, pad_token_id=0 if tokenizer is None else pad_id(tokenizer),
        initializer_range=initializer_range,
    )  # fmt: skip
    bert = Bert(shape, tokenizer=tokenizer, dropout=dropout, attention_dropout=attention_dropout)
    if tokenizer is not None:
        carry_description(bert, tokenizer)
    return bert


def known_tokenizer(vocabulary: str | None) -> Tokenizer | None:
    """That of the run that is loaded, or the one that is named; None where the data have to say."""
    folder = carried_folder()
    if folder is not None:
        return load_tokenizer(folder)
    return None if vocabulary is None else read_tokenizer(vocabulary)
