"""`avkd serve` as a web application: files in, verdicts out, and one page to use it by hand.

PUT /v1/media takes the raw bytes of a file and answers with a job; nothing its sender names becomes
a path. Who has a token where one is set may send and delete; who knows a job's id (128 random bits)
may read its verdict.
"""

import asyncio
import hmac
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, get_args
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi import Path as PathParameter
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from pydantic import BaseModel, Field

from avkd import __version__
from avkd.inference.jobs import MEDIA, Job, Jobs, QueueFull, State
from avkd.inference.verdict import Decision
from avkd.outcome import printable

WEB = Path(__file__).parent / "web"
_PAGES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/app.js": ("app.js", "text/javascript; charset=utf-8"),
    "/style.css": ("style.css", "text/css; charset=utf-8"),
}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
        "media-src blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
# A report brings its own style and pictures, and no script.
_REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"
_SILENCE_SECONDS = 30.0  # from one piece of an upload to the next
_SWEEP_SECONDS = 20.0
_EVENT_SECONDS = 0.5
_RETRY_SECONDS = 10

_FILE_BODY = {
    "required": True,
    "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
}

JobId = Annotated[str, PathParameter(pattern="^[0-9a-f]{32}$", description="Id of a job")]


class JobAnswer(BaseModel):
    """What is known of a job."""

    id: str
    name: str = Field(description="What the sender calls the file")
    state: str = Field(description="receiving, waiting, running or done")
    jobs_before: int = Field(description="Waiting jobs that came earlier")
    seconds: float = Field(description="How long it has been, or was, judged")
    verdict: dict[str, Any] | None = Field(description="As `avkd predict --json`; null until done")


class Problem(BaseModel):
    """Why a request was refused."""

    detail: str


@dataclass(frozen=True)
class Service:
    """What the requests of an application share."""

    jobs: Jobs
    token: str | None
    hosts: tuple[str, ...]
    most_bytes: int
    refused: Counter[str] = field(default_factory=Counter)
    """Uploads that were not taken, by reason."""


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


TheService = Annotated[Service, Depends(_service)]


def _allowed(request: Request, service: TheService) -> None:
    given = request.headers.get("authorization", "").removeprefix("Bearer ")
    token = service.token
    if token is not None and not hmac.compare_digest(given.encode(), token.encode()):
        raise HTTPException(401, "give the token as `Authorization: Bearer ...`")


def _job(job_id: JobId, service: TheService) -> Job:
    job = service.jobs.find(job_id)
    if job is None:
        raise HTTPException(404, "no such job; its verdict may have been removed")
    return job


TheJob = Annotated[Job, Depends(_job)]
_router = APIRouter()


def create_app(
    jobs: Jobs, *, token: str | None, hosts: tuple[str, ...], most_bytes: int
) -> FastAPI:
    """The application.

    Args:
        jobs: Where files go; closed when the application ends.
        token: What senders must know; None = nothing.
        hosts: Names by which the server may be called, so that no other site's name leads here.
        most_bytes: Of one file.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        sweeper = asyncio.create_task(_sweep(jobs))
        yield
        sweeper.cancel()
        jobs.close()

    app = FastAPI(
        title="avkd",
        version=__version__,
        description="Judges videos and pictures for face forgeries.",
        docs_url=None,  # they load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.state.service = Service(jobs, token, hosts, most_bytes)
    app.middleware("http")(_guard)
    for address, (name, media_type) in _PAGES.items():
        app.add_route(address, partial(_page, WEB / name, media_type), include_in_schema=False)
    app.include_router(_router)
    return app


async def _guard(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    reason = _refusal(request, _service(request).hosts)
    response = (
        JSONResponse({"detail": reason}, status_code=403) if reason else await call_next(request)
    )
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def _page(path: Path, media_type: str, request: Request) -> Response:
    return FileResponse(path, media_type=media_type)


def _problems(*codes: int) -> dict[int | str, dict[str, Any]]:
    return {code: {"model": Problem} for code in codes}


@_router.put(
    "/v1/media",
    status_code=202,
    dependencies=[Depends(_allowed)],
    responses=_problems(401, 408, 413, 503),
    openapi_extra={"requestBody": _FILE_BODY},
)
async def put_media(
    request: Request,
    service: TheService,
    name: Annotated[str, Query(max_length=1000, description="Name to show")] = "unnamed",
) -> JobAnswer:
    """Send a file as the body; the answer has the job's id."""
    jobs, most_bytes = service.jobs, service.most_bytes
    try:
        job = jobs.receive(printable(name))
    except QueueFull:
        service.refused["queue full"] += 1
        # Whoever is cut off while sending never reads the answer.
        await _read(request, most_bytes, lambda piece: None)
        raise HTTPException(
            503, "too many files wait; try again", {"Retry-After": str(_RETRY_SECONDS)}
        ) from None
    try:
        with (job.folder / MEDIA).open("xb") as file:
            await _read(request, most_bytes, file.write)
    except BaseException as error:  # refused, the sender is gone, or the disk is full
        if isinstance(error, HTTPException):
            service.refused[str(error.status_code)] += 1
        jobs.remove(job)
        raise
    jobs.received(job)
    return _answer(jobs, job)


