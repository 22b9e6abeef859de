#!/usr/bin/env bash
# huggingface_hub 2.4.0: the first hf_hub_download of a machine (once a day, by its cache) asks the endpoint for /api/agent-harnesses, a
# list of coding agents, before it asks for the file that was named. A mirror or proxy of a lab that allows model files alone sees a
# request that nobody made and answers 404, which is passed over. 0.34.0 and 1.0.0 do not ask. With HF_HUB_DISABLE_TELEMETRY=1 it does not.
# Seen: "GET /api/agent-harnesses", then HEAD and GET of the file; the two alone without telemetry. This script fails when that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" --quiet --disable-pip-version-check install huggingface_hub==2.4.0
cat > "$work/mirror.py" <<'PY'
import hashlib
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

asked, content = [], b'{"a": 1}'


class Mirror(BaseHTTPRequestHandler):
    def do_GET(self):
        asked.append(f"{self.command} {self.path}")
        found = "/resolve/" in self.path
        self.send_response(200 if found else 404)
        if found:
            self.send_header("X-Repo-Commit", "0" * 40)
            self.send_header("ETag", f'"{hashlib.sha1(b"blob %d" % len(content) + bytes(1) + content).hexdigest()}"')
        self.send_header("Content-Length", str(len(content) if found else 0))
        self.end_headers()
        if found and self.command == "GET":
            self.wfile.write(content)

    do_HEAD = do_GET

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
Thread(target=server.serve_forever, daemon=True).start()
os.environ["HF_ENDPOINT"] = f"http://127.0.0.1:{server.server_port}"
os.environ["HF_HOME"] = sys.argv[1]
from huggingface_hub import hf_hub_download  # noqa: E402

hf_hub_download("lab/model", "config.json")
print("\n".join(asked))
PY
said=$("$work/env/bin/python" "$work/mirror.py" "$work/one")
quiet=$(HF_HUB_DISABLE_TELEMETRY=1 "$work/env/bin/python" "$work/mirror.py" "$work/other")
printf 'as it comes:\n%s\nwithout telemetry:\n%s\n' "$said" "$quiet"
file="/lab/model/resolve/main/config.json"
[ "$said" = "GET /api/agent-harnesses
HEAD $file
GET $file" ] && [ "$quiet" = "HEAD $file
GET $file" ] || { echo "changed" >&2; exit 1; }
