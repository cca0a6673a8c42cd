"""Redaction: planted canaries are found nowhere, and nothing else changes."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from aiexp.text.secrets import is_secret_name, masked_words, redact, redact_text
from aiexp.tracker.base import RunInfo
from tests.tracker.conftest import home, make_run, make_tracker  # noqa: F401  fixtures

PASSWORD = "${oc.env:PW}"
CANARY = "CANARY0a1b2c3d4e5f"
SECRET = """
api_key apiKey API_KEY api-key WANDB_API_KEY dataset.api_key hf_token HF_TOKEN token accessToken
auth_token secret client_secret SECRET_KEY aws_secret_access_key password db.password DB_PASSWD
db_pwd passphrase credentials private_key ssh_key authorization storage_key model.hub.token
"""
CONF = Path(__file__).parents[2] / "conf"


@pytest.mark.parametrize(
    "name",
    SECRET.split(),
)
def test_secret_names(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "num_tokens",
        "max_tokens",
        "tokens",
        "tokenizer",
        "tokenize",
        "cls_token",
        "pad_token",
        "sep_token",
        "mask_token",
        "unk_token",
        "bos_token",
        "eos_token",
        "pad_token_id",
        "token_type_ids",
        "max_token_length",
        "token_dropout",
        "token_embedding",
        "tokens_per_batch",
        "token_file",
        "GOOGLE_APPLICATION_CREDENTIALS_PATH",
        "key",
        "sort_key",
        "keys",
        "monkey",
        "passes",
        "compass",
        "width",
        "secretary",
        "author",
        "label_key",
    ],
)
def test_harmless_names(name: str) -> None:
    assert not is_secret_name(name)


def test_redact_by_key() -> None:
    harmless = {
        "pad_token": "[PAD]", "max_tokens": 3, "token": None, "api_key": "", "password": "${oc.env:PW}",
    }  # fmt: skip
    config = {
        "dataset": {"token": CANARY, "name": "x", "credentials": {"user": "me", "pin": 12, "list": ["a"]}},
        "model": harmless,
        "steps": [1, 2.5, True, None, ("a", "b")],
    }
    before = repr(config)
    assert redact(config, {}) == {
        "dataset": {
            "token": "***",
            "name": "x",
            "credentials": {"user": "***", "pin": "***", "list": ["***"]},
        },
        "model": harmless,
        "steps": [1, 2.5, True, None, ["a", "b"]],
    }
    assert repr(config) == before


def test_redact_by_value_of_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.touch()
    environment = {"MY_TOKEN": CANARY, "DB_PASSWORD": CANARY + "longer", "CI_TOKEN": "1", "NAME": "harmless"}
    environment |= {"OTHER_TOKEN": str(file)}
    config = {"url": f"x{CANARY}y", "list": [CANARY + "longer"], "n": "1", "name": "harmless", "p": str(file)}
    expected = {"url": "x***y", "list": ["***"], "n": "1", "name": "harmless", "p": str(file)}
    assert redact(config, environment) == expected
    assert redact_text(f"cannot open {CANARY}", environment) == "cannot open ***"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"load hf_{CANARY} now", "load *** now"),
        ("hf_tokenizers hf_transformers", "hf_tokenizers hf_transformers"),
        ("sk-proj-a1b2c3d4e5f6g7h8i9", "***"),
        ("scikit sk-learn-is-a-fine-library-name", "scikit sk-learn-is-a-fine-library-name"),
        ("ghp_a1B2c3D4e5F6g7H8i9J0k1L2", "***"),
        ("github_pat_a1B2c3D4e5F6g7H8i9J0", "***"),
        ("AKIAIOSFODNN7EXAMPLE", "***"),
        ("eyJhbGciOiJI.eyJzdWIiOiIx.SflKxwRJSMeKKF2QT", "***"),
        ("-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----", "***"),
        (f"https://me:{CANARY}@host/x", "https://***@host/x"),
        (f"https://{CANARY}@host/x?a=1", "https://***@host/x?a=1"),
        ("ssh://git@host/x", "ssh://git@host/x"),
        ("https://host/a@b", "https://host/a@b"),
        (f"https://host/x?name=a&token={CANARY}&b=2", "https://host/x?name=a&token=***&b=2"),
        (f"dataset.token={CANARY}", "dataset.token=***"),
        (f"+dataset.api_key='{CANARY} and more'", "+dataset.api_key=***"),
        (f"dataset.token=first,{CANARY}", "dataset.token=***"),
        (f"dataset={{name: x, token: {CANARY}}}", "dataset={name: x, token: ***}"),
        (f'{{"token": "{CANARY}", "steps": 3}}', '{"token": ***, "steps": 3}'),
        (f"credentials={{user: me, pin: {CANARY}}} seed=1", "credentials=*** seed=1"),
        (f"dataset.token=[a, {CANARY}] seed=1", "dataset.token=*** seed=1"),
        ("dataset.token=null", "dataset.token=null"),
        ("dataset.token=${oc.env:HF_TOKEN}", "dataset.token=${oc.env:HF_TOKEN}"),
        ("task.optimizer.lr=1e-3 num_tokens=5", "task.optimizer.lr=1e-3 num_tokens=5"),
        ("unexpected token: something", "unexpected token: something"),
        (f"+extra={{a: [{{secret: {CANARY}}}]}}", "+extra={a: [{secret: ***}]}"),
        (f"+extra={{secret: {{a: [{{b: {CANARY}}}]}}, c: 1}}", "+extra={secret: ***, c: 1}"),
        (f"tracker.tags=[a,token={CANARY}]", "tracker.tags=[a,token=***]"),
        (f"outputs=token={CANARY}", "outputs=token=***"),
        (f"no folder: --password {CANARY} --seed 1", "no folder: --password *** --seed 1"),
        (f"['aiexp', '--api-key', '{CANARY}']", "['aiexp', '--api-key', ***"),
        (f"the password is {CANARY}, so", "the password is ***, so"),
        (f"the token is '{CANARY} x'", "the token is ***"),
        ("the password is wrong, the token is missing.", "the password is wrong, the token is missing."),
        (f"login failed, password: {CANARY}", "login failed, password: ***"),
        (f"Authorization: Bearer {CANARY}", "Authorization: ***"),
        (f"answered 401 to 'bearer {CANARY}'", "answered 401 to 'bearer ***'"),
        (f"{{password: correct horse, name: {CANARY}}}", f"{{password: ***, name: {CANARY}}}"),
    ],
)
def test_redact_text(text: str, expected: str) -> None:
    assert redact_text(text, {}) == expected
    assert redact_text(expected, {}) == expected  # once is enough


def test_redact_a_diff() -> None:
    """Of a program, of YAML, of a shell: values are masked, expressions, types and the rest stay."""
    secret = [
        f'+token = "{CANARY}"', f"-    api_key: str = '{CANARY}'", f'+os.environ["HF_TOKEN"] = "{CANARY}"',
        f"+export DB_PASSWORD={CANARY}", f"+  password: {CANARY}  # mine", f'+    "secret": "{CANARY}",',
        f"+login(user, password='{CANARY}')", f'+password = """{CANARY}"""', f"+passphrase = {CANARY}",
        f"+credentials = {{'a': ['{CANARY}',", f"+    '{CANARY}']}}",
    ]  # fmt: skip
    code = [
        "+def f(token: str, password: str | None = None) -> dict:", "+    if password: return x",
        "+token = tokenizer.encode(text)", "+password = ask(user)", "+token: str",
        '+if token == "[CLS]":', "+max_tokens = 100", "+    token = next(tokens)", " x = {",
    ]  # fmt: skip
    text = redact_text("\n".join([*secret, *code]), {})
    assert CANARY not in text
    assert text.splitlines()[-len(code) :] == code


def test_a_long_hostile_text_takes_no_time() -> None:
    for text in ("token={" * 20_000, "a" * 200_000, "token={\n" * 1_000, "token:" * 30_000, "[" * 100_000):
        start = time.perf_counter()
        redact_text(text, {})
        assert time.perf_counter() - start < 5


def test_variables_named_like_secrets() -> None:
    environment = {
        "OPENAI_KEY": CANARY,
        "SSH_KEY_PATH": "/somewhere/x",
        "SORT_KEYS": "yes",
        "MY_SECRET": "short",
    }
    assert redact_text(f"{CANARY} /somewhere/x yes short", environment) == "*** /somewhere/x yes short"


def test_our_own_configs_stay_as_they_are() -> None:
    files = sorted(CONF.rglob("*.yaml"))
    assert files
    for path in files:
        config = yaml.safe_load(path.read_text())
        assert redact(config, {}) == config, path


def test_no_canary_in_the_files_of_a_wandb_run(
    home: Path,  # noqa: F811
    make_run: Callable[..., RunInfo],  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("SOME_PASSWORD", "ENV" + CANARY)
    monkeypatch.setattr("sys.argv", ["aiexp", "run", f"dataset.token=ARGV{CANARY}"])
    config = {
        "dataset": {"token": "KEY" + CANARY, "url": f"https://u:URL{CANARY}@host/x", "note": "ENV" + CANARY},
        "model": {"name": f"hf_{CANARY}"},
        "overrides": [f"dataset.token=OVERRIDE{CANARY}"],
    }
    tracker = make_tracker(mode="offline", tags=[f"hf_{CANARY}tag"])
    record = tracker.start(make_run(config=config, name=f"t dataset.token=NAME{CANARY}"))
    tracker.log(1, {"train/loss": 1.0})
    tracker.close(0)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    [data] = [path.read_bytes() for path in files if path.suffix == ".wandb"]
    assert b"https://***@host/x" in data  # plain text: what is looked for below would be found
    assert any(path.name == "debug.log" for path in files)
    assert [path for path in files if CANARY.encode() in path.read_bytes()] == []
    assert CANARY not in repr(record) + "".join(capfd.readouterr())


@pytest.mark.parametrize("quote", ["'", '"'])
def test_a_quote_that_closes_is_no_value(quote: str) -> None:
    """Else the rest of the message would be masked with it."""
    text = f"no viable alternative at input {quote}[token={quote} | command line | fix: quote it"
    assert redact_text(text) == text
    for given in (f"token={quote}{CANARY}{quote}", f"it's token={quote}{CANARY} x{quote} 'y'"):
        assert CANARY not in redact_text(given)
        assert CANARY not in redact_text(f"{quote}a{quote} {given}")


def test_words_of_a_command_line_are_masked_one_by_one() -> None:
    words = [
        "aiexp",
        "run",
        "--token",
        "abc1",
        "+task.hf_token=abc 2",
        "task.hf_token=null",
        "tracker.notes=my note",
    ]
    words += ["--api-key=abc3", "tracker.notes=known-secret-4 here"]
    assert masked_words(words, {"MY_TOKEN": "known-secret-4"}) == [
        "aiexp", "run", "--token", "***", "+task.hf_token=***", "task.hf_token=null", "tracker.notes=my note",
        "--api-key=***", "tracker.notes=*** here",
    ]  # fmt: skip
