# SPDX-License-Identifier: Apache-2.0
"""The two registries under the server, and ways to damage them behind its back.

Damage is done while the embedded store's server is stopped; distribution takes it at any time.
"""
import json
import shutil
import sqlite3

from tests.lib.distribution import Distribution
from tests.lib.gsq import Gsq
from tests.lib.oci import EMPTY, RECORDS, Oci, artifact, sha256


class Store:
    """A registry, and the servers on it, all of which end with it."""

    def __init__(self, folder):
        self.folder = folder
        self._servers = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for server in self._servers:
            if server.process and server.process.running():
                server.kill()

    def server(self, **kwargs):
        """Another server, not started."""
        server = Gsq(self._server_folder(), registry=self.location, **kwargs)
        self._servers.append(server)
        return server


class EmbeddedStore(Store):
    """The embedded registry; every server has the same data folder."""
    location = None

    @property
    def data_dir(self):
        return self.folder / "gsq" / "data"

    def rebuild_args(self):
        return ["--data-dir", self.data_dir]

    def oci(self):
        """Answers while a server runs."""
        running = [server for server in self._servers if server.process and server.process.running()]
        return Oci(running[-1].registry_host)

    def snapshot(self):
        """Equal before and after: nothing was pushed."""
        return self._sql("SELECT r.name, t.name, m.digest FROM tag t JOIN manifest m ON m.id = t.manifest"
                         " JOIN repository r ON r.id = t.repository ORDER BY 1, 2"), \
            self._sql("SELECT id, digest, data FROM blob"), self._sql("SELECT id FROM manifest")

    def drop_tag(self, repository, tag):
        self._sql("DELETE FROM tag WHERE name = ? AND repository = (SELECT id FROM repository WHERE name = ?)",
                  tag, repository)

    def point_tag(self, repository, tag, digest):
        """Makes a tag that is there name another manifest of its repository."""
        self._sql("UPDATE tag SET manifest = (SELECT m.id FROM manifest m WHERE m.digest = ?1 AND m.repository ="
                  " tag.repository) WHERE name = ?2 AND repository = (SELECT id FROM repository WHERE name = ?3)",
                  _key(digest), tag, repository)

    def alter_blob(self, digest):
        """Changes one byte, and nothing else."""
        [(content,)] = self._sql("SELECT data FROM blob WHERE digest = ?", _key(digest))
        self._sql("UPDATE blob SET data = ? WHERE digest = ?", altered(content), _key(digest))
        return content

    def restore_blob(self, digest, content):
        self._sql("UPDATE blob SET data = ? WHERE digest = ?", content, _key(digest))

    def drop_blob(self, digest):
        self._sql("DELETE FROM repository_blob WHERE blob = (SELECT id FROM blob WHERE digest = ?)", _key(digest))
        self._sql("DELETE FROM blob WHERE digest = ?", _key(digest))

    def push_record(self, record):
        """Makes commits:latest name a record with this content."""
        layer = json.dumps(record).encode()
        manifest = artifact(layer)
        repository = "(SELECT id FROM repository WHERE name = ?)"
        self._sql("INSERT INTO blob(digest, size, data) VALUES(?, ?, ?)", _key(sha256(layer)), len(layer), layer)
        for blob in (EMPTY, layer):
            self._sql(f"INSERT OR IGNORE INTO repository_blob(repository, blob, pushed_at) VALUES({repository},"
                      " (SELECT id FROM blob WHERE digest = ?), 0)", RECORDS, _key(sha256(blob)))
        self._sql(f"INSERT INTO manifest(repository, digest, media_type, pushed_at, bytes) VALUES({repository},"
                  " ?, ?, 0, ?)", RECORDS, _key(sha256(manifest)), json.loads(manifest)["mediaType"], manifest)
        self._sql(f"UPDATE tag SET manifest = (SELECT id FROM manifest WHERE digest = ?) WHERE name = 'latest'"
                  f" AND repository = {repository}", _key(sha256(manifest)), RECORDS)

    def _sql(self, statement, *arguments):
        with sqlite3.connect(self.data_dir / "registry.db") as database:
            rows = database.execute(statement, arguments).fetchall()
        database.close()
        return rows

    def _server_folder(self):
        return self.folder / "gsq"


class DistributionStore(Store):
    """The distribution registry; every server has a data folder of its own, as it would on another machine."""

    def __init__(self, folder):
        super().__init__(folder)
        self.distribution = Distribution(folder / "distribution")
        self.location = self.distribution.host

    def start(self):
        self.distribution.start()

    def __exit__(self, *exception):
        super().__exit__(*exception)
        self.distribution.stop()

    def rebuild_args(self):
        return ["--registry", self.location]

    def oci(self):
        return Oci(self.distribution.host)

    def snapshot(self):
        return {str(path.relative_to(self._root)): path.read_bytes()
                for path in self._root.rglob("*") if path.is_file()}

    def drop_tag(self, repository, tag):
        shutil.rmtree(self._root / "repositories" / repository / "_manifests" / "tags" / tag)

    def point_tag(self, repository, tag, digest):
        self.oci().push_manifest(repository, tag, self.oci().manifest(repository, digest).bytes)

    def alter_blob(self, digest):
        path = self._blob_path(digest)
        content = path.read_bytes()
        path.write_bytes(altered(content))
        return content

    def restore_blob(self, digest, content):
        self._blob_path(digest).write_bytes(content)

    def drop_blob(self, digest):
        self._blob_path(digest).unlink()

    def drop_everything(self):
        shutil.rmtree(self._root)

    def push_record(self, record):
        self.oci().push_artifact(RECORDS, "latest", json.dumps(record).encode())

    @property
    def _root(self):
        return self.distribution.folder / "storage" / "docker" / "registry" / "v2"

    def _blob_path(self, digest):
        algorithm, _, digits = digest.partition(":")
        return self._root / "blobs" / algorithm / digits[:2] / digits / "data"

    def _server_folder(self):
        return self.folder / f"gsq-{len(self._servers)}"


def altered(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1:]


def _key(digest):
    """The database's form of a digest: multihash code 0x12, then the bytes."""
    algorithm, _, digits = digest.partition(":")
    assert algorithm == "sha256"
    return b"\x12" + bytes.fromhex(digits)
