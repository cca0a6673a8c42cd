"""Hydra's grammar as a search space: what may be searched, and what a drawn value is typed as."""

import math

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from aiexp.errors import ConfigError
from aiexp.sweep.search.space import Space, read_space, rounded


def space(*words: str) -> Space:
    return read_space(OverridesParser.create().parse_overrides(list(words)))


@pytest.mark.parametrize(
    ("word", "distribution"),
    [
        ("a=interval(0,1)", FloatDistribution(0.0, 1.0)),
        ("a=tag(log,interval(1e-4,1e-1))", FloatDistribution(1e-4, 1e-1, log=True)),
        ("a=int(interval(8,64))", IntDistribution(8, 64)),
        ("a=tag(log,int(interval(1,64)))", IntDistribution(1, 64, log=True)),
        ("a=range(1,8)", IntDistribution(1, 7)),  # like Python's, without its end
        ("a=range(1,8,2)", IntDistribution(1, 7, step=2)),
        ("a=range(8,1,-2)", IntDistribution(2, 8, step=2)),
        ("a=range(0.1,0.8,0.3)", FloatDistribution(0.1, 0.7, step=0.3)),
        ("a=1,10,100", CategoricalDistribution([1, 10, 100])),
        ("a=x,y", CategoricalDistribution(["x", "y"])),
        ("a=[1,2],[3,4]", CategoricalDistribution(["[1,2]", "[3,4]"])),
        ("a=null,1,true", CategoricalDistribution(["null", "1", "True"])),  # 1 == True in Python
        ("a=choice(x,x,y)", CategoricalDistribution(["x", "y"])),
    ],
)
def test_every_word_of_the_grammar_has_its_distribution(word: str, distribution: object) -> None:
    [dimension] = space(word).dimensions
    assert dimension.distribution == distribution


def test_fixed_words_seeds_and_dimensions_are_told_apart() -> None:
    found = space("task=x", "~b", "seed=3,1,2", "+c=1,2", "model=mlp,cnn", "d='a,b'")
    assert found.fixed == ["task=x", "~b", "d='a,b'"]
    assert found.seeds == ["seed=3", "seed=1", "seed=2"]
    assert [d.name for d in found.dimensions] == ["+c", "model"]
    assert found.num_points == 4
    assert space("a=1,2", "b=interval(0,1)").num_points is None


def test_values_are_typed_as_hydra_reads_them() -> None:
    found = space("a='x y',\"it's\"", "b=[1,2],[3]", "c=null,1", "d=range(0.1,0.8,0.3)", "e=1e-4,1e-3")
    for dimension in found.dimensions:
        words = [dimension.override(v) for v in dimension.values() or []]
        assert all(not o.is_sweep_override() for o in OverridesParser.create().parse_overrides(words)), words
    texts = [[d.override(v) for v in d.values() or []] for d in found.dimensions]
    assert texts[0][0] == "a='x y'"
    assert texts[1:] == [
        ["b=[1,2]", "b=[3]"],
        ["c=null", "c=1"],
        ["d=0.1", "d=0.4", "d=0.7"],
        ["e=0.0001", "e=0.001"],
    ]
    assert found.dimensions[3].override(0.7000000000000001) == "d=0.7"


def test_drawn_numbers_are_short_and_stay_in_their_interval() -> None:
    assert rounded(0.0123456789, 1e-4, 1e-1, is_log=True) == "0.01235"
    assert rounded(0.123456789, 0.0, 1.0, is_log=False) == "0.1235"
    # In a narrow interval four digits would make all values one.
    assert abs(float(rounded(0.99913579, 0.999, 0.9992, is_log=False)) - 0.99913579) < 2e-8
    assert float(rounded(0.12345678, 0.12345678, 0.9, is_log=False)) >= 0.12345678
    for value in (1e-4, 1e-1, math.pi / 100):
        assert 1e-4 <= float(rounded(value, 1e-4, 1e-1, is_log=True)) <= 1e-1


@pytest.mark.parametrize(
    ("word", "part"),
    [
        ("a=interval(2,1)", "is empty"),
        ("a=interval(1,1)", "is empty"),
        ("a=tag(log,interval(0,1))", "cannot begin at 0"),
        ("a=range(3,3)", "no values"),
        ("seed=interval(0,9)", "seed=0,1,2"),
        ("a=1", "nothing to search"),
        ("seed=0,1", "nothing to search"),
    ],
)
def test_what_cannot_be_searched_is_one_line(word: str, part: str) -> None:
    with pytest.raises(ConfigError) as caught:
        space(word)
    assert part in caught.value.line()
    assert "\n" not in caught.value.line()
