"""The endpoint judge against a real HTTP server on loopback."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from refusal_steering.errors import JudgeError
from refusal_steering.judging import EndpointJudge, JudgeItem

Reply = Callable[[dict], tuple[int, dict]]


class Server(ThreadingHTTPServer):
    reply: Reply
    requests: list[dict]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self._send(200, {"object": "list", "data": [{"id": "judge-model", "object": "model", "created": 0, "owned_by": "x"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append(body)
        self._send(*self.server.reply(body))

    def _send(self, status: int, body: dict) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *args: object) -> None:
        pass


def chat(text: str | None) -> tuple[int, dict]:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    return 200, {"id": "1", "object": "chat.completion", "created": 0, "model": "judge-model", "choices": [choice]}


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server(("127.0.0.1", 0), Handler)
    made.requests = []
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def url(server: Server) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}/v1"


def test_verdicts_come_in_order_and_carry_the_judges_words(server: Server) -> None:
    def reply(body: dict) -> tuple[int, dict]:
        refused = "cannot" in body["messages"][-1]["content"]
        return chat(f"Verdict: {'explicit' if refused else 'answered'}, confidence: 0.9")

    server.reply = reply
    judge = EndpointJudge(url(server))
    verdicts = judge.judge([JudgeItem("Q", a) for a in ("I cannot.", "Salt.", "I cannot either.")])
    assert [(v.outcome, v.score) for v in verdicts] == [("refused", 0.9), ("answered", -0.9), ("refused", 0.9)]
    assert judge.name == "judge-model"
    assert server.requests[0]["model"] == "judge-model"


def test_passing_failures_are_retried(server: Server) -> None:
    def reply(body: dict) -> tuple[int, dict]:
        return (503, {"error": {"message": "busy"}}) if len(server.requests) % 3 else chat("Verdict: answered")

    server.reply = reply
    verdicts = EndpointJudge(url(server), concurrency=1).judge([JudgeItem("Q", "A")] * 3)
    assert [v.outcome for v in verdicts] == ["answered"] * 3
    assert len(server.requests) == 9


def test_unreadable_and_empty_replies_are_unjudged(server: Server) -> None:
    replies = iter(
        [chat("no idea"), chat(None), (200, {**chat("")[1], "choices": []}), (400, {"error": {"message": "too long"}})]
    )
    server.reply = lambda body: next(replies)
    verdicts = EndpointJudge(url(server), concurrency=1).judge([JudgeItem("Q", "A")] * 4)
    assert [(v.outcome, v.score) for v in verdicts] == [("unjudged", None)] * 4


def test_a_judge_that_is_gone_is_an_error_that_says_how_to_go_on(server: Server) -> None:
    server.reply = lambda body: (500, {"error": {"message": "down"}})
    judge = EndpointJudge(url(server), retries=1)
    with pytest.raises(JudgeError, match="the same command goes on"):
        judge.judge([JudgeItem("Q", "A")])
    with pytest.raises(JudgeError, match="cannot be reached"):
        EndpointJudge("http://127.0.0.1:9/v1", retries=0)
