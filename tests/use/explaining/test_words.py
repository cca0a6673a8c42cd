"""Tokens put together to the words that were written."""

from aiexp.model.text.tokenizer import letter_pair_tokenizer
from aiexp.use.explaining.words import tokenized


def test_words_and_the_space_between_them_are_the_text_again() -> None:
    text = "  It wasn't  dull,\n\u65e5\u672c caf\u00e9 \u2019s  "
    made = tokenized(letter_pair_tokenizer(), text)
    words = made.words([1.0] * len(made.ids), with_special=False)
    assert "".join(word.before + word.text for word in words) == text.rstrip()
    assert [word.text for word in words][:4] == ["It", "wasn't", "dull", ","]
    assert sum(word.value for word in words) == len(made.ids) - 2  # every token once, but [CLS] and [SEP]
    assert made.cut == 0


def test_special_tokens_are_words_by_themselves() -> None:
    made = tokenized(letter_pair_tokenizer(), "fine film")
    words = made.words(list(range(len(made.ids))), with_special=True)
    assert [word.text for word in words] == ["[CLS]", "fine", "film", "[SEP]"]
    assert [word.is_special for word in words] == [True, False, False, True]
    assert words[0].value == 0.0
    assert words[3].value == len(made.ids) - 1


def test_what_was_not_read_is_counted() -> None:
    tokenizer = letter_pair_tokenizer()
    tokenizer.enable_truncation(max_length=8)
    made = tokenized(tokenizer, "great film " * 50)
    assert len(made.ids) == 8
    words = made.words([1.0] * 8, with_special=False)
    read = "".join(word.before + word.text for word in words)
    assert made.cut == len(("great film " * 50).rstrip()) - len(read)
