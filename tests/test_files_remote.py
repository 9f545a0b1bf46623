"""Inputs and results that are not on this machine: web servers and object stores, both real."""

from __future__ import annotations

import hashlib
import socket
import struct
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest

from deid_node import Engine, Options, Outcome, deidentify_many
from deid_node.cli import main
from deid_node.commands.exit_codes import ExitCode
from deid_node.engine.keys import Key, Pseudonyms
from deid_node.errors import ConfigurationError
from deid_node.files.web import read_headers

FILES = Path(pydicom.__file__).parent / "data" / "test_files"
CT = FILES / "CT_small.dcm"
KEY = Key(bytes(32))
SHORT = "{Modality}/{SOPInstanceUID}.dcm"


class WebServer:
    """A web server that answers GET from a table and keeps what is PUT."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes] = {}
        self.moved: dict[str, str] = {}
        self.puts: list[tuple[str, dict[str, str], bytes]] = []
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.answers: list[int] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append((self.path, dict(self.headers)))
                path = self.path.split("?")[0]
                if path in outer.moved:
                    self.send_response(302)
                    self.send_header("Location", outer.moved[path])
                    self.end_headers()
                    return
                body = outer.pages.get(path)
                self.send_response(200 if body is not None else 404)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def do_PUT(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = outer.answers.pop(0) if outer.answers else 201
                if status < 300:
                    outer.puts.append((self.path, dict(self.headers), body))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Stay silent."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def web() -> Iterator[WebServer]:
    """A running web server."""
    server = WebServer()
    thread = threading.Thread(target=server.server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.server.shutdown()
    thread.join(10)
    server.server.server_close()


def run(source: str | Path, target: str | Path, **options: Any) -> Any:
    (result,) = deidentify_many([source], target, key=KEY, options=Options(template=SHORT, **options))
    return result


def test_dc1_an_object_is_read_from_a_web_address(web: WebServer, tmp_path: Path) -> None:
    web.pages["/studies/IM%201"] = CT.read_bytes()

    result = run(f"{web.url}/studies/IM%201?token=SECRET", tmp_path, headers={"Authorization": "Bearer x"})

    assert result.outcome is Outcome.DEIDENTIFIED
    assert result.source == f"{web.url}/studies/IM%201"
    assert web.asked[0][1]["Authorization"] == "Bearer x"
    assert result.source_sha256 == hashlib.sha256(CT.read_bytes()).hexdigest()
    assert pydicom.dcmread(result.target).PatientIdentityRemoved == "YES"


def test_a_page_that_is_not_there_fails_one_object(web: WebServer, tmp_path: Path) -> None:
    web.pages["/a"] = CT.read_bytes()

    results = list(
        deidentify_many([f"{web.url}/b", f"{web.url}/a"], tmp_path, key=KEY, options=Options(template=SHORT))
    )

    assert [result.outcome for result in results] == [Outcome.FAILED, Outcome.DEIDENTIFIED]
    assert results[0].reason == "the server answers 404"


@pytest.mark.parametrize("out", ["one.dcm", "result"])
def test_the_command_writes_one_object_of_a_web_address_to_one_file(
    web: WebServer, tmp_path: Path, out: str
) -> None:
    web.pages["/a"] = CT.read_bytes()

    assert main(["deidentify", f"{web.url}/a", str(tmp_path / out)]) == ExitCode.OK
    assert main(["deidentify", f"{web.url}/a", f"{tmp_path / 'folder'}/"]) == ExitCode.OK

    assert pydicom.dcmread(tmp_path / out).PatientIdentityRemoved == "YES"
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["a.dcm"]


def test_the_command_sends_headers_for_one_object(web: WebServer, tmp_path: Path) -> None:
    web.pages["/a"] = CT.read_bytes()
    (tmp_path / "headers").write_text("Authorization: Bearer x\n")

    main(["deidentify", "--headers", str(tmp_path / "headers"), f"{web.url}/a", str(tmp_path / "a.dcm")])

    assert web.asked[0][1]["Authorization"] == "Bearer x"


def test_an_engine_reads_a_web_address(web: WebServer) -> None:
    web.pages["/a"] = CT.read_bytes()

    with Engine(key=KEY) as engine:
        assert engine.deidentify(f"{web.url}/a").content == engine.deidentify(CT).content


@pytest.mark.parametrize("where", ["source", "target"])
def test_an_address_with_a_user_is_refused_without_saying_who(tmp_path: Path, where: str) -> None:
    address = "http://jane:secret@127.0.0.1:9/a"

    with pytest.raises(ConfigurationError, match="Authorization") as caught:
        run(address, tmp_path) if where == "source" else run(CT, address)

    assert "jane" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_server_that_hangs_up_is_told_from_one_that_is_not_there(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(10)

        def hang_up() -> None:
            for _ in range(3):
                conn, _address = listening.accept()
                conn.recv(1)
                conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                conn.close()

        thread = threading.Thread(target=hang_up, daemon=True)
        thread.start()
        result = run(CT, f"http://127.0.0.1:{listening.getsockname()[1]}/up")
        thread.join(10)

    assert result.outcome is Outcome.FAILED
    assert result.reason == "the server ends the connection too early, as one that takes no PUT does"


def test_headers_do_not_follow_to_another_host(web: WebServer, tmp_path: Path) -> None:
    web.pages["/a"] = CT.read_bytes()
    web.moved["/here"] = "/a"
    web.moved["/there"] = f"http://localhost:{web.server.server_port}/a"

    for path in ("/here", "/there"):
        run(f"{web.url}{path}", tmp_path, headers={"Authorization": "Bearer x"})

    assert ["Authorization" in headers for _, headers in web.asked] == [True, True, True, False]


def test_a_redirect_does_not_lead_to_a_file(web: WebServer, tmp_path: Path) -> None:
    web.moved["/a"] = CT.as_uri()

    assert run(f"{web.url}/a", tmp_path).outcome is Outcome.FAILED


def test_dc32_a_result_is_put_with_its_headers(web: WebServer) -> None:
    result = run(CT, f"{web.url}/in box/?k=1", target_headers={"Authorization": "Basic y"}, tell_times=True)

    ((path, headers, body),) = web.puts
    uid = str(pydicom.dcmread(BytesIO(body)).SOPInstanceUID)
    assert result.outcome is Outcome.DEIDENTIFIED
    assert path == f"/in box/CT/{uid}.dcm?k=1".replace(" ", "%20")
    assert result.target == f"{web.url}/in box/CT/{uid}.dcm".replace(" ", "%20")
    assert headers["Content-Type"] == "application/octet-stream"
    assert headers["X-File-Name"] == f"{uid}.dcm"
    assert headers["X-File-Type"] == "application/dicom"
    assert headers["X-File-Size"] == str(len(body)) == str(result.target_size)
    assert headers["X-Source-File-Size"] == str(CT.stat().st_size)
    assert headers["X-Source-File-Modified-Time"].endswith("Z")
    digest = Pseudonyms(KEY).digest("source", hashlib.sha256(CT.read_bytes()).digest()).hex()
    assert headers["X-Source-File-Hash"] == digest
    assert headers["Authorization"] == "Basic y"
    assert b"CompressedSamples" not in body


def test_the_time_of_an_input_is_not_told_unless_asked_for(web: WebServer) -> None:
    run(CT, web.url)

    assert "X-Source-File-Modified-Time" not in web.puts[0][1]


@pytest.mark.parametrize(
    ("answers", "outcome"),
    [([503, 500], Outcome.DEIDENTIFIED), ([500] * 3, Outcome.FAILED), ([403], Outcome.FAILED)],
)
def test_a_server_that_fails_is_asked_again_and_one_that_refuses_is_not(
    web: WebServer, answers: list[int], outcome: Outcome
) -> None:
    web.answers = answers

    result = run(CT, web.url)

    assert (result.outcome, web.answers) == (outcome, [])


def test_headers_are_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "h").write_text("Authorization: Bearer a:b\n\nX-Y:1\n")
    (tmp_path / "wrong").write_text("A: 1\nnonsense\n")

    assert read_headers(tmp_path / "h") == {"Authorization": "Bearer a:b", "X-Y": "1"}
    with pytest.raises(ConfigurationError, match="line 2: a header is written"):
        read_headers(tmp_path / "wrong")


# --- object stores --------------------------------------------------------------------------------


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Any]]:
    """A running object store with a bucket: its address and a client of another library."""
    pytest.importorskip("obstore")
    server_module = pytest.importorskip("moto.server")
    boto3 = pytest.importorskip("boto3")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    client = boto3.client("s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1")
    client.create_bucket(Bucket="box")
    yield f"http://{host}:{port}", client
    server.stop()


def test_dc33_results_and_inputs_lie_in_an_object_store(store: tuple[str, Any], tmp_path: Path) -> None:
    endpoint, client = store
    for key in ("in/a/1.dcm", "in/b/2.dcm", "inside/3.dcm"):
        client.put_object(Bucket="box", Key=key, Body=CT.read_bytes())
    options = Options(template="{input_path}/{index}.dcm", endpoint=endpoint, region="us-east-1")

    results = list(deidentify_many(["s3://box/in"], "s3://box/out", key=KEY, options=options))

    keys = [one["Key"] for one in client.list_objects_v2(Bucket="box", Prefix="out")["Contents"]]
    head = client.head_object(Bucket="box", Key="out/a/1.dcm")
    body = client.get_object(Bucket="box", Key="out/a/1.dcm")["Body"].read()
    assert [result.source for result in results] == ["s3://box/in/a/1.dcm", "s3://box/in/b/2.dcm"]
    assert [result.outcome for result in results] == [Outcome.DEIDENTIFIED] * 2
    assert keys == ["out/a/1.dcm", "out/b/2.dcm"]
    assert head["Metadata"]["source-file-size"] == str(CT.stat().st_size)
    assert head["Metadata"]["source-file-post-mapped-hash"] == results[0].target_sha256
    assert "source-file-modified-time" not in head["Metadata"]
    assert head["ETag"].strip('"') == hashlib.md5(body).hexdigest()


def test_dc33_a_long_result_goes_in_parts(store: tuple[str, Any], tmp_path: Path) -> None:
    endpoint, client = store
    ds = pydicom.dcmread(CT)
    ds.PixelData = bytes(12 << 20)
    ds.Rows, ds.Columns = 2048, 3072
    ds.save_as(tmp_path / "long.dcm")

    (result,) = deidentify_many(
        [tmp_path / "long.dcm"],
        "s3://box/out",
        key=KEY,
        options=Options(template="a.dcm", endpoint=endpoint, region="us-east-1", part_bytes=5 << 20),
    )

    head = client.head_object(Bucket="box", Key="out/a.dcm")
    assert result.outcome is Outcome.DEIDENTIFIED
    assert head["ETag"].strip('"').endswith("-3")
    assert head["ContentLength"] == result.target_size


def test_one_object_may_be_named(store: tuple[str, Any], tmp_path: Path) -> None:
    endpoint, client = store
    client.put_object(Bucket="box", Key="in/1.dcm", Body=CT.read_bytes())

    result = run("s3://box/in/1.dcm", tmp_path, endpoint=endpoint, region="us-east-1")

    assert result.outcome is Outcome.DEIDENTIFIED


def test_a_bucket_that_is_not_there_is_told(store: tuple[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be listed"):
        run("s3://none/in", tmp_path, endpoint=store[0], region="us-east-1")


def test_an_address_without_a_bucket_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="s3://BUCKET/PREFIX"):
        run("s3:///in", tmp_path)
