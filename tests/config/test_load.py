"""What a file, the environment and the command line become together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from textwrap import dedent

import pytest

from tidegate.config import (
    Auth,
    Config,
    Demo,
    Deployment,
    Limits,
    Provider,
    Retry,
    Secret,
    Server,
    Timeouts,
    load_config,
)

Load = Callable[..., Config]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Load a YAML text from a file in a folder of its own."""

    def load_text(
        text: str,
        environ: Mapping[str, str] | None = None,
        command_line: Mapping[str, str | Sequence[str]] | None = None,
    ) -> Config:
        path = tmp_path / "tidegate.yaml"
        path.write_text(dedent(text), "utf-8")
        return load_config(path, environ or {}, command_line)

    return load_text


def model_file(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"GGUF\x03\x00\x00\x00")
    return path


def test_without_a_file_everything_is_at_its_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_config(None, {}) == Config()


@pytest.mark.parametrize(
    "text", ["", "---\n", "# nothing\n", "~", "server:\nmodels:\nauth:\n", "\ufeffserver: {}\n"]
)
def test_an_empty_file_is_like_none(load: Load, text: str) -> None:
    config = load(text)
    assert (config.server, config.auth, config.models, config.providers) == (Server(), Auth(), {}, {})


def test_the_file_of_the_working_directory_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tidegate.yaml").write_text("server: {port: 1234}")
    config = load_config(None, {})
    assert (config.server.port, config.source_path) == (1234, "tidegate.yaml")


def test_the_documented_example_becomes_typed_values(load: Load, tmp_path: Path) -> None:
    path = model_file(tmp_path / "models" / "qwen3-0.6b-q8_0.gguf")
    config = load(
        """
        server:   {host: 127.0.0.1, port: 7861, workers: 1, max_streams: 500, cors: ["https://App.example.com"]}
        auth:     {keys: required, list: [sk-one]}
        providers:
          openai: {api_key: "${OPENAI_API_KEY}"}
          gpu1:   {base_url: "http://gpu1:8000/v1", dialect: openai-chat, api_key: none}
        models:
          fast:
            use: [gpu1/qwen3-8b, openai/gpt-4o-mini]
            timeouts: {connect: 250ms, first_token: 30s, total: 1h}
            on_break: fail
            on_disconnect: detach
            retry: {attempts: 5, backoff: 0s}
          qwen:   {gguf: "models/qwen3-0.6b-q8_0.gguf", context: 8192}
        default_model: fast
        timeouts: {idle: 90s, min_speed: 1.5}
        demo: {delay: 0ms}
        streams: {log: memory}
        """,
        {"OPENAI_API_KEY": "sk-up"},
    )
    assert config.server == Server(port=7861, max_streams=500, cors=("https://app.example.com",))
    assert config.auth == Auth(keys="required", list=(Secret("sk-one"),))
    assert list(config.providers) == ["openai", "gpu1"]
    assert config.providers["openai"].base_url == "https://api.openai.com/v1"
    assert config.providers["openai"].credential == Secret("sk-up")
    assert config.providers["gpu1"] == Provider(name="gpu1", base_url="http://gpu1:8000/v1")
    fast = config.models["fast"]
    assert fast.use == (
        Deployment(provider="gpu1", model="qwen3-8b"),
        Deployment(provider="openai", model="gpt-4o-mini"),
    )
    assert fast.timeouts == Timeouts(connect=0.25, first_token=30.0, idle=90.0, total=3600.0, min_speed=1.5)
    assert (fast.on_break, fast.on_disconnect, fast.retry) == (
        "fail",
        "detach",
        Retry(attempts=5, backoff=0.0),
    )
    assert (config.models["qwen"].gguf, config.models["qwen"].context) == (path, 8192)
    assert config.models["qwen"].timeouts == Timeouts(idle=90.0, min_speed=1.5)
    assert (config.default_model, config.demo) == ("fast", Demo(delay=0.0))


def test_deployments_may_be_mappings(load: Load) -> None:
    config = load(
        """
        providers: {gpu1: {base_url: "http://gpu1/v1"}}
        models:
          m:
            same_as: base
            use:
              - {deployment: gpu1/Qwen/Qwen3-8B, weight: 2.5, limits: {max_streams: 8}}
              - {deployment: "gpu1/other", same_as: else}
        """
    )
    assert config.models["m"].use == (
        Deployment(
            provider="gpu1", model="Qwen/Qwen3-8B", weight=2.5, same_as="base", limits=Limits(max_streams=8)
        ),
        Deployment(provider="gpu1", model="other", same_as="else"),
    )


