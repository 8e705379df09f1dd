"""Downloads: pinned, resumed, checked. Against a package index on this machine; no network."""

import hashlib
import os
import pathlib
import sys
import tempfile
import unittest
import unittest.mock

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts/lib"))

import downloads  # noqa: E402
import package_index  # noqa: E402
from package_index_server import PackageIndexServer  # noqa: E402
from progress import SetupError  # noqa: E402

NAME = "demo-1.0-py3-none-any.whl"
CONTENT = bytes(range(256)) * 1000
WHEEL = {
    "project": "demo",
    "version": "1.0",
    "file": NAME,
    "sha256": hashlib.sha256(CONTENT).hexdigest(),
}


class QuietStep:
    note = ""

    def update(self, text):
        pass


class Downloads(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.cache = pathlib.Path(folder.name)
        self.step = QuietStep()
        clean = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("PIP_") and not name.lower().endswith("_proxy")
        }
        patch = unittest.mock.patch.dict(os.environ, {**clean, "LOCKSTEP_PIP": "0"}, clear=True)
        patch.start()
        self.addCleanup(patch.stop)

    def fetch(self, server, wheel=WHEEL, url=None):
        os.environ["PIP_INDEX_URL"] = url or server.url
        path = downloads.Downloads(self.cache, retry_seconds=0).fetch(wheel, self.step)
        self.assertEqual(path.read_bytes(), CONTENT)
        self.assertFalse((self.cache / (NAME + ".part")).exists())

    def test_a_fresh_cache_gets_the_file_and_a_warm_one_asks_nobody(self):
        with PackageIndexServer({NAME: CONTENT}) as server:
            self.fetch(server)
            asked = len(server.requests)
            self.fetch(server)
            self.assertEqual(len(server.requests), asked)
            self.assertEqual(self.step.note, "from the cache")

    def test_an_index_with_html_pages_works_too(self):
        with PackageIndexServer({NAME: CONTENT}, json_pages=False) as server:
            self.fetch(server)

    def test_a_damaged_cached_file_is_fetched_again(self):
        (self.cache / NAME).write_bytes(CONTENT[:-1] + b"x")
        with PackageIndexServer({NAME: CONTENT}) as server:
            self.fetch(server)
        self.assertIn("damaged", self.step.note)

    def test_an_interrupted_download_goes_on_where_it_stopped(self):
        (self.cache / (NAME + ".part")).write_bytes(CONTENT[:1000])
        with PackageIndexServer({NAME: CONTENT}) as server:
            self.fetch(server)
            self.assertEqual(server.downloads(), [("/files/" + NAME, "bytes=1000-")])

    def test_a_connection_that_breaks_is_taken_up_again(self):
        with PackageIndexServer({NAME: CONTENT}, cut_after=5000) as server:
            self.fetch(server)
            self.assertEqual([ranges for _, ranges in server.downloads()], [None, "bytes=5000-"])

    def test_a_server_that_cannot_continue_makes_it_start_over(self):
        (self.cache / (NAME + ".part")).write_bytes(CONTENT[:1000])
        with PackageIndexServer({NAME: CONTENT}, ranges=False) as server:
            self.fetch(server)

    def test_a_part_that_is_whole_is_taken_and_one_of_wrong_bytes_is_not(self):
        with PackageIndexServer({NAME: CONTENT}) as server:
            (self.cache / (NAME + ".part")).write_bytes(CONTENT)
            self.fetch(server)
            (self.cache / NAME).unlink()
            (self.cache / (NAME + ".part")).write_bytes(b"y" * len(CONTENT))
            self.fetch(server)

    def test_a_file_with_the_wrong_hash_is_an_error_and_is_not_kept(self):
        with PackageIndexServer({NAME: CONTENT[:-1]}) as server:
            with self.assertRaisesRegex(SetupError, "SHA-256 is not the pinned one"):
                self.fetch(server)
            self.assertEqual(len(server.downloads()), downloads.ATTEMPTS)
        self.assertEqual([path.name for path in self.cache.iterdir()], [NAME + ".lock"])

    def test_a_file_the_index_does_not_have_is_an_error_at_once(self):
        with PackageIndexServer({}) as server:
            with self.assertRaisesRegex(SetupError, "does not list"):
                self.fetch(server)
            with self.assertRaisesRegex(SetupError, "404"):
                self.fetch(server, url=server.url + "/nothing-here")

    def test_an_extra_index_and_a_login_are_used_as_pip_would(self):
        with PackageIndexServer({}) as empty, PackageIndexServer({NAME: CONTENT}) as server:
            os.environ["PIP_EXTRA_INDEX_URL"] = f"http://ann:s%20t@{server.host}/simple"
            self.fetch(empty)
            self.assertEqual({login for _, _, login in server.requests}, {"Basic YW5uOnMgdA=="})

    def test_pip_files_are_read(self):
        (self.cache / "pip.conf").write_text("[global]\nindex-url = http://files.example/simple\n")
        os.environ["PIP_CONFIG_FILE"] = str(self.cache / "pip.conf")
        self.assertEqual(package_index.index_urls(), ["http://files.example/simple"])


if __name__ == "__main__":
    unittest.main()
