"""The demo over HTTP: what its endpoints answer, what they refuse, and that a refusal harms nobody else."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.broken import broken_files
from tests.conftest import Demo
from tests.media import render_audio_only, render_clip, render_text
from tests.web import OUTSIDE, served, shapes_clip

DOCS = Path(__file__).parents[2] / "docs" / "howto" / "page.md"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shapes_clip(tmp_path_factory.mktemp("clip") / "holiday.mp4")


@pytest.fixture(scope="module")
def client(demo: Demo) -> Any:
    return visitor(demo.address)


def visitor(address: str) -> Any:
    """A client that reports to nobody else."""
    from gradio_client import Client

    return Client(address, verbose=False, analytics_enabled=False, httpx_kwargs={"timeout": 60})


def upload(path: Path) -> Any:
    from gradio_client import handle_file

    return handle_file(str(path))


def refusal(client: Any, *arguments: Any, api_name: str = "/caption") -> str:
    """The sentence with which a request is refused."""
    with pytest.raises(Exception) as caught:
        client.predict(*arguments, api_name=api_name)
    return str(caught.value)


def test_caption_is_the_package_s_own(demo: Demo, client: Any, clip: Path) -> None:
    found = client.predict(upload(clip), api_name="/caption")
    caption = demo.captioner.caption(clip)
    assert (found["file"], found["caption"]) == ("holiday.mp4", caption.text)
    assert found["confidence"] == pytest.approx(caption.confidence, abs=1e-3)
    assert [w["text"] for w in found["words"]] == caption.text.split()
    assert found["end_seconds"] == pytest.approx(1.5, abs=0.1)


def test_settings_reach_the_search(demo: Demo, client: Any, clip: Path) -> None:
    found = client.predict(
        video=upload(clip),
        checkpoint="tiny",
        strategy="greedy",
        frames=2,
        start_seconds=0.5,
        end_seconds=1.0,
        api_name="/caption",
    )
    assert len(found["times_seconds"]) == 2 and len(found["alternatives"]) == 1
    assert all(0.4 <= t <= 1.0 for t in found["times_seconds"])
    assert found["model"] != demo.captioner.checkpoint.fingerprint
    found = client.predict(video=upload(clip), beams=4, api_name="/caption")
    ranked = found["alternatives"]
    assert 2 <= len(ranked) <= 4 and ranked[0]["caption"] == found["caption"] and len({str(a) for a in ranked}) > 1
    unsure = client.predict(video=upload(clip), min_confidence=1.0, api_name="/caption")
    assert unsure["abstained"]


def test_timeline_grows_and_ends_with_subtitles(client: Any, clip: Path) -> None:
    job = client.submit(upload(clip), "fixed", 0.5, api_name="/timeline")
    states = [*job, job.result()][:-1]
    *growing, last = states
    assert last["finished"] and not any(state["finished"] for state in growing)
    assert last["captions"][0]["start_seconds"] == 0
    assert last["captions"][-1]["end_seconds"] == pytest.approx(1.5, abs=0.1)
    assert last["vtt"].startswith("WEBVTT") and last["vtt"].count("-->") == last["srt"].count("-->")
    assert last["vtt"].count("-->") == len(last["captions"]) >= 1


def test_examples_of_the_docs(demo: Demo, clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", DOCS.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert blocks
    for block in blocks:
        code = block.replace("http://127.0.0.1:7860", demo.address).replace("holiday.mp4", str(clip))
        exec(compile(code, str(DOCS), "exec"), {})
    assert demo.captioner.caption(clip).text in capsys.readouterr().out


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Uploads that are no videos, by what they are."""
    folder = tmp_path_factory.mktemp("bad")
    broken = {path.name: path for path in broken_files(folder / "broken")}
    (folder / "empty.mp4").touch()
    return {
        "empty": folder / "empty.mp4",
        "text": render_text(folder / "text.mp4"),
        "playlist": render_text(folder / "list.m3u8", "#EXTM3U\n#EXTINF:9,\nhttp://127.0.0.1:9/a.mp4\n"),
        "disguised playlist": broken["playlist-of-a-server.mp4"],
        "audio": render_audio_only(folder / "audio.mp4"),
        "bomb": broken["png-bomb.mp4"],
        "name": render_text(folder / "<img src=x onerror=alert(1)>.mp4"),
        "too long": render_clip(folder / "long.mp4", frames=13 * 60, rate=1),
    }


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("empty", "empty"),
        ("text", "no video"),
        ("playlist", "playlist"),
        ("disguised playlist", "playlist"),
        ("audio", "no video"),
        ("bomb", "too large"),
        ("name", "no video"),
        ("too long", "13 minutes long"),
    ],
)
@pytest.mark.parametrize("endpoint", ["/caption", "/timeline"])
def test_bad_uploads_get_one_sentence(
    client: Any, clip: Path, bad: dict[str, Path], kind: str, said: str, endpoint: str
) -> None:
    sentence = refusal(client, upload(bad[kind]), api_name=endpoint)
    assert said in sentence and sentence.endswith(".") and "\n" not in sentence
    assert "/" not in sentence and "Error" not in sentence and "<" not in sentence
    if endpoint == "/caption":
        assert client.predict(upload(clip), api_name="/caption")["caption"]  # the next visitor is served


def test_too_large_is_refused_while_uploading(client: Any, tmp_path: Path) -> None:
    large = tmp_path / "large.mp4"
    large.write_bytes(bytes(5 * 2**20))
    assert "413" in refusal(client, upload(large)) or "size" in refusal(client, upload(large))