def test_one_deployment_needs_no_list(load: Load) -> None:
    config = load(
        "{providers: {g: {base_url: 'http://g/v1'}}, models: {a: {use: g/x}, b: {use: {deployment: g/y}}}}"
    )
    assert [model.use[0].model for model in config.models.values()] == ["x", "y"]


def test_texts_stay_as_they_are_written(load: Load) -> None:
    config = load(
        """
        providers: {gpu: {base_url: "http://gpu/v1", api_key: 0123}}
        models: {on: {use: gpu/1.10}, 2024: {use: gpu/yes}}
        """
    )
    assert config.providers["gpu"].credential == Secret("0123")
    assert {name: model.use[0].model for name, model in config.models.items()} == {
        "on": "1.10",
        "2024": "yes",
    }


def test_merge_keys_are_followed(load: Load) -> None:
    config = load(
        """
        providers: {g: {base_url: "http://g/v1"}}
        models:
          a: {use: g/a, retry: &calm {attempts: 7, backoff: 1s}}
          b: {use: g/b, retry: {<<: *calm, backoff: 2s}}
          c: {use: g/c, retry: {<<: [{attempts: 9}, *calm]}}
        """
    )
    retries = [model.retry for model in config.models.values()]
    assert [(retry.attempts, retry.backoff) for retry in retries] == [(7, 1.0), (7, 2.0), (9, 1.0)]


def test_a_mapping_that_inherits_from_itself_is_refused_and_ends(load: Load) -> None:
    with pytest.raises(Exception, match="<< must name a mapping"):
        load("server: &a {<<: *a, port: 1}")


def test_sizes_switches_and_zero_ports_are_read(load: Load) -> None:
    server = load(
        "server: {port: 0, max_body: 1MiB, access_log: off, header_hold: 0, keep_alive: 10s}"
    ).server
    assert server == Server(port=0, max_body=2**20, access_log=False, header_hold=0.0, keep_alive=10.0)


def test_the_command_line_wins(load: Load, tmp_path: Path) -> None:
    path = model_file(tmp_path / "a.gguf")
    config = load(
        "server: {host: 0.0.0.0, port: 1, gguf: missing.gguf}",
        command_line={"host": "localhost", "port": "2", "gguf": [str(path), str(path)]},
    )
    assert config.server == Server(host="localhost", port=2, gguf=(path,))


