"""A server that speaks OpenAI's chat completions and takes memory for each request; prints its port.

    chat_server.py healthy     gives back what a request took
    chat_server.py keeping     keeps each request's features
    chat_server.py creeping    takes scratch of sizes that grow
    chat_server.py hungry      takes a great deal, and gives it back
    chat_server.py failing     answers thirty requests, and refuses the rest
"""

import http.server
import json
import sys
import threading

import torch

MODE = sys.argv[1]
MIB = 1 << 20
kept, answered, worker = [], 0, threading.Lock()


def take(size):
    return torch.empty(size, dtype=torch.uint8, device="cuda")


def answer(content):
    """The memory of a request: features as large as its text, and scratch that many have in common."""
    global answered
    answered += 1
    features = take(MIB + len(content) * 512)
    scratch = take(32 * MIB)
    if MODE == "creeping":
        scratch = take((32 + 8 * answered) * MIB)
    if MODE == "hungry":
        scratch = take(1024 * MIB)
    if MODE == "keeping":
        kept.append(features)
    del scratch
    return f"{features.numel()} bytes of features"


class Chat(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.reply(200, {"object": "list", "data": [{"id": "tiny", "object": "model"}]})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.path == "/v1/chat/completions" and body["model"] == "tiny"
        content = json.dumps(body["messages"][0]["content"])
        with worker:
            if MODE == "failing" and answered == 30:
                self.reply(500, {"error": "no more today"})
                return
            said = answer(content[:4096])
        message = {"role": "assistant", "content": said}
        self.reply(200, {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})

    def reply(self, status, answer):
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


weights = take(64 * MIB)
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Chat)
print(server.server_port, flush=True)
server.serve_forever()
