import pytest

from aiexp.model.text.tokenizer import SPECIAL_TOKENS, letter_pair_tokenizer


@pytest.mark.parametrize("text", ["a good film", "na\u00efve \u6771\u4eac 100 % !?", "it's 50-50\tnow", ""])
def test_any_text_comes_back(text: str) -> None:
    tokenizer = letter_pair_tokenizer()
    encoded = tokenizer.encode(text)
    assert "[UNK]" not in encoded.tokens
    assert encoded.tokens[0] == "[CLS]"
    assert encoded.tokens[-1] == "[SEP]"
    assert tokenizer.decode(encoded.ids).strip() == text


def test_lower_case_pairs_and_special_tokens() -> None:
    tokenizer = letter_pair_tokenizer()
    assert tokenizer.encode("The THE").ids == tokenizer.encode("the the").ids
    assert len(tokenizer.encode("the film").ids) <= 7
    assert [tokenizer.token_to_id(t) for t in SPECIAL_TOKENS] == [0, 1, 2, 3, 4]
    assert tokenizer.get_vocab_size() == 963
