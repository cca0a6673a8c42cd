"""One thread answers: together what comes together, each to whom it belongs, nobody spoils another's."""

import asyncio
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

import pytest

from aiexp.errors import ConfigError
from aiexp.use.serving.batcher import Answered, Batcher, Entry, Job, batches
from aiexp.use.serving.question import Question
from aiexp.use.serving.refusal import Refusal
from tests.use.serving.stubs import Louder, Playing, Stub, make_model


def labels(answered: Answered) -> list[str]:
    return [prediction.values["label"] for prediction in answered.predictions]


def ask(batcher: Batcher, values: list[Any], **settings: Any) -> Coroutine[Any, Any, Answered]:
    return batcher.ask(Question(values, settings, repr(settings) if settings else ""))


async def until_taken(batcher: Batcher) -> None:
    """Waits until the queue is empty: the thread has taken what was there."""
    while not batcher._queue.empty():
        await asyncio.sleep(0.001)


def test_a_request_alone_is_answered_at_once_in_its_order(tmp_path: Path) -> None:
    task = Stub()
    batcher = Batcher(make_model(task, tmp_path), most=8)
    answered = asyncio.run(ask(batcher, ["ccc", "a", "bb", "b"]))
    assert labels(answered) == ["ccc", "a", "bb", "b"]
    assert task.seen == [["a", "b", "bb"], ["ccc"]]  # like lengths together, the shortest first
    batcher.close()
    assert not batcher.is_alive


def test_requests_that_come_meanwhile_go_together(tmp_path: Path) -> None:
    task, sizes = Stub(), list[int]()
    batcher = Batcher(make_model(task, tmp_path), most=8, heard=sizes.append)

    async def main() -> list[Answered]:
        task.free.clear()
        first = asyncio.create_task(ask(batcher, ["x"]))
        await asyncio.sleep(0)
        await until_taken(batcher)
        others = [asyncio.create_task(ask(batcher, [letter])) for letter in "abcdefghijk"]
        await asyncio.sleep(0)
        task.free.set()
        return await asyncio.gather(first, *others)

    answers = asyncio.run(main())
    assert [labels(a) for a in answers] == [[letter] for letter in "xabcdefghijk"]
    assert sizes == [1, 8, 3]
    batcher.close()


def test_a_bad_input_refuses_its_request_alone(tmp_path: Path) -> None:
    task = Stub()
    batcher = Batcher(make_model(task, tmp_path), most=8)

    async def main() -> list[Answered | BaseException]:
        task.free.clear()
        asked = [ask(batcher, ["a"]), ask(batcher, ["b", "", 3]), ask(batcher, ["c"])]
        tasks = [asyncio.create_task(one) for one in asked]
        await asyncio.sleep(0)
        task.free.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, second, third = asyncio.run(main())
    assert isinstance(first, Answered)
    assert isinstance(third, Answered)
    assert isinstance(second, Refusal)
    assert second.status == 422
    assert second.detail == "inputs[1]: the text is empty, and 1 more"
    assert list(second.problems) == [1, 2]
    batcher.close()


def test_an_input_on_which_the_task_fails_does_not_spoil_the_others(tmp_path: Path) -> None:
    task = Stub()
    batcher = Batcher(make_model(task, tmp_path), most=8)

    async def main() -> list[Answered | BaseException]:
        task.free.clear()
        first = asyncio.create_task(ask(batcher, ["x"]))
        await asyncio.sleep(0)
        await until_taken(batcher)
        others = [asyncio.create_task(ask(batcher, [text])) for text in ("okay", "boom", "fine")]
        await asyncio.sleep(0)
        task.free.set()
        return await asyncio.gather(first, *others, return_exceptions=True)

    _, okay, boom, fine = asyncio.run(main())
    assert isinstance(okay, Answered)
    assert isinstance(fine, Answered)
    assert str(boom) == "boom"
    assert labels(asyncio.run(ask(batcher, ["after"]))) == ["after"]
    batcher.close()


def test_a_task_that_answers_too_little_is_the_users_error(tmp_path: Path) -> None:
    task = Stub()
    task.predict = lambda batch: []  # type: ignore[method-assign]
    batcher = Batcher(make_model(task, tmp_path), most=8)
    with pytest.raises(ConfigError, match="returned 0 answers to 1 inputs"):
        asyncio.run(ask(batcher, ["a"]))
    batcher.close()


def test_who_has_left_is_not_computed_for(tmp_path: Path) -> None:
    task = Stub()
    batcher = Batcher(make_model(task, tmp_path), most=2)

    async def main() -> None:
        task.free.clear()
        first = asyncio.create_task(ask(batcher, ["x"]))
        await asyncio.sleep(0)
        await until_taken(batcher)
        left = asyncio.create_task(ask(batcher, ["gone"] * 5))
        await asyncio.sleep(0)
        left.cancel()
        await asyncio.sleep(0)
        task.free.set()
        await first
        await ask(batcher, ["y"])

    asyncio.run(main())
    assert task.seen == [["x"], ["y"]]
    batcher.close()