def test_numbers_that_make_no_sense(client: Any, clip: Path) -> None:
    sentence = refusal(client, upload(clip), "default", "beam", 5, 0.7, 0, 16, 2.0, 1.0)
    assert "end_seconds" in sentence and "\n" not in sentence
    assert "not in the list of choices" in refusal(client, upload(clip), "../../etc")
    assert "video first" in refusal(client, None)


def test_neither_addresses_nor_files_of_the_server_are_opened(client: Any, demo: Demo) -> None:
    visitors = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(2)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/a.mp4"

        def listen() -> None:
            with contextlib.suppress(TimeoutError):
                visitors.append(listener.accept())

        thread = threading.Thread(target=listen)
        thread.start()
        named = {"path": address, "meta": {"_type": "gradio.FileData"}}
        assert "addresses are not fetched" in _post(demo, [named])
        # any component could be made to fetch, not only the one for videos
        assert "addresses are not fetched" in _post(demo, [None, "default", "beam", named])
        thread.join()
    assert visitors == []
    for path in ("/etc/passwd", str(Path(__file__))):
        answer = _post(demo, [{"path": path, "meta": {"_type": "gradio.FileData"}}])
        assert "error" in answer and path not in answer and "root:" not in answer
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(f"{demo.address}/gradio_api/file={path}", timeout=10)


def _post(demo: Demo, data: list[Any]) -> str:
    """What /caption answers to a hand-made request."""
    url = f"{demo.address}/gradio_api/call/caption"
    body = json.dumps({"data": data + [None] * (9 - len(data))}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        event = json.load(answer)["event_id"]
    with urllib.request.urlopen(f"{url}/{event}", timeout=20) as answer:
        return str(answer.read().decode())


def test_sixteen_visitors_at_once(demo: Demo, clip: Path) -> None:
    expected = demo.captioner.caption(clip).text

    def visit(_: int) -> str:
        return str(visitor(demo.address).predict(upload(clip), api_name="/caption")["caption"])

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(visit, range(16))) == [expected] * 16


def test_a_full_queue_says_so(clip: Path, checkpoint: Path) -> None:
    import app
    from captioner import Captioner
    from demo.limits import Limits

    limits = Limits(waiting=1, clips_at_once=1, films_at_once=1, keep_seconds=1)
    with served(app.build_app(Captioner.load(checkpoint), limits=limits), limits) as address:
        visitors = [visitor(address) for _ in range(6)]
        with ThreadPoolExecutor(6) as pool:
            jobs = [pool.submit(v.predict, upload(clip), api_name="/caption") for v in visitors]
        answers = [str(job.exception() or job.result()["caption"]) for job in jobs]
        assert all(answers)
        refused = [answer for answer in answers if "full" in answer.lower()]
        assert len(refused) < 6
        _uploads_are_deleted()


def _uploads_are_deleted() -> None:
    """With ``keep_seconds=1``, nothing that was uploaded to that server is left after a while."""
    from gradio.utils import get_upload_folder

    deadline = time.monotonic() + 60
    while any(path.name == "holiday.mp4" for path in Path(get_upload_folder()).rglob("*")):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_health_and_headers(demo: Demo) -> None:
    with urllib.request.urlopen(f"{demo.address}/health", timeout=10) as answer:
        assert json.load(answer) == {"status": "ok", "version": "0.1.0", "model": "tiny"}
        policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy and "http:" not in policy
    with urllib.request.urlopen(f"{demo.address}/config", timeout=10) as answer:
        config = json.load(answer)
    assert config["analytics_enabled"] is False


@pytest.fixture(scope="module", autouse=True)
def nothing_outside() -> Iterator[None]:
    """No test of this file may make the server reach another machine."""
    yield
    assert not OUTSIDE, "\n".join(OUTSIDE)


def test_tools_for_language_models(demo: Demo, clip: Path) -> None:
    """Over the Model Context Protocol, with the video inside the message: addresses are refused here too."""
    from demo.server import has_mcp

    if not has_mcp():
        pytest.skip("needs gradio[mcp]: mcp 1, not 2")
    tools = {tool["name"]: tool for tool in _mcp(demo, "tools/list")["tools"]}
    assert set(tools) == {"caption", "find", "timeline"} and "one sentence" in tools["caption"]["description"]
    data = "data:video/mp4;base64," + base64.b64encode(clip.read_bytes()).decode()
    answer = _mcp(demo, "tools/call", name="caption", arguments={"video": data})
    assert demo.captioner.caption(clip).text in json.dumps(answer) and not answer.get("isError")
    refused = _mcp(demo, "tools/call", name="caption", arguments={"video": "http://127.0.0.1:9/a.mp4"})
    assert refused["isError"] and "addresses are not fetched" in json.dumps(refused)


def _mcp(demo: Demo, method: str, **parameters: Any) -> dict[str, Any]:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}).encode()
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    request = urllib.request.Request(f"{demo.address}/gradio_api/mcp/", body, headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        text = answer.read().decode()
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith(("data: {", "{"))]
    return dict(json.loads(lines[-1])["result"])


def test_find_searches_the_samples(client: Any) -> None:
    found = client.predict("a cat", 2, api_name="/find")
    assert len(found) == 2 and found[0]["score"] >= found[1]["score"]
    assert all("/" not in row["file"] and row["caption"] for row in found)
    assert "Type what you are looking for" in refusal(client, "  ", 2, api_name="/find")
    assert "after:soon is not a date" in refusal(client, "a cat after:soon", 2, api_name="/find")
