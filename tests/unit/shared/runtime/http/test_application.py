"""The application round every service: every refusal a problem, nothing of ours leaks, no page needs the internet."""

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
import pytest
from fastapi import APIRouter, Depends, FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from shared.runtime.http.application import StrictRoute, build_app, documented_answer, documented_body, json_response
from shared.runtime.http.strict_json import StrictDecoder
from shared.runtime.problems import COMMON, ProblemCatalogue, ascii_json, invalid_request
from shared.runtime.telemetry import Telemetry

CATALOGUE = ProblemCatalogue()
UNKNOWN_ITEM = CATALOGUE.declare("unknown-item", 422, "No such item", "Define <it> first.")


class Line(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    item_id: str
    quantity: Annotated[msgspec.Raw, msgspec.Meta(extra_json_schema={"type": "number"})]


class Order(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    order_id: str
    lines: list[Line]


class Model(BaseModel):
    number: float
    text: str = ""


decode = StrictDecoder(Order, max_bytes=100_000)


@pytest.fixture
def state() -> dict[str, Any]:
    return {"why": None, "calls": []}


@pytest.fixture
def app(state: dict[str, Any]) -> FastAPI:
    def check() -> str | None:
        if isinstance(state["why"], Exception):
            raise state["why"]
        return state["why"]

    app = build_app(
        title="Test <service>",
        version="1.2.3",
        catalogue=CATALOGUE,
        telemetry=Telemetry("test"),
        ready={"database": check},
        max_body=1_000,
        body_limits={"/v1/large": 5_000},
        on_start=[lambda: state["calls"].append("start")],
        on_stop=[lambda: state["calls"].append("stop one"), lambda: state["calls"].append("stop two")],
    )
    router = APIRouter(prefix="/v1", route_class=StrictRoute)

    @router.post(
        "/orders/{number}",
        openapi_extra=documented_body(Order, example={"order_id": "7", "lines": []}),
        responses=CATALOGUE.responses(UNKNOWN_ITEM),
    )
    async def order(request: Request, number: int) -> Response:
        found = decode(await request.body())
        if found.order_id == "unknown":
            raise UNKNOWN_ITEM("half \ud800 a pair", nearest=["A", float("nan")], number=number)
        return json_response(found, 201)

    @router.post("/model", responses={200: documented_answer(Order, "An order")})
    async def model(body: Model) -> Model:
        return body

    @router.post("/large")
    @router.post("/small")
    async def size(request: Request) -> dict[str, int]:
        return {"size": len(await request.body())}

    @router.get("/broken")
    def broken() -> None:
        raise RuntimeError("the password is hush")

    @router.get("/half")
    async def half() -> Response:
        async def parts() -> Any:
            yield b"begun"
            raise RuntimeError("in the middle")

        return StreamingResponse(parts())

    @router.get("/codes/{code:code}/{verb}")
    async def code(code: str, verb: str) -> dict[str, str]:
        return {"code": code, "verb": verb}

    @router.get("/field")
    async def field() -> None:
        invalid_request("lines[0].quantity", "has four decimals")

    @app.post("/direct")
    async def direct(body: Model) -> Model:
        return body

    app.include_router(router)
    return app


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app) as client:
        yield client


def problem(answer: Any, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert (body["status"], body["code"], body["type"]) == (status, code, f"/problems/{code}")
    assert body["title"]
    assert body["hint"]
    return body


def post(client: TestClient, path: str, body: bytes, **headers: str) -> Any:
    return client.post(path, content=body, headers={"Content-Type": "application/json"} | headers)


def test_a_hot_route(client: TestClient) -> None:
    body = b'{"order_id":"A-1","lines":[{"item_id":"X","quantity":1.10}]}'
    answer = post(client, "/v1/orders/7", body)
    assert (answer.status_code, answer.content) == (201, body)


def test_problems_of_the_service_are_ascii_and_lead_to_their_description(client: TestClient) -> None:
    answer = post(client, "/v1/orders/7", b'{"order_id":"unknown","lines":[]}')
    body = problem(answer, 422, "unknown-item")
    assert answer.content.isascii()
    assert (body["detail"], body["nearest"], body["number"]) == ("half \ufffd a pair", ["A", "nan"], 7)
    described = client.get(body["type"])
    assert described.json()["hint"] == "Define <it> first."
    page = client.get(body["type"], headers={"Accept": "text/html"})
    assert "Define &lt;it&gt; first." in page.text


def test_every_code_is_described(client: TestClient) -> None:
    listed = client.get("/problems").json()["items"]
    assert {each["code"] for each in listed} == {kind.code for kind in CATALOGUE} > {kind.code for kind in COMMON}
    for each in listed:
        assert client.get(each["type"]).json() == each
    problem(client.get("/problems/nonsense"), 404, "not-found")


@pytest.mark.parametrize(
    "text",
    [
        '{"number": NaN}',
        '{"number": -Infinity}',
        '{"number": 1e400}',
        '{"number": 1, "number": 2}',
        '{"number": 1, "text": "\\ud800"}',
        '{"number": "\\ud800"}',
        '{"number": 1, "text": "\\u0000"}',
    ],
)
@pytest.mark.parametrize("path", ["/v1/model", "/direct"])
def test_what_fastapi_would_take_or_choke_on(client: TestClient, path: str, text: str) -> None:
    problem(post(client, path, text.encode()), 400, "malformed-json")


@pytest.mark.parametrize("path", ["/v1/nowhere%00", "/v1/field?a=b%00"])
def test_a_nul_in_the_address(client: TestClient, path: str) -> None:
    problem(client.get(path), 400, "bad-request")


@pytest.mark.parametrize("code", ["a/b", "/", "a/b/c d?é#ل"])
def test_a_code_with_a_slash_is_one_segment(client: TestClient, code: str) -> None:
    assert client.get(f"/v1/codes/{quote(code, safe='')}/look").json() == {"code": code, "verb": "look"}
    assert client.get("/v1/codes/a/b/look").status_code == 404
    metrics = client.get("/metrics").text
    assert 'route="/v1/codes/{code}/{verb}"' in metrics
    assert "/v1/codes/{code}/{verb}" in client.get("/openapi.json").json()["paths"]


def test_what_stands_for_a_slash_stands_for_nothing_else(client: TestClient) -> None:
    problem(client.get("/v1/codes/a%EE%80%80b/look"), 400, "bad-request")


@pytest.mark.parametrize("path", ["/v1/%ff", "/v1/%ed%a0%80", "/v1/field?a=%ff%ed%a0%80", "/" + "x" * 20_000])
def test_an_odd_address(client: TestClient, path: str) -> None:
    assert client.get(path).status_code in {404, 422}


def test_wrong_fields_are_named_and_not_repeated(client: TestClient) -> None:
    body = problem(post(client, "/v1/model", b'{"number": "hush"}'), 422, "invalid-request")
    assert body["errors"][0]["field"] == "body.number"
    assert "hush" not in json.dumps(body)
    body = problem(post(client, "/v1/orders/x", b"{}"), 422, "invalid-request")
    assert body["errors"][0]["field"] == "path.number"
    body = problem(client.get("/v1/field"), 422, "invalid-request")
    assert body["errors"] == [{"field": "lines[0].quantity", "message": "has four decimals"}]


@pytest.mark.parametrize("body", [b"{", b"\xff", b'{"number": 1}}', b"\x00"])
def test_what_is_no_json(client: TestClient, body: bytes) -> None:
    problem(post(client, "/v1/model", body), 400, "malformed-json")


def test_nothing_there_and_wrong_method(client: TestClient) -> None:
    problem(client.get("/v1/nowhere"), 404, "not-found")
    problem(client.get("/v1/model/"), 404, "not-found")
    answer = client.delete("/v1/model")
    problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "POST"


def test_the_body_limit(client: TestClient) -> None:
    def streamed(size: int) -> Iterator[bytes]:
        for _ in range(size // 100):
            yield b"x" * 100

    assert client.post("/v1/small", content=b"x" * 1_000).json() == {"size": 1_000}
    assert client.post("/v1/large", content=b"x" * 5_000).json() == {"size": 5_000}
    assert client.post("/v1/small", content=streamed(1_000)).json() == {"size": 1_000}
    for path, size in (("/v1/small", 1_001), ("/v1/large", 5_001), ("/v1/orders/1", 1_001), ("/v1/model", 2_000)):
        answer = post(client, path, b"x" * size)
        assert problem(answer, 413, "body-too-large")["max_bytes"] in {1_000, 5_000}
        assert answer.headers["connection"] == "close"
    for path in ("/v1/small", "/v1/orders/1", "/v1/model"):
        problem(
            client.post(path, content=streamed(1_100), headers={"Content-Type": "application/json"}),
            413,
            "body-too-large",
        )


@pytest.mark.parametrize("length", ["-1", "x", "1e3", "9" * 500, "١"])
def test_an_absurd_content_length(app: FastAPI, length: str) -> None:
    status, _ = asyncio.run(raw_request(app, "/v1/small", [(b"content-length", length.encode())]))
    assert status in {400, 413}


async def raw_request(app: FastAPI, path: str, headers: list[tuple[bytes, bytes]]) -> tuple[int, bytes]:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "http_version": "1.1", "method": "POST", "path": path, "raw_path": path.encode()}
    scope |= {"query_string": b"", "root_path": "", "scheme": "http", "headers": headers}
    scope |= {"client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2)}
    await app(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent)


def test_the_unforeseen_is_500_with_an_incident_and_no_more(client: TestClient, log_file: Path) -> None:
    answer = client.get("/v1/broken")
    body = problem(answer, 500, "internal-error")
    assert body["incident"] == answer.headers["x-request-id"]
    assert "hush" not in answer.text
    assert "RuntimeError" not in answer.text
    lines = [json.loads(line) for line in log_file.read_text().splitlines()]
    first, second = [line for line in lines if line["logger"] == "larder.http"]
    assert (first["incident"], first["path"]) == (body["incident"], "/v1/broken")
    assert "test_application.py" in first["exception"]
    assert (second["event"], second["status"]) == ("request", 500)


def test_an_answer_that_breaks_half_way_is_not_passed_off_as_whole(client: TestClient) -> None:
    with pytest.raises(RuntimeError, match="in the middle"):
        client.get("/v1/half")


def test_headers(client: TestClient) -> None:
    for path in ("/healthz", "/docs", "/v1/nowhere", "/v1/broken", "/problems"):
        headers = client.get(path).headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
    assert "max-age" in client.get("/docs/docs.css").headers["cache-control"]
    ids = [client.get("/healthz").headers["x-request-id"] for _ in range(3)]
    assert len(set(ids)) == 3


def test_health(client: TestClient, state: dict[str, Any]) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ready", "checks": {"database": "ok"}}
    for why, shown in (("starting", "starting"), (OSError(28, "full"), "no space is left on the device")):
        state["why"] = why
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["checks"]["database"]) == (503, shown)
    state["why"] = RuntimeError("not foreseen")
    problem(client.get("/readyz"), 500, "internal-error")


def test_metrics_name_routes_not_paths(client: TestClient) -> None:
    for number in range(3):
        post(client, f"/v1/orders/{number}", b"{")
    client.get("/v1/nowhere")
    shown = client.get("/metrics").text
    assert 'larder_http_requests_total{method="POST",route="/v1/orders/{number}",status="400"} 3.0' in shown
    assert "nowhere" not in shown


def test_hooks(app: FastAPI, state: dict[str, Any]) -> None:
    with TestClient(app):
        assert state["calls"] == ["start"]
    assert state["calls"] == ["start", "stop two", "stop one"]


def test_every_stop_hook_is_called_though_a_start_or_another_fails() -> None:
    calls: list[str] = []

    def fail() -> None:
        raise RuntimeError("did not start")

    app = build_app(
        title="t",
        version="1",
        catalogue=ProblemCatalogue(),
        telemetry=Telemetry("t"),
        on_start=[fail],
        on_stop=[lambda: calls.append("one"), fail, lambda: calls.append("two")],
    )
    with pytest.raises(RuntimeError), TestClient(app):
        pytest.fail("it started")
    assert calls == ["two", "one"]


def test_openapi_has_our_problems_and_no_pydantic_ones(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    assert "HTTPValidationError" not in json.dumps(document)
    order = document["paths"]["/v1/orders/{number}"]["post"]
    schema = order["requestBody"]["content"]["application/json"]["schema"]
    assert schema["properties"]["lines"]["items"]["properties"]["quantity"] == {"type": "number"}
    assert schema["properties"]["lines"]["items"]["additionalProperties"] is False
    assert "unknown-item" in order["responses"]["422"]["description"]
    for operation in (each for methods in document["paths"].values() for each in methods.values()):
        content = operation["responses"]["default"]["content"]["application/problem+json"]
        assert content["schema"]["$ref"] == "#/components/schemas/Problem"
    references = set(re.findall(r'"\$ref": "([^"]+)"', json.dumps(document)))
    for reference in references:
        found: Any = document
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]


def test_docs_need_no_internet(client: TestClient) -> None:
    answer = client.get("/docs")
    page = answer.text
    assert "Test &lt;service&gt; 1.2.3" in page
    assert "/v1/orders/{number}" in page, "without scripts the operations are listed all the same"
    assert "<script>" not in page
    assert "style=" not in page
    assert "script-src" not in answer.headers["content-security-policy"]
    assert answer.headers["content-security-policy"].startswith("default-src 'self'; ")
    links = [link for link in re.findall(r'(?:href|src)="([^"#]+)"', page) if link != "data:,"]
    assert {"/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css", "/docs/docs.css", "/docs/docs.js"} <= set(links)
    for link in links:
        assert link.startswith("/")
        assert client.get(link).status_code == 200
    for missing in ("/docs/LICENSE", "/docs/..", "/docs/%2e%2e%2fdocs_page.py"):
        assert client.get(missing).status_code == 404


@pytest.mark.parametrize(
    ("accept", "html"),
    [
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", True),
        ("*/*", False),
        ("application/json", False),
        ("application/json, text/html", False),
        ("", False),
    ],
)
def test_an_address_typed_wrong_in_a_browser_is_a_page(client: TestClient, accept: str, html: bool) -> None:
    for path, status in (("/v1/nowhere", 404), ("/stok", 404), ("/v1/large", 405)):
        answer = client.get(path, headers={"accept": accept})
        assert answer.status_code == status
        kind = answer.headers["content-type"]
        assert kind.startswith("text/html" if html else "application/problem+json"), (path, kind)
        assert ('href="/docs"' in answer.text) is html
    posted = client.post("/v1/nowhere", headers={"accept": accept})
    assert posted.headers["content-type"] == "application/problem+json"


def test_a_problem_lists_every_fault_and_what_is_allowed(client: TestClient) -> None:
    wrong = client.post("/v1/orders/1", content=b'{"order_id": 5, "mood": 1, "lines": [{}, 7]}').json()
    assert {(each["field"], each["message"]) for each in wrong["errors"]} >= {
        ("order_id", "Expected `str`, got `int`"),
        ("body", "Object contains unknown field `mood`"),
        ("lines[1]", "Expected `object`, got `int`"),
    }


def test_a_catalogue_takes_each_code_once() -> None:
    catalogue = ProblemCatalogue()
    made = catalogue.declare("mine", 409, "Mine", "Do it.")
    for code, status in (("mine", 409), ("not-found", 404), ("Not_Kebab", 400), ("fine", 200), ("", 400)):
        with pytest.raises(ValueError):
            catalogue.declare(code, status, "x", "y")
    other = ProblemCatalogue()
    other.extend(catalogue)
    other.extend(catalogue)
    assert other.get("mine") == made
    different = ProblemCatalogue()
    different.declare("mine", 400, "Other", "Else.")
    with pytest.raises(ValueError, match="twice"):
        other.extend(different)
    assert "mine" not in COMMON
    with pytest.raises(ValueError):
        made("detail", status=3)
    with pytest.raises(ValueError):
        ProblemCatalogue().responses(made)


def test_ascii_json_of_anything() -> None:
    from decimal import Decimal

    value = {
        "a\ud800": [Decimal("1.250"), Decimal("3"), Decimal("NaN"), float("-inf"), True, None, {1}, "é" * 5_000, object]
    }
    text = ascii_json(value)
    assert text.isascii()
    found = json.loads(text, parse_constant=pytest.fail)["a\ufffd"]
    assert found[:7] == [1.25, 3, "NaN", "-inf", True, None, [1]]
    assert len(found[7]) < 3_000


def test_an_unknown_query_parameter_is_refused_by_name(app: FastAPI) -> None:
    router = APIRouter(prefix="/v1")

    def paging(limit: int = 10) -> int:
        return limit

    @router.get("/things")
    async def things(limit: Annotated[int, Depends(paging)], location_id: str | None = None) -> str:
        return f"{limit} of {location_id}"

    app.include_router(router)
    with TestClient(app) as client:
        assert client.get("/v1/things?location_id=A&limit=3").json() == "3 of A"
        refused = client.get("/v1/things?location=A&limit=3&%ff=1")
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid-request")
        assert "'location'" in refused.json()["detail"]
        assert "limit, location_id" in refused.json()["detail"]
        assert refused.json()["errors"][0]["field"] == "query.location"
        assert client.get("/v1/things?location_id=A&Location_id=B").status_code == 422
        assert client.get("/healthz?x=1").status_code == 422
        assert client.get("/metrics?x=1").status_code == 200