@pytest.mark.parametrize("remain", [False, True])
def test_a_batch_under_way_ends_when_nobody_waits_for_any_of_it(tmp_path: Path, remain: bool) -> None:
    task = Playing()
    batcher = Batcher(make_model(task, tmp_path), most=8)

    async def main() -> list[Any]:
        together = [asyncio.create_task(ask(batcher, ["4000" if not remain else "400"])) for _ in range(2)]
        while not task.steps:
            await asyncio.sleep(0.01)
        for one in together[remain:]:
            one.cancel()
        after = await ask(batcher, ["5"])
        return [*await asyncio.gather(*together[:remain]), after]

    assert [labels(answered) for answered in asyncio.run(main())] == ([["400"]] if remain else []) + [["5"]]
    assert task.steps < 2000
    assert len(task.seen) == 1 + remain  # what was left has no answer
    batcher.close()


def test_a_replaced_model_drops_no_request(tmp_path: Path) -> None:
    old, new = Stub("old"), Stub("new")
    batcher = Batcher(make_model(old, tmp_path, "old"), most=4)

    async def main() -> list[tuple[str, str]]:
        asked = [asyncio.create_task(ask(batcher, [str(i)])) for i in range(20)]
        await asyncio.sleep(0)
        batcher.replace(make_model(new, tmp_path, "new"))
        asked += [asyncio.create_task(ask(batcher, [str(i)])) for i in range(20)]
        answers = await asyncio.gather(*asked)
        return [(a.run.directory.path.name, a.predictions[0].values["tag"]) for a in answers]

    answers = asyncio.run(main())
    assert len(answers) == 40
    assert all(name == tag for name, tag in answers)
    assert answers[-1] == ("new", "new")
    batcher.close()


def together(batcher: Batcher, task: Stub, *asked: Any) -> list[Any]:
    """The answers to requests that come while the first is answered."""

    async def main() -> list[Any]:
        task.free.clear()
        first = asyncio.create_task(ask(batcher, ["x"]))
        await asyncio.sleep(0)
        await until_taken(batcher)
        others = [asyncio.create_task(ask(batcher, values, **settings)) for values, settings in asked]
        await asyncio.sleep(0)
        task.free.set()
        return (await asyncio.gather(first, *others, return_exceptions=True))[1:]

    return asyncio.run(main())


def test_requests_with_different_settings_share_no_batch(tmp_path: Path) -> None:
    task = Stub(make_inputs=Louder)
    batcher = Batcher(make_model(task, tmp_path), most=8)
    mark, other, bad = {"mark": "!"}, {"mark": "?"}, {"mark": "bad"}
    asked = [(["a"], {}), (["b"], mark), (["c"], {}), (["d"], other), (["e"], bad), (["f"], mark)]
    *good, refused, last = together(batcher, task, *asked)
    assert [labels(a) for a in [*good, last]] == [["a"], ["b!"], ["c"], ["d?"], ["f!"]]
    assert task.seen == [["x"], ["a", "c"], ["b!", "f!"], ["d?"]]
    assert isinstance(refused, Refusal)
    assert (refused.status, refused.detail) == (422, "settings: there is no such mark")
    batcher.close()


def test_what_is_wrong_with_all_inputs_is_a_refusal(tmp_path: Path) -> None:
    class Needy(Louder):
        def prepare(self, values: Sequence[Any]) -> list[Any]:
            raise ConfigError("a mark is wanted", fix="--mark")

    batcher = Batcher(make_model(Stub(make_inputs=Needy), tmp_path), most=8)
    with pytest.raises(Refusal, match=r"a mark is wanted: say so in settings \(mark\)"):
        asyncio.run(ask(batcher, ["a"]))
    batcher.close()


def test_what_waits_is_answered_before_the_end(tmp_path: Path) -> None:
    task = Stub()
    batcher = Batcher(make_model(task, tmp_path), most=4)

    async def main() -> list[Answered]:
        asked = [asyncio.create_task(ask(batcher, [str(i)])) for i in range(50)]
        await asyncio.sleep(0)
        await asyncio.to_thread(batcher.close)
        return await asyncio.gather(*asked)

    assert [labels(a) for a in asyncio.run(main())] == [[str(i)] for i in range(50)]
    assert not batcher.is_alive


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        ([0, 0, 0, 0, 0], [[0, 0, 0, 0], [0]]),
        ([9, 3, 4, 20, 6, 41], [[3, 4, 6], [9], [20], [41]]),
        ([10, 20, 5, 10, 10], [[5, 10, 10, 10], [20]]),
    ],
)
def test_batches_are_of_like_length(lengths: list[int], expected: list[list[int]]) -> None:
    loop = asyncio.new_event_loop()
    job = Job(Question([]), loop.create_future())
    made = batches([Entry(job, i, None, length) for i, length in enumerate(lengths)], 4)
    assert [[entry.length for entry in batch] for batch in made] == expected
    loop.close()
