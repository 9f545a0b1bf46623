"""The kinds of values that settings have: AE titles, addresses, names, times, paths."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from deid_node.errors import ConfigurationError
from deid_node.standard.values import AETitle

ANY_AE_TITLE: Final = "*"


def _title(value: object) -> AETitle:
    if not isinstance(value, str):
        raise ValueError("an AE title is a text of 1 to 16 characters")
    try:
        return AETitle(value)
    except ConfigurationError as error:
        raise ValueError(str(error)) from None


def _caller_title(value: object) -> str:
    return ANY_AE_TITLE if value == ANY_AE_TITLE else _title(value)


def _name(value: str) -> str:
    if re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,31}", value) is None or "__" in value:
        raise ValueError("a name is 1 to 32 of a-z, 0-9, - and _, and starts with a letter or a digit")
    return value


def listed(value: object) -> object:
    """Read one text as a list: environment variables and single values need no brackets."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _network(value: object) -> IPv4Network | IPv6Network:
    try:
        return ip_network(str(value), strict=False)
    except ValueError:
        raise ValueError(
            "an address is an IP address or a CIDR block, like 10.0.4.17 or 10.0.4.0/24; "
            "host names are not looked up"
        ) from None


def _hours(value: object) -> str:
    clock = "(?:[01][0-9]|2[0-3]):[0-5][0-9]"
    if not isinstance(value, str) or re.fullmatch(f"{clock}-(?:{clock}|24:00)", value.strip()) is None:
        raise ValueError("hours are written as 20:00-06:00, from and to in local time")
    return value.strip()


def _mode(value: object) -> object:
    """Read a mode as chmod does: "0640" and "640" are octal."""
    if isinstance(value, str):
        try:
            return int(value.removeprefix("0o"), 8)
        except ValueError:
            raise ValueError('a mode is written like "0750"') from None
    return value


def _expanded(value: Path) -> Path:
    return value.expanduser()


Title = Annotated[AETitle, BeforeValidator(_title)]
CallerTitle = Annotated[str, BeforeValidator(_caller_title)]
Name = Annotated[str, AfterValidator(_name)]
Port = Annotated[int, Field(ge=1, le=65535)]
Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(_network)]
Folder = Annotated[Path, AfterValidator(_expanded)]
Mode = Annotated[int, BeforeValidator(_mode), Field(ge=0o400, le=0o7777)]
Hours = Annotated[str, BeforeValidator(_hours)]
Seconds = Annotated[float, Field(gt=0, le=86400)]


class Section(BaseModel):
    """A table of settings: frozen, and what is not a setting is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)
