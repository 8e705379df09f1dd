"""A small package index on this machine, with the faults that real ones have."""

import http.server
import json
import threading


class PackageIndexServer:
    """Serves `files` (name -> bytes) of the project "demo". Use as a context manager."""

    def __init__(self, files, json_pages=True, ranges=True, cut_after=None):
        self.files, self.json_pages, self.ranges = files, json_pages, ranges
        self.cut_after = cut_after  # the first reply ends after so many bytes
        self.requests = []  # (path, Range header, Authorization header)

    def __enter__(self):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.requests.append(
                    (self.path, self.headers["Range"], self.headers["Authorization"])
                )
                if self.path == "/simple/demo/":
                    outer.page(self)
                elif self.path.startswith("/files/"):
                    outer.file(self, self.path[len("/files/") :])
                else:
                    self.send_error(404)

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()
        self.host = f"127.0.0.1:{self.server.server_port}"
        self.url = f"http://{self.host}/simple"
        return self

    def __exit__(self, *error):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def downloads(self):
        return [(path, ranges) for path, ranges, _ in self.requests if path.startswith("/files/")]

    def page(self, handler):
        if self.json_pages:
            kind = "application/vnd.pypi.simple.v1+json"
            text = json.dumps(
                {"files": [{"filename": name, "url": f"/files/{name}"} for name in self.files]}
            )
        else:
            kind = "text/html"
            text = "".join(
                f'<a href="../../files/{name}#sha256=0">{name}</a>\n' for name in self.files
            )
        handler.send_response(200)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text.encode())

    def file(self, handler, name):
        content, begin = self.files[name], 0
        wanted = handler.headers["Range"]
        if wanted and self.ranges:
            begin = int(wanted[len("bytes=") : -1])
            if begin >= len(content):
                handler.send_error(416)
                return
        handler.send_response(206 if begin else 200)
        handler.send_header("Content-Length", str(len(content) - begin))
        handler.end_headers()
        end = len(content)
        if self.cut_after is not None:
            end, self.cut_after = begin + self.cut_after, None
        handler.wfile.write(content[begin:end])
