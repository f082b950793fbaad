"""Owns finding the providers: those that the file names, else those that the environment has keys for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from tidegate.config.document import Problems, Section, Value, suggestion
from tidegate.config.presets import CONTINUES, QUIRKS, Preset, load_presets
from tidegate.config.secret import Secret
from tidegate.config.settings import Provider, Server
from tidegate.config.values import (
    is_loopback,
    one_of,
    parse_auth_form,
    parse_base_url,
    parse_credential,
    parse_header_name,
    parse_header_value,
    parse_provider_name,
)

_AVAILABLE_DIALECTS: Final = (
    "openai-chat",
    "openai-responses",
    "openai-completions",
    "anthropic-messages",
    "gemini",
)
_LATER_DIALECTS: Final = ("anythingllm", "events")


def read_providers(
    section: Section, presets: Mapping[str, Preset], environ: Mapping[str, str]
) -> dict[str, Provider]:
    """Return the providers that the file names, in its order. Wrong ones are there too, so that a deployment
    that names one is not told to be wrong as well."""
    providers = {}
    for name, value in section.entries():
        try:
            parse_provider_name(name)
        except ValueError as error:
            value.complain(str(error))
        inner = value.section()
        if inner is not None:
            providers[name] = _read_provider(name, value, inner, presets, environ)
    return providers


def _read_provider(
    name: str, value: Value, section: Section, presets: Mapping[str, Preset], environ: Mapping[str, str]
) -> Provider:
    preset = _find_preset(name, section, presets)
    base_url, is_vendors = _read_base_url(name, value, section, preset, presets, environ)
    provider = Provider(
        name=name,
        base_url=base_url,
        dialect=section.parsed("dialect", _parse_dialect, preset.dialect if preset else "openai-chat"),
        credential=_read_credential(value, section, preset, is_vendors, environ),
        auth=section.parsed("auth", parse_auth_form, preset.auth if preset else "bearer"),
        headers=read_secrets(section.section("headers"), headers=True),
        query=read_secrets(section.section("query"), headers=False),
        quirks=_read_quirks(section, preset),
        continues=section.optional("continues", one_of(*CONTINUES)) or (preset.continues if preset else None),
        continues_path=preset.continues_path if preset and section.get("continues") is None else None,
        preset=preset.name if preset else None,
        title=preset.title if preset else None,
        docs=preset.docs if preset else None,
        local=preset.local if preset else False,
    )
    section.close()
    return provider


def _find_preset(name: str, section: Section, presets: Mapping[str, Preset]) -> Preset | None:
    value = section.get("preset")
    if value is None:
        return presets.get(name)
    chosen = value.text()
    if chosen is not None and chosen not in presets:
        value.complain(f"is not a known vendor: {value.shown}{suggestion(chosen, presets, 'known are')}")
    return presets.get(chosen or "")


def _read_base_url(
    name: str,
    value: Value,
    section: Section,
    preset: Preset | None,
    presets: Mapping[str, Preset],
    environ: Mapping[str, str],
) -> tuple[str, bool]:
    """Return the base URL, and whether it is where the vendor's own credential belongs."""
    if section.get("base_url") is not None:
        base_url = section.optional("base_url", parse_base_url, secret=True) or ""
        is_vendors = preset is not None and (
            preset.local or not preset.base_url or base_url == preset.base_url
        )
        return _with_endpoint_path(base_url, preset), is_vendors
    if preset is None:
        if section.get("preset") is None:
            value.complain(
                'needs base_url, such as "http://127.0.0.1:8000/v1", because no vendor is known by that name'
                + suggestion(name, presets, "known are")
            )
        return "", False
    base_url = preset.base_url
    if preset.endpoint_env and not base_url:
        base_url = endpoint_of(preset, environ, value.document.problems) or ""
        if not base_url:
            value.complain(
                f'needs base_url, such as "https://YOUR-RESOURCE.openai.azure.com",'
                f" or the environment variable {preset.endpoint_env}"
            )
    return base_url, True


def _read_credential(
    value: Value, section: Section, preset: Preset | None, is_vendors: bool, environ: Mapping[str, str]
) -> Secret | None:
    given = section.get("api_key")
    if given is not None:
        text = given.text()
        if text is None or text == "none":
            return None
        if not text:
            given.complain("is empty; write none where the server needs no key")
            return None
        return section.optional("api_key", lambda key: Secret(parse_credential(key)), secret=True)
    if preset is None:
        return None
    if is_vendors:
        credential = credential_of(preset, environ, value.document.problems)
        if credential is None and not preset.local:
            value.complain(f'needs api_key: "${{{preset.env[0]}}}", or that variable in the environment')
        return credential
    if section.get("base_url") is not None:
        value.complain(
            f"needs api_key, or api_key: none, because its base_url is not {preset.title}'s own"
            f" and {preset.env[0]} is not sent elsewhere unasked"
        )
    return None


