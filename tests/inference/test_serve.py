"""The server: every file gets its verdict and goes, and nobody gets further than that."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from avkd.config.evaluation_config import PredictConfig, ServeConfig
from avkd.inference import judging

pytest.importorskip("fastapi", reason="fastapi is not installed (pip install 'avkd[serve]')")
httpx = pytest.importorskip("httpx", reason="httpx is not installed (pip install 'avkd[dev]')")

import uvicorn  # noqa: E402
from fastapi import FastAPI  # noqa: E402

from avkd.inference.jobs import Jobs  # noqa: E402
from avkd.inference.serve import KEEP_ALIVE, serve  # noqa: E402
from avkd.inference.service import create_app  # noqa: E402

Start = Callable[..., "Served"]


class Served:
    """A server in a thread of this process, on a port of its own."""

    def __init__(self, app: FastAPI, jobs: Jobs) -> None:
        self.jobs = jobs
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        config = uvicorn.Config(
            app, host="127.0.0.1", port=port, log_level="warning", timeout_keep_alive=KEEP_ALIVE
        )
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)
        self.url = f"http://127.0.0.1:{port}"
        self.client = httpx.Client(base_url=self.url, timeout=30)

    def put(self, content: bytes | str, name: str = "a.mp4", **headers: str):
        data = content.encode() if isinstance(content, str) else content
        return self.client.put("/v1/media", params={"name": name}, content=data, headers=headers)

    def done(self, job_id: str) -> dict:
        for _ in range(600):
            answer = self.client.get(f"/v1/jobs/{job_id}").json()
            if answer["state"] == "done":
                return answer
            time.sleep(0.05)
        raise AssertionError("the job never ended")

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(20)


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    monkeypatch.setattr(judging, "WORK", "stand_in_worker:work")
    running = []

    def started(
        *,
        token: str | None = None,
        most_bytes: int = 1000,
        max_waiting: int = 8,
        keep_seconds: float = 60.0,
        **settings: object,
    ) -> Served:
        config = PredictConfig(
            **{"files": (Path("sent"),), "model": Path("m"), "page": Path("p"), **settings}
        )
        with judging.judges(config, 1) as workers:
            facts = judging.model_facts(config, workers)
        jobs = Jobs(config, facts, max_waiting=max_waiting, keep_seconds=keep_seconds)
        hosts = ("127.0.0.1", "localhost")
        app = create_app(jobs, token=token, hosts=hosts, most_bytes=most_bytes)
        running.append(Served(app, jobs))
        return running[-1]

    yield started
    for served in running:
        served.stop()
        assert not served.jobs._folder.exists(), "the server left files behind"


def files_of(served: Served) -> list[str]:
    return sorted(path.name for path in served.jobs._folder.rglob("*") if path.is_file())


def test_a_file_gets_its_verdict_and_is_gone(start: Start) -> None:
    served = start()
    sent = served.put("2.0", "my \x1b clip.mp4")
    assert sent.status_code == 202 and sent.json()["state"] in ("waiting", "running", "done")
    answer = served.done(sent.json()["id"])
    assert answer["verdict"]["decision"] == "fake"
    assert answer["name"] == answer["verdict"]["file"] == "my \\x1b clip.mp4"
    assert files_of(served) == ["page.html"]
    report = served.client.get(f"/v1/jobs/{answer['id']}/report")
    assert report.status_code == 200 and "FAKE" in report.text
    assert "sandbox" in report.headers["content-security-policy"]
    assert served.client.delete(f"/v1/jobs/{answer['id']}").status_code == 204
    assert served.client.get(f"/v1/jobs/{answer['id']}").status_code == 404
    assert files_of(served) == []


def test_events_follow_a_job_to_its_end(start: Start) -> None:
    served = start()
    job_id = served.put("hang 1.2").json()["id"]
    with served.client.stream("GET", f"/v1/jobs/{job_id}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in answer.iter_lines() if line]
    states = [json.loads(line.removeprefix("data: "))["state"] for line in lines]
    assert states[-1] == "done" and "running" in states


def test_a_worker_that_is_killed_costs_its_own_job_alone(start: Start) -> None:
    served = start(max_minutes=0.02)
    ids = [served.put(order).json()["id"] for order in ("crash", "1.0", "hang", "-1.0", "bug")]
    codes = []
    for job_id in ids:
        verdict = served.done(job_id)["verdict"]
        codes.append(verdict["skipped"][0]["code"] if verdict["skipped"] else verdict["decision"])
    assert codes == ["crashed", "fake", "timeout", "real", "internal_error"]


def test_what_is_too_large_is_refused_and_leaves_nothing(start: Start) -> None:
    served = start(most_bytes=100)
    assert served.put(b"x" * 101).status_code == 413
    assert files_of(served) == [] and not served.jobs.counts()
    assert served.done(served.put(b"1" + b" " * 99).json()["id"])["verdict"]["decision"] == "fake"


def test_a_full_queue_says_when_to_come_again(start: Start) -> None:
    served = start(max_waiting=2)
    first = served.put("hang 2").json()["id"]
    while served.jobs.counts()["running"] != 1:
        time.sleep(0.02)
    waiting = [served.put("1.0") for _ in range(2)]
    assert [answer.status_code for answer in waiting] == [202, 202]
    assert [answer.json()["jobs_before"] for answer in waiting] == [0, 1]
    full = served.put("1.0")
    assert full.status_code == 503 and int(full.headers["retry-after"]) > 0
    for job_id in (first, *(answer.json()["id"] for answer in waiting)):
        served.done(job_id)
    assert 'refused_total{reason="queue full"} 1' in served.client.get("/metrics").text


def test_a_job_that_is_deleted_while_it_is_judged_leaves_nothing(start: Start) -> None:
    served = start()
    job_id = served.put("hang 1").json()["id"]
    while served.jobs.counts()["running"] != 1:
        time.sleep(0.02)
    assert served.client.delete(f"/v1/jobs/{job_id}").status_code == 204
    assert served.done(served.put("1.0").json()["id"])["verdict"]  # the one before has ended
    assert files_of(served) == ["page.html"]


def test_a_page_that_cannot_be_made_ends_no_judging(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("no picture of this")

    monkeypatch.setattr("avkd.inference.jobs.write_verdict_page", broken)
    served = start()
    for _ in range(2):
        answer = served.done(served.put("1.0").json()["id"])
        assert answer["verdict"]["decision"] == "fake"
        assert served.client.get(f"/v1/jobs/{answer['id']}/report").status_code == 404


def test_verdicts_are_swept_away(start: Start) -> None:
    served = start(keep_seconds=0.0)
    job_id = served.put("1.0").json()["id"]
    served.done(job_id)
    served.jobs.sweep()
    assert served.client.get(f"/v1/jobs/{job_id}").status_code == 404 and files_of(served) == []


def test_whoever_has_no_token_sends_and_deletes_nothing(start: Start) -> None:
    served = start(token="a token of some length")
    assert served.put("1.0").status_code == 401
    assert served.put("1.0", Authorization="Bearer wrong").status_code == 401
    right = {"Authorization": "Bearer a token of some length"}
    job_id = served.put("1.0", **right).json()["id"]
    assert served.client.delete(f"/v1/jobs/{job_id}").status_code == 401
    assert served.done(job_id)["verdict"]
    assert served.client.delete(f"/v1/jobs/{job_id}", headers=right).status_code == 204
    assert served.client.get("/health").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Host": "[::1"},
        {"Origin": "http://]"},
    ],
)
def test_other_sites_are_refused(start: Start, headers: dict[str, str]) -> None:
    served = start()
    assert served.put("1.0", **headers).status_code == 403
    assert not served.jobs.counts()


@pytest.mark.parametrize(
    "name", ["../../escaped", "/etc/passwd", "x" * 900, "a\x00b", "<script>alert(1)</script>"]
)
def test_nothing_a_client_names_becomes_a_path(start: Start, name: str) -> None:
    served = start()
    answer = served.done(served.put("1.0", name).json()["id"])
    assert files_of(served) == ["page.html"] and len(answer["name"]) <= 200
    report = served.client.get(f"/v1/jobs/{answer['id']}/report").text
    assert "<script>alert" not in report


@pytest.mark.parametrize("job_id", ["../x", "0" * 31, "0" * 33, "Z" * 32, "%2e%2e%2f", "0" * 32])
def test_an_id_is_32_digits_or_nothing(start: Start, job_id: str) -> None:
    served = start()
    for tail in ("", "/report", "/events"):
        assert served.client.get(f"/v1/jobs/{job_id}{tail}").status_code in (404, 422)


def test_every_answer_has_the_headers_that_keep_it_to_itself(start: Start) -> None:
    served = start()
    for path in ("/", "/app.js", "/style.css", "/health", "/metrics", "/openapi.json", "/nothing"):
        headers = served.client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff", path
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in headers
    described = served.client.get("/openapi.json").json()["paths"]
    assert set(described) == {
        "/v1/media",
        "/v1/jobs/{job_id}",
        "/v1/jobs/{job_id}/events",
        "/v1/jobs/{job_id}/report",
        "/health",
        "/metrics",
    }


@pytest.mark.parametrize("token", [None, "a token of some length"])
def test_calls_made_up_from_its_description_find_no_error_of_ours(
    start: Start, token: str | None
) -> None:
    """Right and wrong ones, seeded; each answer is of a status and shape that it describes."""
    schemathesis = pytest.importorskip("schemathesis", reason="pip install 'avkd[dev]'")
    from hypothesis import HealthCheck, given, settings
    from schemathesis.generation import GenerationMode

    served = start(token=token, max_waiting=1000, keep_seconds=3600.0)
    job_id = None
    if token is None:
        job_id = served.put("1.0").json()["id"]
        served.done(job_id)
    schema = schemathesis.openapi.from_dict(served.client.get("/openapi.json").json())
    schema.config.update(base_url=served.url)
    statuses = set()
    for operation in (result.ok() for result in schema.get_all_operations()):
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            if mode is GenerationMode.NEGATIVE and operation.path in ("/health", "/metrics"):
                continue  # they take nothing that could be wrong

            @settings(
                max_examples=8 if token is None else 3,
                derandomize=True,
                database=None,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy(generation_mode=mode))
            def call(case) -> None:
                statuses.add(case.call_and_validate().status_code)
                if job_id is not None and "job_id" in case.path_parameters:
                    case.path_parameters["job_id"] = job_id
                    statuses.add(case.call_and_validate().status_code)

            call()
    expected = {200, 204, 404, 422} if token is None else {401}
    assert expected <= statuses, statuses
    assert served.client.get("/health").status_code == 200


def test_a_hundred_uploads_at_once_are_all_judged_or_told_to_come_again(start: Start) -> None:
    served = start(max_waiting=20, most_bytes=1 << 20, workers=2)
    content = b"1.0" + b" " * 200_000

    async def send(client, number: int) -> str:
        while True:
            answer = await client.put("/v1/media", params={"name": str(number)}, content=content)
            if answer.status_code == 202:
                return answer.json()["id"]
            assert answer.status_code == 503
            await asyncio.sleep(0.1)

    async def send_all() -> list[str]:
        limits = httpx.Limits(max_connections=100)
        async with httpx.AsyncClient(base_url=served.url, timeout=60, limits=limits) as client:
            return await asyncio.gather(*(send(client, number) for number in range(100)))

    ids = asyncio.run(send_all())
    assert len(set(ids)) == 100
    assert 'refused_total{reason="queue full"}' in served.client.get("/metrics").text
    names = {served.done(job_id)["name"] for job_id in ids}
    assert names == {str(number) for number in range(100)}
    assert files_of(served) == ["page.html"] * 100


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "a.name.of.this.machine"])
def test_it_listens_beyond_this_machine_with_a_token_only(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AVKD_TOKEN", raising=False)
    with pytest.raises(ValueError, match="set a token in the environment variable AVKD_TOKEN"):
        serve(ServeConfig(host=host))
    monkeypatch.setenv("AVKD_TOKEN", "short")
    with pytest.raises(ValueError, match="shorter than 16"):
        serve(ServeConfig())
