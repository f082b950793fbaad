"""Every mistake in a configuration is one clear sentence: where, and what to change; all of them at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.properties import examples
from tidegate.access import resolve
from tidegate.config import load_config
from tidegate.errors import ConfigError

GPU = "providers: {gpu1: {base_url: 'http://gpu1/v1'}}\n"


def mistakes(
    tmp_path: Path,
    text: str | bytes,
    environ: Mapping[str, str] | None = None,
    command_line: Mapping[str, str | Sequence[str]] | None = None,
) -> list[str]:
    """Return the lines of the error, the folder of the file left out. The store holds no key."""
    path = tmp_path / "tidegate.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as raised:
        resolve(load_config(path, environ or {}, command_line).auth, 0)
    return str(raised.value).replace(f"{tmp_path}/", "").split("\n")


# A line break inside a text is spelled ⏎; GPU stands for a file that names the provider gpu1.
MISTAKES = r"""
sever: {port: 1} => 1: sever is not a setting; did you mean "server"?
⏎⏎server:⏎  prot: 1 => 4: server.prot is not a setting; did you mean "port"?
server: {max-body: 1} => 1: server.max-body is not a setting; did you mean "max_body"?
server: {maxStreams: 1} => 1: server.maxStreams is not a setting; did you mean "max_streams" or "max_frame"?
port: 7860 => 1: port is not a setting; did you mean "server.port"?
demo: {xyz: 1} => 1: demo.xyz is not a setting; settings here: delay.
server: {port: http} => 1: server.port must be a whole number, not "http".
server: {port: 70000} => 1: server.port must be a port from 0 to 65535, not "70000".
server: {port: [1]} => 1: server.port must be a single value.
server: 7860 => 1: server must be a mapping.
server: {host: 'http://x'} => 1: server.host must be a host name or an address
server: {workers: 0} => 1: server.workers must be a number of processes from 1 to 256, not "0".
server: {workers: 2}⏎streams: {log: memory} => 2: streams.log memory is of one process
server: {max_body: 2GiB} => 1: server.max_body must be a size from 1KiB to 1GiB, not "2GiB".
server: {header_hold: 6s} => 1: server.header_hold must be a duration from 0s to 5s, not "6s".
server: {keep_alive: 11s} => 1: server.keep_alive must be a duration from 100ms to 10s, not "11s".
server: {access_log: maybe} => 1: server.access_log must be true or false, not "maybe".
server: {cors: [x]} => 1: server.cors[0] must be "*" or an origin
server:⏎  gguf:⏎    - nowhere.gguf => 3: server.gguf[0] names no file: "nowhere.gguf" is not there.
server: {gguf: tidegate.yaml} => 1: server.gguf is not a GGUF file: "tidegate.yaml" does not begin
server: {gguf: "a\0b"} => 1: server.gguf names no file: "a\x00b" is not there.
server: {port: 1, port: 2} => 1: server.port is set twice, first in line 1; remove one.
auth: {keys: maybe} => 1: auth.keys must be required or open, not "maybe".
auth: {keys: required} => 1: auth.keys is required but there is no key; type export TIDEGATE_API_KEYS=
auth: {keys: open, list: [a]} => 1: auth.keys is open although there are keys; remove it, or the keys
auth: {list: [two words]} => 1: auth.list[0] must be a key of visible ASCII characters
server: {host: 0.0.0.0} => 1: server.host "0.0.0.0" can be reached from other machines, so callers need a
server: {host: 0.0.0.0}⏎auth: {keys: open} => so callers need a key; remove auth.keys and type
models: {fast: {use: openia/gpt-4o}} => names an unknown provider: "openia/gpt-4o"; did you mean "openai"
timeouts: {connect: 0s} => 1: timeouts.connect must be a duration from 1ms to 24h, not "0s".
timeouts: {first: 1s} => 1: timeouts.first is not a setting; did you mean "first_token"?
demo: {delay: fast} => 1: demo.delay must be a duration such as 250ms, 5s, 30m or 1h, not "fast".
agents: [my-package] => 1: agents[0] must be the name of a Python module such as my_package.agents
store: mysql://x => 1: store must be a SQLite file such as sqlite:///tidegate.db, not "mysql://x".
streams: {log: tape} => 1: streams.log must be memory or disk
streams: {retain: 9000h} => 1: streams.retain must be a duration from 0s to 8760h
? [a]⏎: 1 => 1: the name of a setting must be a single word.
- a => 1: must be a mapping such as `server: {port: 7860}`.
models: [a] => 1: models must be a mapping.
default_model: [a] => 1: default_model must be a single value.
GPU default_model: fats⏎models: {fast: {use: gpu1/x}} => 2: default_model names the model "fats", which is
providers: {'a/b': {base_url: 'http://x'}} => 1: providers.a/b must be letters, digits, dots, dashes
providers: {gpu: {}} => 1: providers.gpu needs base_url, such as
providers: {opnai: {}} => no vendor is known by that name; did you mean "openai"?
providers: {a: {preset: grok}} => 1: providers.a.preset is not a known vendor: "grok"; did you mean "groq"?
providers: {openai: {}} => 1: providers.openai needs api_key: "${OPENAI_API_KEY}", or that variable
providers: {openai: {api_key: ''}} => 1: providers.openai.api_key is empty; write none where the server
providers: {azure: {api_key: k}} => or the environment variable AZURE_OPENAI_ENDPOINT.
providers: {gpu: {base_url: gpu1}} => 1: providers.gpu.base_url must be a URL of ASCII characters such as
providers: {gpu: {base_url: 'http://x', auth: basic}} => 1: providers.gpu.auth must be bearer, header:NAME
providers: {gpu: {base_url: 'http://x', headers: {Host: y}}} => 1: providers.gpu.headers.Host must be the
providers: {gpu: {base_url: 'http://x', headers: [y]}} => 1: providers.gpu.headers must be a mapping.
providers: {gpu: {base_url: 'http://x', apikey: y}} => apikey is not a setting; did you mean "api_key"?
providers: {gpu: {base_url: 'http://x', quirks: max_token}} => known quirk: "max_token"; did you mean
providers: {gpu: {base_url: 'http://x', dialect: events}} => dialect must be openai-chat, openai-responses,
GPU models: {m: {}} => 2: models.m needs one of use, gguf, agent and exec
GPU models: {m: {use: gpu1/x, gguf: y}} => 2: models.m needs one of use, gguf, agent and exec
GPU models: {m: {use: gpu1/x, options: {a: 1}}} => 2: models.m.options belongs to a model with agent or exec
GPU models: {m: {agent: x, options: 1}} => 2: models.m.options must be a mapping.
GPU models: {m: {use: []}} => 2: models.m.use must name at least one deployment
GPU models: {m: {use: [[gpu1/x]]}} => 2: models.m.use[0] must be a mapping.
GPU models: {m: {use: x}} => 2: models.m.use must be provider/model, such as openai/gpt-4o-mini, not "x".
GPU models: {m: {use: gpu1/}} => 2: models.m.use must be provider/model, such as openai/gpt-4o-mini, not
GPU models: {m: {use: gpu2/x}} => names an unknown provider: "gpu2/x"; did you mean "gpu1"?
GPU models: {m: {use: openai/x}} => ; add openai: {api_key: "${OPENAI_API_KEY}"} under providers.
GPU models: {m: {use: ollama/x}} => names an unknown provider: "ollama/x"; add ollama: {} under
models: {m: {use: openai/x}} => set OPENAI_API_KEY, or add openai: {api_key: "${OPENAI_API_KEY}"} under
GPU models: {m: {use: [{weight: 1}]}} => 2: models.m.use[0] needs deployment, such as
GPU models: {m: {use: [{deployment: gpu1/x, weight: 0}]}} => weight must be a number from 0.001 to 1000
models: {m: {agent: assistant, context: 4096}} => 1: models.m.context belongs to a model with gguf or use
GPU models: {m: {use: gpu1/x, on_break: stop}} => on_break must be continue or fail, not "stop".
GPU models: {m: {use: gpu1/x, timeouts: {min_speed: fast}}} => min_speed must be a number
providers: {g: {base_url: "http://g/v1", continues: yes}} => continues must be continue_final_message or
GPU models: {m: {use: gpu1/x, retry: {attempts: 0}}} => attempts must be a number from 1 to 20
GPU models: {'a b': {use: gpu1/x}} => 2: models.a b must be a printable name without spaces
server: {port: '${PORT}'} => 1: server.port needs the environment variable PORT, which is not set; set it
server: {port: '${PORT'} => 1: server.port holds a ${ without its closing }
server: {<<: 1} => 1: << must name a mapping, or a list of mappings.
"""


@pytest.mark.parametrize("row", MISTAKES.strip().split("\n"))
def test_a_mistake_is_one_sentence_with_its_line(tmp_path: Path, row: str) -> None:
    text, _, mistake = row.replace("GPU ", GPU).replace("⏎", "\n").partition(" => ")
    lines = mistakes(tmp_path, text)
    assert len(lines) == 1
    assert lines[0].startswith("tidegate.yaml:")
    assert mistake in lines[0]
    assert lines[0].endswith((".", "?"))


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        (
            "a: [1,\n",
            "tidegate.yaml:2: not valid YAML: it ends before a bracket, a brace or a quote is closed.",
        ),
        ("server:\n\tport: 1", "tidegate.yaml:2: not valid YAML: a tab stands where YAML wants spaces."),
        (
            "a: b: c",
            "tidegate.yaml:1: not valid YAML: a colon stands where none is allowed; put the text around",
        ),
        (
            "a: *sk-secret",
            "tidegate.yaml:1: not valid YAML: a value that begins with * must stand in quotes.",
        ),
        (
            "a: 1\n---\nb: 2",
            "tidegate.yaml:2: not valid YAML: it holds a second document; remove the --- before it.",
        ),
        ("a: }", "tidegate.yaml:1: not valid YAML: expected the node content, but found '}'."),
        ("[" * 1200, "tidegate.yaml: not valid YAML: it holds characters or a depth that YAML forbids."),
        ("a: \x01", "tidegate.yaml: not valid YAML: it holds characters or a depth that YAML forbids."),
        (b"a: \xff", "tidegate.yaml: must be UTF-8 text."),
    ],
)
def test_a_file_that_is_no_yaml_is_told_with_its_line(
    tmp_path: Path, text: str | bytes, mistake: str
) -> None:
    lines = mistakes(tmp_path, text)
    assert len(lines) == 1
    assert lines[0].startswith(mistake)


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = dedent(
        """\
        demo: {delay: soon}
        agents: [x-y]
        server:
          port: 99999
          hots: x
        models:
          fast: {use: [gpu2/a, {deployment: gpu1/b, weigth: 2}], timeouts: {connect: never}}
        providers: {gpu1: {base_url: "http://gpu1/v1"}}
        """
    )
    lines = mistakes(tmp_path, text, {"TIDEGATE_API_KEYS": "sk-\x00"})
    assert [line.partition(": ")[0] for line in lines] == [
        "TIDEGATE_API_KEYS",
        *(f"tidegate.yaml:{number}" for number in (1, 2, 4, 5, 7, 7, 7)),
    ]


def test_a_public_bind_without_keys_says_what_to_type(tmp_path: Path) -> None:
    for command_line in ({"host": "0.0.0.0"}, {"host": "::"}, {"host": "192.168.0.9"}):
        (line,) = mistakes(tmp_path, "", {}, command_line)
        assert line.startswith(
            f'--host: server.host "{command_line["host"]}" can be reached from other machines'
        )
        assert "type export TIDEGATE_API_KEYS=$(openssl rand -hex 24), start again" in line
        assert "or make keys with tidegate keys create" in line


def test_a_public_bind_stays_refused_when_the_file_says_open(tmp_path: Path) -> None:
    (line,) = mistakes(tmp_path, "auth: {keys: open}\nserver: {host: 0.0.0.0}")
    assert "callers need a key" in line


def test_options_of_the_command_line_are_named(tmp_path: Path) -> None:
    lines = mistakes(tmp_path, "", {}, {"port": "http", "gguf": ["a.gguf", "b.gguf"], "workers": "some"})
    assert [line.split(" ")[0] for line in lines] == ["--port:", "--workers:", "--gguf:", "--gguf:"]


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"nowhere\.yaml: there is no such file; name another with --config\."
    ):
        load_config(tmp_path / "nowhere.yaml", {})


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_config(tmp_path, {})


def test_a_credential_is_not_sent_to_another_address_unasked(tmp_path: Path) -> None:
    text = "providers: {openai: {base_url: 'https://proxy.example.com/v1'}}"
    (line,) = mistakes(tmp_path, text, {"OPENAI_API_KEY": "sk-1"})
    assert "because its base_url is not OpenAI's own and OPENAI_API_KEY is not sent elsewhere unasked" in line


def test_variables_that_hold_nonsense_are_named(tmp_path: Path) -> None:
    environ = {"OPENAI_API_KEY": "two words", "GROQ_API_KEY": "g", "AZURE_OPENAI_API_KEY": "a"}
    lines = mistakes(tmp_path, "", {**environ, "AZURE_OPENAI_ENDPOINT": "my-resource"})
    assert [line.partition(":")[0] for line in lines] == ["OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT"]


# The file is written anew for each example, so that one folder serves them all.
generated = examples(60)

SECRET = "sk-live-0123456789abcdef"


@pytest.mark.parametrize("value", [SECRET, "${KEY}", "x${KEY}y", "${UNSET:-${KEY}}"])
@pytest.mark.parametrize(
    "text",
    [
        "auth: {list: ['V V']}",
        "providers: {gpu: {base_url: 'https://u:V@h/v1'}}",
        "providers: {gpu: {base_url: 'V'}}",
        "providers: {gpu: {base_url: 'http://h', api_key: 'V V'}}",
        "providers: {gpu: {base_url: 'http://h', headers: {x: 'V é'}}}",
        "providers: {gpu: {base_url: 'http://h', query: {x: 'V é'}}}",
    ],
)
def test_credentials_never_show_in_an_error(tmp_path: Path, text: str, value: str) -> None:
    lines = mistakes(tmp_path, text.replace("V", value), {"KEY": SECRET})
    assert lines
    assert SECRET not in "\n".join(lines)


@pytest.mark.parametrize(
    "text",
    [
        "server: {port: '${KEY}'}",
        "server: {host: '${KEY} '}",
        "server: {host: '${KEY}'}",
        "server: {gguf: '${KEY}'}",
        "auth: {keys: '${KEY}'}",
        "default_model: '${KEY} '",
        "providers: {gpu: {preset: '${KEY}'}}",
        "providers: {gpu: {base_url: 'http://h', quirks: ['${KEY}']}}",
        "providers: {gpu: {base_url: 'http://h', dialect: '${KEY}'}}",
        GPU + "models: {m: {use: '${KEY}'}}",
        GPU + "models: {m: {use: '${KEY}/x'}}",
        GPU + "default_model: '${KEY}'",
        "streams: {log: '${KEY}'}",
        "server: {port: '${KEY'}",
    ],
)
def test_a_variable_in_the_wrong_place_shows_its_name_only(tmp_path: Path, text: str) -> None:
    lines = mistakes(tmp_path, text, {"KEY": SECRET})
    assert lines
    assert SECRET not in "\n".join(lines)


def test_an_error_carries_no_cause_that_could_show_more(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(f"auth: {{list: [{SECRET} {SECRET}]}}\nserver: {{port: x}}")
    with pytest.raises(ConfigError) as raised:
        load_config(path, {})
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None


def outcome(path: Path) -> list[str]:
    """Return the mistakes of a file, none where it loads."""
    try:
        load_config(path, {"OPENAI_API_KEY": "k"})
    except ConfigError as error:
        return str(error).split("\n")
    return []


@generated
@given(st.text(max_size=200) | st.binary(max_size=200))
def test_no_file_makes_anything_but_a_config_or_a_sentence(tmp_path: Path, text: str | bytes) -> None:
    path = tmp_path / "any.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    assert all(line.endswith((".", "?")) for line in outcome(path))


names = st.sampled_from(
    [
        "server",
        "auth",
        "providers",
        "models",
        "use",
        "gguf",
        "openai",
        "timeouts",
        "list",
        "keys",
        "x",
        "<<",
        "retry",
    ]
)
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["a/b", "openai/x", "none", "5s", "${X}"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=20,
)


@generated
@given(st.dictionaries(names, documents))
def test_no_shape_makes_anything_but_a_config_or_a_sentence(
    tmp_path: Path, document: dict[str, object]
) -> None:
    import yaml

    path = tmp_path / "any.yaml"
    path.write_text(yaml.safe_dump(document))
    assert all(line.endswith((".", "?")) for line in outcome(path))