@_router.get("/v1/jobs/{job_id}", responses=_problems(404))
def get_job(job: TheJob, service: TheService) -> JobAnswer:
    """How far a job is, and its verdict once it is done."""
    return _answer(service.jobs, job)


@_router.get("/v1/jobs/{job_id}/events", response_class=StreamingResponse, responses=_problems(404))
async def get_events(job: TheJob, service: TheService) -> StreamingResponse:
    """The same as server-sent events, until the job is done."""
    return StreamingResponse(_events(service.jobs, job), media_type="text/event-stream")


@_router.get("/v1/jobs/{job_id}/report", response_class=FileResponse, responses=_problems(404, 409))
def get_report(job: TheJob) -> FileResponse:
    """The report as an HTML page."""
    if job.state != "done":
        raise HTTPException(409, f"the job is {job.state}")
    if not job.page.is_file():
        raise HTTPException(404, "the report could not be written")
    headers = {"Content-Security-Policy": _REPORT_POLICY}
    return FileResponse(job.page, media_type="text/html; charset=utf-8", headers=headers)


@_router.delete(
    "/v1/jobs/{job_id}",
    status_code=204,
    dependencies=[Depends(_allowed)],
    responses=_problems(401, 404),
)
def delete_job(job: TheJob, service: TheService) -> None:
    """Remove a job, its file and its verdict."""
    service.jobs.remove(job)


@_router.get("/health")
def health() -> dict[str, str]:
    """Whether the server answers."""
    return {"status": "ok", "version": __version__}


@_router.get("/metrics", response_class=Response)
def metrics(service: TheService) -> Response:
    """Numbers for Prometheus."""
    return Response(_metrics(service), media_type="text/plain; version=0.0.4")


def _refusal(request: Request, hosts: tuple[str, ...]) -> str:
    """Why a request is not even looked at; empty = it is."""
    try:
        host = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
        origin = urlsplit(request.headers.get("origin", "")).netloc
    except ValueError:
        return "Host or Origin is not an address"
    if host not in hosts and "*" not in hosts:
        return "this server is not called so; start it with --hosts if it should be"
    if "origin" in request.headers and origin != request.headers.get("host"):
        return "other sites may not use this server"
    if request.headers.get("sec-fetch-site") == "cross-site" and request.url.path != "/":
        return "other sites may not use this server"
    return ""


async def _read(request: Request, most_bytes: int, take: Callable[[bytes], object]) -> None:
    """Hand over the body of a request piece by piece, counted as it comes.

    Raises:
        HTTPException: it is too large, or does not come.
    """
    received = 0
    pieces = request.stream()
    while True:
        try:
            piece = await asyncio.wait_for(anext(pieces, None), _SILENCE_SECONDS)
        except TimeoutError:
            raise HTTPException(408, "the file did not come") from None
        if piece is None:
            return
        received += len(piece)
        if received > most_bytes:
            raise HTTPException(413, f"larger than {most_bytes >> 20} MB")
        await asyncio.to_thread(take, piece)


def _answer(jobs: Jobs, job: Job) -> JobAnswer:
    return JobAnswer(
        id=job.job_id,
        name=job.name,
        state=job.state,
        jobs_before=jobs.place(job) if job.state == "waiting" else 0,
        seconds=round(job.seconds(), 2),
        verdict=None if job.verdict is None else json.loads(job.verdict.to_json()),
    )


async def _events(jobs: Jobs, job: Job) -> AsyncIterator[str]:
    while True:
        answer = _answer(jobs, job)
        yield f"data: {answer.model_dump_json()}\n\n"
        if answer.state == "done" or jobs.find(job.job_id) is None:
            return
        await asyncio.sleep(_EVENT_SECONDS)


async def _sweep(jobs: Jobs) -> None:
    with suppress(asyncio.CancelledError):
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            await asyncio.to_thread(jobs.sweep)


def _metrics(service: Service) -> str:
    jobs, states = service.jobs, service.jobs.counts()
    of_states = {state: states[state] for state in get_args(State)}
    decisions = {decision: jobs.decisions[decision] for decision in get_args(Decision)}
    lines = [
        *_metric("avkd_jobs", "gauge", "state", of_states),
        *_metric("avkd_verdicts_total", "counter", "decision", decisions),
        *_metric(
            "avkd_uploads_refused_total", "counter", "reason", dict(sorted(service.refused.items()))
        ),
        "# TYPE avkd_judging_seconds_total counter",
        f"avkd_judging_seconds_total {jobs.seconds_judging:.3f}",
    ]
    return "\n".join(lines) + "\n"


def _metric(name: str, kind: str, label: str, counts: Mapping[str, int]) -> list[str]:
    rows = (f'{name}{{{label}="{value}"}} {count}' for value, count in counts.items())
    return [f"# TYPE {name} {kind}", *rows]
