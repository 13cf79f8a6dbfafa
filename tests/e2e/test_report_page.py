"""The report of the version that is served is shown as it was published, or not at all."""

import os
from concurrent.futures import ThreadPoolExecutor

import attrs
import httpx
import pytest

from server.errors import RefusedError
from server.models.repository import REPORT_FILE, read_report
from tests.support.server_process import serving
from tests.support.workshop import IRIS_ROW, Workshop


def test_the_page_of_a_model_is_its_versions_report(workshop: Workshop) -> None:
    page = workshop.version_dir / REPORT_FILE
    with serving(workshop.models_dir) as server:
        answer = httpx.get(f"{server.url}/iris/report")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert answer.content == page.read_bytes()
        assert b"log_reg_1" in answer.content
        document = httpx.get(f"{server.url}/openapi.json").json()
        assert "[Report](/iris/report)" in document["paths"]["/iris/predict"]["post"]["description"]
        page.write_bytes(page.read_bytes() + b"<p>not ours</p>")
        refused = httpx.get(f"{server.url}/iris/report")
        assert (refused.status_code, b"not ours" in refused.content) == (500, False)
        assert server.stop() == 0


def test_others_are_answered_while_a_report_is_read(workshop: Workshop) -> None:
    """What is read is a pipe, which has nothing until somebody writes to it."""
    page = workshop.version_dir / REPORT_FILE
    published = page.read_bytes()
    with serving(workshop.models_dir) as server, ThreadPoolExecutor(1) as thread:
        page.unlink()
        os.mkfifo(page)
        asking = thread.submit(httpx.get, f"{server.url}/iris/report", timeout=60)
        with page.open("wb") as pipe:  # once the server has begun to read
            assert httpx.get(f"{server.url}/healthz").status_code == 200
            assert httpx.post(f"{server.url}/iris/predict", json=IRIS_ROW).status_code == 200
            assert not asking.done()
            pipe.write(published)
        assert asking.result().content == published
        assert server.stop() == 0


def test_a_version_without_a_report_has_none_to_read(iris_workshop: Workshop) -> None:
    manifest = iris_workshop.manifest()
    others = {file: digest for file, digest in manifest.files.items() if file != REPORT_FILE}
    with pytest.raises(RefusedError, match=r"^manifest\.json lists no report\.html$"):
        read_report(iris_workshop.version_dir, attrs.evolve(manifest, files=others))
