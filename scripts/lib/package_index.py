"""Finds a wheel's address on the Python package index, with pip's own settings but without pip.

A bare Debian has Python without pip; a company's machine has pip set up for its own index. Both
work: the index, extra indexes, certificate and login are read where pip reads them.
"""

import base64
import configparser
import html
import json
import os
import re
import ssl
import sys
import urllib.error
import urllib.parse
import urllib.request

DEFAULT_INDEX = "https://pypi.org/simple"  # pip's own default


def pip_setting(name):
    """A setting as pip would read it: PIP_NAME first, then its files, the last one winning."""
    value = os.environ.get("PIP_" + name.upper().replace("-", "_"))
    if value:
        return value
    parser = configparser.RawConfigParser(strict=False)
    config_home = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    files = [
        "/etc/xdg/pip/pip.conf",
        "/etc/pip.conf",
        "~/.pip/pip.conf",
        f"{config_home}/pip/pip.conf",
        f"{sys.prefix}/pip.conf",
        os.environ.get("PIP_CONFIG_FILE", ""),
    ]
    try:
        parser.read([os.path.expanduser(file) for file in files if file], encoding="utf-8")
    except (configparser.Error, UnicodeError):
        return None  # pip will complain about it
    for section in ("download", "global"):
        if parser.has_option(section, name):
            return parser.get(section, name).strip()
    return None


def index_urls():
    return [pip_setting("index-url") or DEFAULT_INDEX] + (
        pip_setting("extra-index-url") or ""
    ).split()


def certificates(unpacked_debian):
    """An SSL context with pip's certificate, the system's, or those unpacked without root."""
    chosen = pip_setting("cert") or os.environ.get("REQUESTS_CA_BUNDLE")
    context = ssl.create_default_context(
        cafile=chosen if chosen and os.path.exists(chosen) else None
    )
    if not context.cert_store_stats()["x509_ca"]:
        for file in sorted((unpacked_debian / "usr/share/ca-certificates/mozilla").glob("*.crt")):
            context.load_verify_locations(cafile=file)
    return context


class NotListed(ValueError):
    """The index has the project, but not the file."""


class PackageIndex:
    """Opens pages and files of the index. Throws OSError or ValueError."""

    def __init__(self, unpacked_debian):
        self.unpacked_debian = unpacked_debian
        self.context = None

    def open(self, url, headers):
        if self.context is None:
            self.context = certificates(self.unpacked_debian)
        parts = urllib.parse.urlsplit(url)
        headers = {"User-Agent": "lockstep-setup", **headers}
        if parts.username:  # urllib does not take user:password@ from the address
            both = (parts.username, parts.password or "")
            login = ":".join(urllib.parse.unquote(part) for part in both)
            headers["Authorization"] = "Basic " + base64.b64encode(login.encode()).decode()
            url = urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        context = self.context if parts.scheme == "https" else None
        return urllib.request.urlopen(
            urllib.request.Request(url, headers=headers), timeout=60, context=context
        )

    def address(self, project, file):
        """Where `file` of `project` lies."""
        problem = None
        for index in index_urls():
            try:
                page, links = self._links(index, project)
            except urllib.error.HTTPError as error:
                problem = error  # perhaps another index has it
                continue
            for link in links:
                path = urllib.parse.unquote(urllib.parse.urlsplit(link).path)
                if path.rpartition("/")[2] == file:
                    return with_login(
                        urllib.parse.urldefrag(urllib.parse.urljoin(page, link)).url, index
                    )
        raise problem or NotListed(f"the package index does not list {file}")

    def _links(self, index, project):
        """The index's page of a project: its address and links. Both forms, JSON and HTML, are
        understood."""
        kinds = "application/vnd.pypi.simple.v1+json, text/html;q=0.5"
        with self.open(f"{index.rstrip('/')}/{project}/", {"Accept": kinds}) as reply:
            text = reply.read().decode()
            if "json" in reply.headers.get_content_type():
                return reply.url, [file["url"] for file in json.loads(text)["files"]]
            return reply.url, [
                html.unescape(link) for link in re.findall(r'href\s*=\s*["\']([^"\']+)', text)
            ]


def with_login(url, index):
    """Files on the index's own host need the index's login too."""
    login, at, host = urllib.parse.urlsplit(index).netloc.rpartition("@")
    parts = urllib.parse.urlsplit(url)
    return (
        urllib.parse.urlunsplit(parts._replace(netloc=login + at + host))
        if parts.netloc == host
        else url
    )
