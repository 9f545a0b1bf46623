"""Settings: where they come from, what wins, and what is said when one is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from deid_node.errors import ConfigurationError
from deid_node.node.banner import banner
from deid_node.settings import Settings
from deid_node.settings.destinations import AESettings, FolderSettings
from deid_node.settings.load import load_settings
from deid_node.standard.values import AETitle


def write(folder: Path, text: str) -> Path:
    file = folder / "node.toml"
    file.write_text(text)
    return file


def problems(file: Path | None, environment: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(file, environment=environment or {})
    return list(caught.value.problems)


def test_without_any_configuration_there_is_a_node() -> None:
    settings = load_settings(environment={}).settings

    assert settings.ae_title == "DEIDNODE"
    assert settings.port == 11112
    route = settings.effective_routes["default"]
    assert route.called == (AETitle("DEIDNODE"),)
    assert route.profile == "basic"
    destination = settings.effective_destinations["out"]
    assert isinstance(destination, FolderSettings)
    assert destination.path == settings.state / "out"


def test_water_marks_have_an_order(tmp_path: Path) -> None:
    file = write(tmp_path, "[spool]\nlow_water = 0.9\n")

    with pytest.raises(ConfigurationError) as caught:
        load_settings(file, environment={})

    assert caught.value.problems == (
        f"{file} line 1: spool is not usable: low_water must not be above high_water.",
    )


def test_stronger_sources_win(tmp_path: Path) -> None:
    file = write(tmp_path, 'port = 1\nae_title = "FILE"\nhost = "127.0.0.1"\n')
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "port").write_text("2\n")
    (secrets / "ae_title").write_text("SECRET")
    environment = {"CREDENTIALS_DIRECTORY": str(secrets), "DEID_NODE_PORT": "3"}

    from_environment = load_settings(file, environment=environment).settings
    from_arguments = load_settings(file, environment=environment, port=4).settings

    assert (from_environment.port, from_environment.ae_title) == (3, "SECRET")
    assert from_environment.host == "127.0.0.1"
    assert from_arguments.port == 4


def test_tables_of_several_sources_are_merged(tmp_path: Path) -> None:
    file = write(tmp_path, '[destinations.pacs]\nkind = "ae"\nhost = "a"\nport = 104\nae_title = "PACS"\n')

    settings = load_settings(file, environment={"DEID_NODE_DESTINATIONS__PACS__HOST": "b"}).settings

    pacs = settings.destinations["pacs"]
    assert isinstance(pacs, AESettings)
    assert (pacs.host, pacs.port) == ("b", 104)


def test_the_environment_can_set_lists(tmp_path: Path) -> None:
    environment = {
        "DEID_NODE_PEERS__CT__AE_TITLE": "*",
        "DEID_NODE_PEERS__CT__ADDRESS": "10.0.0.0/8, 192.168.1.7",
    }

    peer = load_settings(environment=environment).settings.peers["ct"]

    assert [str(network) for network in peer.address] == ["10.0.0.0/8", "192.168.1.7/32"]


def test_paths_of_the_file_are_relative_to_the_file(tmp_path: Path) -> None:
    file = write(tmp_path, 'state = "s"\n[destinations.out]\nkind = "folder"\npath = "o"\n')

    settings = load_settings(file, environment={}).settings

    assert settings.state == tmp_path / "s"
    out = settings.destinations["out"]
    assert isinstance(out, FolderSettings)
    assert out.path == tmp_path / "o"


def test_a_profile_name_is_no_path_and_a_profile_file_is(tmp_path: Path) -> None:
    named = load_settings(write(tmp_path, 'profile = "basic"\n'), environment={}).settings
    filed = load_settings(write(tmp_path, 'profile = "own.toml"\n'), environment={}).settings

    assert named.profile == "basic"
    assert filed.profile == str(tmp_path / "own.toml")


def test_the_file_that_is_named_must_exist(tmp_path: Path) -> None:
    absent = tmp_path / "absent.toml"

    assert problems(absent) == [f"{absent}: --config names this file, but there is no such file."]
    assert "DEID_NODE_CONFIG names this file" in problems(None, {"DEID_NODE_CONFIG": str(absent)})[0]


def test_a_file_that_is_no_toml_is_named_with_the_line(tmp_path: Path) -> None:
    file = write(tmp_path, "port = 11112\nhost = here\n")

    [problem] = problems(file)

    assert str(file) in problem
    assert "line 2" in problem


def test_toml_that_is_nested_without_end_is_told(tmp_path: Path) -> None:
    [problem] = problems(write(tmp_path, "ports = " + "[" * 5000))

    assert "is not valid TOML" in problem


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("prt = 1", 'line 1: prt is not a setting; did you mean "port"?'),
        ("zebra = 1", "line 1: zebra is not a setting; valid here: acceptor, ae_title, "),
        ("port = 'x'", "line 1: port must be a whole number."),
        ("port = 70000", "line 1: port must be less than or equal to 65535."),
        (
            'ae_title = "A TITLE THAT IS TOO LONG"',
            "line 1: ae_title is not usable: An AE title has at most 16",
        ),
        ('acceptor = "strem"', 'acceptor must be "stream" or "pynetdicom"; did you mean "stream"?'),
        ("[log]\nlevel = 'loud'", 'line 2: log.level must be "debug" or "info"'),
        ("[log]\nlevl = 'info'", 'line 2: log.levl is not a setting; did you mean "level"?'),
        ("[peers.ct]\nae_title = 'CT'", "line 1: peers.ct.address is missing."),
        ("[peers.ct]\nae_title = 'CT'\naddress = 'ct.example.org'", "host names are not looked up"),
        ("[peers.CT]\nae_title = 'CT'\naddress = '10.0.0.1'", "a name is 1 to 32 of a-z"),
        ("[destinations.x]\npath = 'o'", 'destinations.x needs kind = "folder" or kind = "ae".'),
        ("[destinations.x]\nkind = 'fodler'", 'destinations.x needs kind = "folder" or kind = "ae".'),
        ("[destinations.x]\nkind = 'folder'", "destinations.x.path is missing."),
        (
            "[destinations.x]\nkind = 'folder'\npath = 'o'\ntemplat = ''",
            'line 4: destinations.x.templat is not a setting; did you mean "template"?',
        ),
        (
            "[routes.a]\ncalled = 'A'\ndestinations = 'pcs'\n"
            "[destinations.pacs]\nkind = 'folder'\npath = 'o'",
            'names the destination "pcs", which is not configured; did you mean "pacs"?',
        ),
        (
            "[routes.a]\ncalled = 'A'\ndestinations = 'o'\npeers = ['ct']\n"
            "[destinations.o]\nkind = 'folder'\npath = 'o'",
            'line 4: routes.a.peers names the peer "ct", which is not configured.',
        ),
        (
            "[routes.a]\ncalled = 'A'\ndestinations = 'o'\n[routes.b]\ncalled = 'A'\ndestinations = 'o'\n"
            "[destinations.o]\nkind = 'folder'\npath = 'o'",
            'line 5: routes.b.called has "A", which is bound to route "a" already.',
        ),
        (
            "[routes.a]\ncalled = 'A'\ndestinations = 'o'\non_reject = 'quarantine'\n"
            "[destinations.o]\nkind = 'folder'\npath = 'o'",
            "line 4: routes.a.on_reject needs quarantine.public_key",
        ),
        ("key = '00'", "key is not read from a TOML file; set key_file instead."),
    ],
)
def test_a_wrong_setting_is_named_with_its_place_and_what_would_be_right(
    tmp_path: Path, text: str, expected: str
) -> None:
    file = write(tmp_path, text)

    found = problems(file)

    assert any(expected in problem for problem in found), found
    assert all(str(file) in problem for problem in found)


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    file = write(tmp_path, "prt = 1\n[log]\nlevel = 'loud'\n[routes.a]\ncalled = 'A'\ndestinations = 'x'\n")

    found = problems(file, {"DEID_NODE_PORT": "x"})

    assert len(found) == 4


def test_a_wrong_variable_is_named(tmp_path: Path) -> None:
    assert problems(None, {"DEID_NODE_PRT": "1"}) == [
        'DEID_NODE_PRT: prt is not a setting; did you mean "port"?'
    ]
    assert problems(None, {"DEID_NODE_LOG__LEVEL": "loud"})[0].startswith(
        "DEID_NODE_LOG__LEVEL: log.level must be"
    )


def test_a_wrong_secret_file_is_named_and_its_content_is_not(tmp_path: Path) -> None:
    (tmp_path / "deid_node_port").write_text("hunter2")

    [problem] = problems(None, {"CREDENTIALS_DIRECTORY": str(tmp_path)})

    assert str(tmp_path / "deid_node_port") in problem
    assert "hunter2" not in problem


def test_other_credentials_of_the_unit_are_no_settings(tmp_path: Path) -> None:
    (tmp_path / "deid-node.toml").write_text("")
    (tmp_path / "other").write_bytes(b"\xff\x00")

    load_settings(environment={"CREDENTIALS_DIRECTORY": str(tmp_path)})


def test_settings_made_directly_do_not_look_at_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "1")
    monkeypatch.setenv("DEID_NODE_PORT", "2")

    assert Settings().port == 11112


def test_a_key_does_not_show(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("ab" * 32)

    settings = load_settings(environment={"CREDENTIALS_DIRECTORY": str(tmp_path)}).settings

    assert "abab" not in repr(settings)
    assert settings.key is not None


SEALING = (
    '[routes.r]\ncalled = "R"\ndestinations = "out"\n{}\n[destinations.out]\nkind = "folder"\npath = "/x"\n'
)


@pytest.mark.parametrize("way", ['intake = "sealed"', 'on_hold = "seal"'])
def test_a_route_that_keeps_originals_needs_a_key(tmp_path: Path, way: str) -> None:
    [problem] = problems(write(tmp_path, SEALING.format(way)))

    assert "node.toml line 4: routes.r." in problem
    assert "needs sealed.key_file" in problem


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ('intake = "sealed"\non_reject = "quarantine"', 'leave on_reject = "quarantine" out'),
        ('intake = "sealed"\nacknowledge = "through"', "what goes through is never kept"),
        ('on_hold = "seal"\nacknowledge = "through"', "what goes through is never kept"),
        ('intake = "seald"', 'did you mean "sealed"'),
    ],
)
def test_a_route_that_keeps_originals_cannot_do_what_contradicts_it(
    tmp_path: Path, settings: str, told: str
) -> None:
    text = '[sealed]\nkey_file = "k"\n' + SEALING.format(settings)

    assert any(told in problem for problem in problems(write(tmp_path, text)))


def test_the_key_of_originals_stands_in_no_settings_and_no_environment(tmp_path: Path) -> None:
    in_file = problems(write(tmp_path, '[sealed]\nkey = "abcd"\n'))
    in_environment = problems(None, {"DEID_NODE_SEALED__KEY": "abcd"})

    assert ["sealed.key is not read from a TOML file" in problem for problem in in_file] == [True]
    assert ["is not read from the environment" in problem for problem in in_environment] == [True]
    assert "abcd" not in " ".join(in_file + in_environment)


def test_what_a_route_seals_first_is_told_with_it(tmp_path: Path) -> None:
    text = '[sealed]\nkey_file = "k"\n' + SEALING.format('intake = "sealed"')
    settings = load_settings(write(tmp_path, text), environment={}).settings

    assert "Route:     r: R -> sealed -> basic -> out" in banner(settings, {}, None)


def test_the_banner_says_what_is_not_as_by_default(tmp_path: Path) -> None:
    text = """
    [sealed]
    key_file = "k"
    [quarantine]
    public_key = "p"
    [audit.syslog]
    host = "audit.example"
    ca = "ca.pem"
    [routes.r]
    called = ["R"]
    destinations = ["a"]
    on_hold = "seal"
    on_reject = "quarantine"
    [destinations.a]
    kind = "ae"
    host = "archive.example"
    port = 104
    ae_title = "A"
    commitment = true
    fallback = ["b"]
    [destinations.b]
    kind = "folder"
    path = "b"
    hours = "20:00-06:00"
    """
    settings = load_settings(write(tmp_path, text), environment={}).settings

    lines = banner(settings, {}, None)[3:]

    assert lines == [
        "Route:     r: R -> basic -> a (what is held waits sealed, what is rejected goes into quarantine)",
        "Objects:   a: A at archive.example port 104 (with storage commitment, when out for 300 s: b)",
        f"Objects:   b: folder {tmp_path / 'b'} (between 20:00-06:00)",
        "Audit:     to audit.example port 6514 as well",
    ]


def test_the_key_of_originals_can_be_a_credential_of_systemd(tmp_path: Path) -> None:
    (tmp_path / "deid_node_sealed__key").write_text("0123456789abcdef" * 4)
    text = SEALING.format('intake = "sealed"')

    settings = load_settings(
        write(tmp_path, text), environment={"CREDENTIALS_DIRECTORY": str(tmp_path)}
    ).settings

    assert settings.sealed.has_key
    assert settings.sealing_routes == ("r",)
    assert "0123" not in repr(settings)
