"""A stand-in for Hugging Face on loopback: repositories with commits, as far as publishing and fetching models go."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Repository:
    """One repository: its commits, the newest last, each with all files."""

    private: bool = True
    commits: list[tuple[str, dict[str, bytes]]] = field(default_factory=lambda: [("0" * 40, {})])

    def add(self, files: dict[str, bytes]) -> str:
        """A commit on top of the newest."""
        sha = hashlib.sha1(repr((len(self.commits), sorted(files))).encode()).hexdigest()
        self.commits.append((sha, {**self.commits[-1][1], **files}))
        return sha


@dataclass
class HubStand:
    """What the stand-in holds, and what it was asked.

    Attributes:
        before_commit: Called once when a commit arrives, before it is looked at: another publisher's move.
        refuse: Status with which every commit is refused, or 0.
    """

    address: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    before_commit: list[object] = field(default_factory=list)
    refuse: int = 0


@contextmanager
def hub_stand() -> Iterator[HubStand]:
    """A running stand-in."""
    stand = HubStand()

    class Handler(_Handler):
        here = stand

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    stand.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield stand
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    here: HubStand

    def do_HEAD(self) -> None:
        self._read()

    def do_GET(self) -> None:
        self._read()

    def do_POST(self) -> None:
        self.here.asked.append((self.command, self.path))
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Authorization") != "Bearer hf_test":
            self._answer(401, {"error": "Invalid credentials"})
        elif self.path == "/api/repos/create":
            wanted = json.loads(body)
            name = f"{wanted['organization']}/{wanted['name']}" if wanted.get("organization") else wanted["name"]
            self.here.repositories.setdefault(
                name, Repository(wanted.get("private", wanted.get("visibility") == "private"))
            )
            self._answer(200, {"url": f"{self.here.address}/{name}", "id": name})
        elif self.path == "/api/validate-yaml":
            self._answer(200, {"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            files = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in json.loads(body)["files"]
            ]
            self._answer(200, {"files": files})
        else:
            self._commit(body)

    def _commit(self, body: bytes) -> None:
        name = "/".join(self.path.split("/")[3:5])
        while self.here.before_commit:
            self.here.before_commit.pop()()
        lines = [json.loads(line) for line in body.splitlines() if line]
        head = self.here.repositories[name].commits[-1][0]
        if self.here.refuse:
            self._answer(self.here.refuse, {"error": "You do not have the right"})
        elif lines[0]["value"].get("parentCommit") not in (None, head):
            self._answer(412, {"error": "A commit has happened since. Please refresh and try again."})
        else:
            files = {line["value"]["path"]: base64.b64decode(line["value"]["content"]) for line in lines[1:]}
            sha = self.here.repositories[name].add(files)
            self._answer(200, {"commitUrl": f"{self.here.address}/{name}/commit/{sha}", "commitOid": sha})

    def _read(self) -> None:
        self.here.asked.append((self.command, self.path))
        parts = self.path.split("?")[0].strip("/").split("/")
        name = "/".join(parts[2:4] if parts[0] == "api" else parts[:2])
        repository = self.here.repositories.get(name)
        if self.path == "/":
            self._answer(200, {})
        elif repository is None:
            self._answer(404, {"error": "Repository not found"}, code="RepoNotFound")
        elif parts[0] == "api":
            sha, files = repository.commits[-1]
            siblings = [{"rfilename": file} for file in files]
            self._answer(200, {"id": name, "sha": sha, "private": repository.private, "siblings": siblings})
        else:
            self._file(repository, parts[3], "/".join(parts[4:]))

    def _file(self, repository: Repository, revision: str, file: str) -> None:
        commits = dict(repository.commits)
        sha = repository.commits[-1][0] if revision == "main" else revision
        content = commits.get(sha, {}).get(file)
        if sha not in commits:
            self._answer(404, {}, code="RevisionNotFound")
        elif content is None:
            self._answer(404, {}, code="EntryNotFound")
        else:
            etag = hashlib.sha256(content).hexdigest()
            self._send(200, content, {"ETag": f'"{etag}"', "X-Repo-Commit": sha})

    def _answer(self, status: int, value: object, *, code: str = "") -> None:
        headers = {"Content-Type": "application/json", **({"X-Error-Code": code} if code else {})}
        self._send(status, json.dumps(value).encode(), headers)

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Says nothing."""