def test_paths_begin_at_the_file_or_at_the_working_directory(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = model_file(tmp_path / "m.gguf")
    there = model_file(tmp_path / "elsewhere" / "m.gguf")
    monkeypatch.chdir(there.parent)
    assert load("server: {gguf: [m.gguf]}").server.gguf == (here,)
    assert load("", command_line={"gguf": "m.gguf"}).server.gguf == (there,)


def test_the_home_folder_is_found(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    path = model_file(tmp_path / "models" / "m.gguf")
    assert load("models: {m: {gguf: ~/models/m.gguf}}").models["m"].gguf == path


# Providers


def test_providers_come_from_the_environment_in_the_order_of_the_table(load: Load) -> None:
    environ = {
        "GROQ_API_KEY": "g",
        "AZURE_OPENAI_API_KEY": "a",
        "AZURE_OPENAI_ENDPOINT": "https://res.openai.azure.com/",
        "OPENAI_API_KEY": " o\n",
        "MISTRAL_API_KEY": "",
        "VLLM_API_KEY": "local-servers-are-asked-not-assumed",
    }
    providers = load("", environ).providers
    assert list(providers) == ["openai", "azure", "groq"]
    assert providers["openai"].credential == Secret("o")
    assert providers["azure"].base_url == "https://res.openai.azure.com/openai/v1"
    assert providers["azure"].signed_headers() == {"api-key": "a"}
    assert providers["openai"].title == "OpenAI"


def test_azure_without_an_endpoint_is_left_out(load: Load) -> None:
    assert load("", {"AZURE_OPENAI_API_KEY": "a"}).providers == {}


@pytest.mark.parametrize(
    ("base_url", "expected"),
    [
        ("https://proxy.example.com/v1", "https://proxy.example.com/v1"),
        ("http://127.0.0.1:9999/v1", "http://127.0.0.1:9999/v1"),
        ("http://127.0.0.1:7860/v1", "https://api.openai.com/v1"),
        ("http://localhost:7860", "https://api.openai.com/v1"),
    ],
)
def test_a_base_url_of_the_environment_is_followed_unless_it_is_this_gateway(
    load: Load, base_url: str, expected: str
) -> None:
    providers = load("", {"OPENAI_API_KEY": "o", "OPENAI_BASE_URL": base_url}).providers
    assert providers["openai"].base_url == expected


def test_named_providers_replace_those_of_the_environment(load: Load) -> None:
    assert list(load("providers: {groq: }", {"OPENAI_API_KEY": "o", "GROQ_API_KEY": "g"}).providers) == [
        "groq"
    ]
    assert load("providers: {}", {"OPENAI_API_KEY": "o"}).providers == {}


def test_a_preset_serves_several_accounts(load: Load) -> None:
    config = load(
        """
        providers:
          openai: {api_key: one}
          openai2: {preset: openai, api_key: two, headers: {OpenAI-Project: p}}
        """
    )
    first, second = config.providers.values()
    assert first.base_url == second.base_url
    assert first.quirks == second.quirks == {"max_completion_tokens", "no_top_k"}
    assert (first.preset, second.preset, second.name) == ("openai", "openai", "openai2")
    assert second.signed_headers() == {"openai-project": "p", "authorization": "Bearer two"}


def test_settings_of_a_provider_win_over_its_preset(load: Load) -> None:
    config = load(
        """
        providers:
          mistral: {api_key: k, base_url: "http://proxy/v1", auth: "query:key", quirks: [], query: {v: "1"}}
        """
    )
    mistral = config.providers["mistral"]
    assert (mistral.base_url, mistral.quirks) == ("http://proxy/v1", frozenset())
    assert mistral.signed_query() == {"v": "1", "key": "k"}


def test_a_local_vendor_needs_nothing(load: Load) -> None:
    provider = load(
        "providers: {vllm: , ollama: {base_url: 'http://box:11434/v1'}}", {"VLLM_API_KEY": "k"}
    ).providers
    assert provider["vllm"].credential == Secret("k")
    assert provider["ollama"].base_url == "http://box:11434/v1"


def test_azure_takes_a_bare_address(load: Load) -> None:
    azure = load("providers: {azure: {base_url: 'https://r.openai.azure.com', api_key: k}}").providers[
        "azure"
    ]
    assert azure.base_url == "https://r.openai.azure.com/openai/v1"


def test_a_local_vendor_may_be_named_where_no_providers_are(load: Load) -> None:
    environ = {"OPENAI_API_KEY": "o", "VLLM_API_KEY": "v"}
    config = load("models: {m: {use: [ollama/qwen3, openai/gpt-4o, vllm/x]}}", environ)
    assert config.providers["ollama"].base_url == "http://127.0.0.1:11434/v1"
    assert config.providers["vllm"].credential == Secret("v")
    assert list(config.providers) == ["openai", "ollama", "vllm"]


# Callers


def test_keys_make_auth_required(load: Load) -> None:
    assert load("").auth.keys == "open"
    assert load("auth: {keys: open}").auth.keys == "open"
    assert load("auth: {list: [a]}").auth.keys == "required"
    assert load("", {"TIDEGATE_API_KEYS": "a"}).auth.keys == "required"


def test_keys_come_from_the_file_and_the_environment_once_each(load: Load) -> None:
    auth = load("auth: {list: [a, '${B}']}", {"B": "b", "TIDEGATE_API_KEYS": " b , c,,"}).auth
    assert [key.reveal() for key in auth.list] == ["a", "b", "c"]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "my-host"])
def test_a_public_address_is_fine_with_keys(load: Load, host: str) -> None:
    config = load(f"server: {{host: '{host}'}}", {"TIDEGATE_API_KEYS": "a"})
    assert (config.server.host, config.auth.keys) == (host, "required")


# Reloading


def test_two_loads_of_the_same_settings_are_equal(load: Load) -> None:
    text = "providers: {openai: {api_key: '${K}'}}\nmodels: {m: {use: openai/x}}\nauth: {list: [a]}"
    first = load(text, {"K": "1"})
    assert load(text, {"K": "1"}) == first
    assert load(text, {"K": "2"}) != first
    assert load(text.replace("openai/x", "openai/y"), {"K": "1"}) != first


@pytest.mark.parametrize("name", ["fast", "demo", "gpu/anything", "m"])
def test_the_default_model_may_be_listed_or_found(load: Load, tmp_path: Path, name: str) -> None:
    model_file(tmp_path / "m.gguf")
    text = (
        "providers: {gpu: {base_url: 'http://g/v1'}}\nmodels: {fast: {use: gpu/x}}\nserver: {gguf: m.gguf}\n"
    )
    assert load(text + f"default_model: {name}").default_model == name


def test_the_default_model_may_be_one_that_is_found_at_start(load: Load) -> None:
    assert load("default_model: qwen3:8b").default_model == "qwen3:8b"
