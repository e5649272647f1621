"""`avkd serve`: the starter or your model behind a page and an API, on this machine."""

import ipaddress
import logging
import os
from pathlib import Path

from avkd.config.evaluation_config import PredictConfig, ServeConfig
from avkd.config.shared import narrowed
from avkd.inference.judging import judges, model_facts
from avkd.outcome import Outcome

_log = logging.getLogger(__name__)
_LEAST_TOKEN = 16
KEEP_ALIVE = 60
"""Seconds that a connection may stand idle; a client that uses it as it is closed sees an error."""


def serve(config: ServeConfig) -> Outcome:
    """Answer until stopped.

    Raises:
        ValueError: it would listen beyond this machine without a token, or the model is refused.
        ModuleNotFoundError: fastapi or uvicorn is not installed; the message says how to get them.
    """
    try:
        import uvicorn

        from avkd.inference.jobs import Jobs
        from avkd.inference.service import create_app
    except ModuleNotFoundError as error:
        if error.name not in ("uvicorn", "fastapi", "pydantic", "starlette"):
            raise
        raise ModuleNotFoundError("the server needs: pip install 'avkd[serve]'") from None
    token = _token(config)
    judging = narrowed(config, PredictConfig, files=(Path("sent"),), page=Path("report"))
    with judges(judging, 1) as workers:
        facts = model_facts(judging, workers)
    jobs = Jobs(
        judging, facts, max_waiting=config.max_waiting, keep_seconds=60 * config.keep_minutes
    )
    app = create_app(
        jobs,
        token=token,
        hosts=(config.host, *config.hosts, *(("localhost",) if _is_loopback(config.host) else ())),
        most_bytes=config.max_megabytes << 20,
    )
    _log.info("http://%s:%d  (Ctrl-C ends it)", config.host, config.port)
    uvicorn.run(
        app,
        host=config.host,
        port=config.port,
        log_level="warning",
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
    )
    return Outcome("")


def _token(config: ServeConfig) -> str | None:
    """The token of `AVKD_TOKEN`, which a list of processes does not show.

    Raises:
        ValueError: it is too short, or missing where strangers could send.
    """
    token = os.environ.get("AVKD_TOKEN") or None
    if token is not None and len(token) < _LEAST_TOKEN:
        raise ValueError(f"AVKD_TOKEN: shorter than {_LEAST_TOKEN} characters")
    if token is None and not _is_loopback(config.host):
        raise ValueError(
            f"host {config.host} can be reached from elsewhere: set a token in the environment "
            "variable AVKD_TOKEN, or listen on 127.0.0.1"
        )
    return token


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
