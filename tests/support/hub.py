"""A hub on this machine, for huggingface_hub: the three answers that `snapshot_download` asks for, from folders."""

import hashlib
import importlib.util
import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

needs_huggingface_hub = pytest.mark.skipif(
    importlib.util.find_spec("huggingface_hub") is None, reason="huggingface_hub is not installed: pip install '.[hub]'"
)
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class _Hub(BaseHTTPRequestHandler):
    """One commit, `main`, of each repository."""

    def do_GET(self):
        self._answer()

    def do_HEAD(self):
        self._answer()

    def log_message(self, *_):
        """Say nothing."""

    def _answer(self):
        path = self.path.partition("?")[0]
        self.server.asked.append(path)
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(/(revision|tree)/([^/]+))?", path):
            name, _, what, revision = found.groups()
        elif found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            name, revision, what = found.groups()
        else:
            return self._send(404, b"")
        folder = self.server.repositories.get(name)
        if folder is None:
            return self._send(401, b"", {"X-Error-Code": "RepoNotFound"})
        if revision not in (None, "main", COMMIT):
            return self._send(404, b"", {"X-Error-Code": "RevisionNotFound"})
        files = {file.relative_to(folder).as_posix(): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}
        if what in (None, "revision"):
            siblings = [{"rfilename": file} for file in files]
            return self._json({"id": name, "sha": COMMIT, "private": False, "tags": [], "siblings": siblings})
        if what == "tree":
            return self._json(
                [{"type": "file", "path": file, "size": len(data), "oid": _sha(data)} for file, data in files.items()]
            )
        return self._send(200, files[what], {"ETag": f'"{_sha(files[what])}"', "X-Repo-Commit": COMMIT})

    def _json(self, content):
        self._send(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _send(self, code, body, headers=()):
        self.send_response(code)
        for name, value in {"Content-Length": str(len(body)), **dict(headers)}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


def _sha(data):
    return hashlib.sha1(data).hexdigest()


@contextmanager
def hub_of(repositories):
    """The address of a hub that has folders by name, and the paths that it was asked for."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    server.repositories, server.asked = repositories, []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", server.asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