def read_secrets(section: Section, *, headers: bool) -> dict[str, Secret]:
    """Return extra headers or query parameters; their values may be credentials, so they never show."""
    found = {}
    for name, value in section.entries():
        key = name
        if headers:
            try:
                key = parse_header_name(name)
            except ValueError as error:
                value.complain(str(error))
        text = value.parsed(parse_header_value, secret=True)
        if text is not None:
            found[key] = Secret(text)
    return found


def _read_quirks(section: Section, preset: Preset | None) -> frozenset[str]:
    value = section.get("quirks")
    if value is None:
        return preset.quirks if preset else frozenset()
    quirks: set[str] = set()
    for member in value.items():
        text = member.text()
        if text is None:
            continue
        if text in QUIRKS:
            quirks.add(text)
        else:
            member.complain(f"is no known quirk: {member.shown}{suggestion(text, QUIRKS, 'known are')}")
    return frozenset(quirks)


def _parse_dialect(text: str) -> str:
    if text in _LATER_DIALECTS:
        raise ValueError(f"must be {_or(_AVAILABLE_DIALECTS)} in this version")
    if text not in _AVAILABLE_DIALECTS:
        raise ValueError(f"must be {_or(_AVAILABLE_DIALECTS)}")
    return text


def _or(words: tuple[str, ...]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]])


def environment_providers(
    presets: Mapping[str, Preset], environ: Mapping[str, str], server: Server, problems: Problems
) -> dict[str, Provider]:
    """Return every hosted vendor that the environment holds a credential for, in the order of the presets."""
    providers = {}
    for preset in presets.values():
        if preset.local or not any(environ.get(variable, "").strip() for variable in preset.env):
            continue
        base_url = endpoint_of(preset, environ, problems)
        if base_url is None or _is_this_gateway(base_url, server):
            # A shell that points its clients here by OPENAI_BASE_URL must not make the gateway call itself.
            base_url = preset.base_url
        credential = credential_of(preset, environ, problems)
        if base_url and credential is not None:
            providers[preset.name] = from_preset(preset, base_url, credential)
    return providers


def local_providers(environ: Mapping[str, str]) -> tuple[Provider, ...]:
    """Return the local servers that are worth asking at start, each at its standard port.

    A credential is taken from the environment where the vendor's own variable is set. Raises ConfigError when
    that variable holds something that no header can carry.
    """
    problems = Problems()
    found = local_vendors(load_presets(), environ, problems)
    problems.raise_if_any()
    return tuple(found.values())


def local_vendors(
    presets: Mapping[str, Preset], environ: Mapping[str, str], problems: Problems
) -> dict[str, Provider]:
    """Return every vendor that people run on their own machine, at its standard port."""
    return {
        preset.name: from_preset(preset, preset.base_url, credential_of(preset, environ, problems))
        for preset in presets.values()
        if preset.local
    }


def from_preset(preset: Preset, base_url: str, credential: Secret | None) -> Provider:
    """Return the provider that a preset describes."""
    return Provider(
        name=preset.name,
        base_url=base_url,
        dialect=preset.dialect,
        credential=credential,
        auth=preset.auth,
        quirks=preset.quirks,
        continues=preset.continues,
        continues_path=preset.continues_path,
        preset=preset.name,
        title=preset.title,
        docs=preset.docs,
        local=preset.local,
    )


def credential_of(preset: Preset, environ: Mapping[str, str], problems: Problems) -> Secret | None:
    """Return the credential that the environment holds for a vendor."""
    for variable in preset.env:
        text = environ.get(variable, "").strip()
        if text:
            try:
                return Secret(parse_credential(text))
            except ValueError as error:
                problems.add(variable, f"the environment variable {error}")
    return None


def endpoint_of(preset: Preset, environ: Mapping[str, str], problems: Problems) -> str | None:
    """Return the base URL that the environment holds for a vendor."""
    text = environ.get(preset.endpoint_env or "", "").strip()
    if not preset.endpoint_env or not text:
        return None
    try:
        return _with_endpoint_path(parse_base_url(text), preset)
    except ValueError as error:
        problems.add(preset.endpoint_env, f"the environment variable {error}")
        return None


def _with_endpoint_path(base_url: str, preset: Preset | None) -> str:
    if preset is None or not base_url or urlsplit(base_url).path:
        return base_url
    return base_url + preset.endpoint_path


def _is_this_gateway(base_url: str, server: Server) -> bool:
    parts = urlsplit(base_url)
    return parts.port == server.port and (parts.hostname == server.host or is_loopback(parts.hostname or ""))
