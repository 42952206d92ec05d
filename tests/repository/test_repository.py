"""Facts about the whole tree."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml

from support.regenerate import (
    ALERTS_BEGIN,
    ALERTS_END,
    HEALTH_BEGIN,
    HEALTH_END,
    alerts_page,
    health_page,
    metrics_page,
)
from support.servers import KAFKA_IMAGE, TIMESCALEDB_IMAGE

ROOT = Path(__file__).resolve().parents[2]
PORTIONS = (
    "schemas",
    "producers",
    "sql",
    "consumers",
    "replay",
    "recommendations",
    "dashboards",
    "local",
    "bench",
    "cli",
)


def modules() -> Iterator[Path]:
    for portion in PORTIONS:
        yield from (ROOT / portion / "arc_eval_db").rglob("*.py")


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


def test_the_folders_of_the_design_are_there() -> None:
    for name in ("producers", "consumers", "schemas", "sql", "tests", "replay"):
        assert (ROOT / name).is_dir()
    for name in ("pyproject.toml", "compose.yaml", "README.md", "ARCHITECTURE.md", "CHANGELOG.md", "Makefile"):
        assert (ROOT / name).is_file()


def test_no_portion_hides_the_others() -> None:
    assert list(ROOT.glob("*/arc_eval_db/__init__.py")) == []


def test_one_marker_says_that_there_are_types() -> None:
    assert [path.relative_to(ROOT).parts[0] for path in ROOT.glob("*/arc_eval_db/py.typed")] == ["sql"]


@pytest.mark.parametrize(
    ("library", "homes"),
    [
        (
            "asyncpg",
            {
                "bench/arc_eval_db/bench/peers/faststream_batch.py",
                "bench/arc_eval_db/bench/peers/plain.py",
                "sql/arc_eval_db/database/errors.py",
                "sql/arc_eval_db/database/pool.py",
                "sql/arc_eval_db/database/session.py",
            },
        ),
        (
            "aiokafka",
            {
                "bench/arc_eval_db/bench/kafka.py",
                "bench/arc_eval_db/bench/peers/plain.py",
                "producers/arc_eval_db/producers/transports/kafka.py",
                "consumers/arc_eval_db/consumers/kafka/admin.py",
                "consumers/arc_eval_db/consumers/kafka/errors.py",
                "consumers/arc_eval_db/consumers/kafka/group_reader.py",
                "consumers/arc_eval_db/consumers/kafka/log_reader.py",
                "consumers/arc_eval_db/consumers/kafka/log_writer.py",
                "consumers/arc_eval_db/consumers/kafka/raw_records.py",
                "consumers/arc_eval_db/consumers/kafka/source.py",
            },
        ),
    ],
)
def test_a_driver_is_known_in_one_place(library: str, homes: set[str]) -> None:
    knowing = {str(path.relative_to(ROOT)) for path in modules() if library in imports(path)}
    assert knowing - {path for path in knowing if path.startswith("local/")} == homes


def test_files_and_functions_stay_small() -> None:
    for path in modules():
        text = path.read_text()
        assert text.count("\n") <= 400, f"{path.relative_to(ROOT)} has more than 400 lines"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                assert lines <= 70, f"{path.relative_to(ROOT)}: {node.name} has {lines} lines"


def test_every_module_says_what_it_holds() -> None:
    assert [str(path) for path in modules() if not ast.get_docstring(ast.parse(path.read_text()))] == []


def test_dependencies_are_pinned_with_hashes_and_no_address() -> None:
    text = (ROOT / "requirements" / "dev.txt").read_text()
    assert not re.search(r"https?://|--index|--find-links|--trusted", text)
    for requirement in re.split(r"\n(?=[a-z0-9])", text.strip(), flags=re.IGNORECASE):
        assert "==" in requirement.partition("\n")[0], requirement
        assert "--hash=sha256:" in requirement, requirement


def test_the_metrics_page_is_made_from_the_list() -> None:
    assert (ROOT / "docs" / "metrics.md").read_text() == metrics_page(), "run: make schema"


def test_the_tables_of_the_health_page_are_made_from_the_list_of_checks() -> None:
    page = (ROOT / "docs" / "health.md").read_text()
    assert (page.count(HEALTH_BEGIN), page.count(HEALTH_END)) == (1, 1)
    assert page == health_page(page), "run: make schema"


def test_the_tables_of_the_alerts_page_are_made_from_the_list_of_rules() -> None:
    page = (ROOT / "docs" / "alerts.md").read_text()
    assert (page.count(ALERTS_BEGIN), page.count(ALERTS_END)) == (1, 1)
    assert page == alerts_page(page), "run: make schema"


def test_links_between_pages_lead_somewhere() -> None:
    for page in (ROOT / "README.md", ROOT / "ARCHITECTURE.md", *(ROOT / "docs").glob("*.md")):
        for link in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
            if not re.match(r"[a-z]+:", link):
                assert (page.parent / link).exists(), f"{page.name} links to {link}"


def test_pages_name_only_commands_that_exist() -> None:
    from arc_eval_db.cli.commands import cli

    commands = cli.list_commands(click.Context(cli))
    for page in (ROOT / "README.md", ROOT / "ARCHITECTURE.md", *(ROOT / "docs").glob("*.md")):
        for name in re.findall(r"^(?:\$ )?arc-eval-db ([a-z-]+)", page.read_text(), re.MULTILINE):
            assert name in commands, f"{page.name} names arc-eval-db {name}"


def compose_command() -> list[str]:
    """Docker Compose, in either form; skips where there is none. No engine is needed to read a file."""
    docker = shutil.which("docker")
    if docker and subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode == 0:
        return [docker, "compose"]
    if compose := shutil.which("docker-compose"):
        return [compose]
    pytest.skip("neither `docker compose` nor `docker-compose` is installed")


def test_compose_accepts_its_file() -> None:
    command = [*compose_command(), "--file", str(ROOT / "compose.yaml"), "config"]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert checked.returncode == 0, checked.stderr
    for image in (KAFKA_IMAGE, TIMESCALEDB_IMAGE):
        assert f"image: {image}" in checked.stdout
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    assert set(services) == {"grafana", "kafka", "prometheus", "timescaledb"}
    for name, service in services.items():
        assert "healthcheck" in service, name
        assert re.search(r":(v?\d|pg\d)", service["image"]), f"{name} has no version"
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), name
        for volume in service["volumes"]:
            assert not volume.startswith(".") or (ROOT / volume.split(":")[0]).exists(), volume
    # These two have the machine's network, and must say themselves that it is loopback.
    assert "--web.listen-address=127.0.0.1:9090" in services["prometheus"]["command"]
    assert services["grafana"]["environment"]["GF_SERVER_HTTP_ADDR"] == "127.0.0.1"


def test_containers_for_tests_can_be_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as it goes without a Docker engine: the first thing that fails is to reach one."""
    pytest.importorskip("testcontainers")
    import docker

    from support import servers

    def unreachable(*_: object, **__: object) -> None:
        raise docker.errors.DockerException("no engine")

    monkeypatch.setattr("testcontainers.core.container.DockerClient", unreachable)
    with pytest.raises(docker.errors.DockerException, match="no engine"), servers._containers():
        pass


def test_the_settings_page_lists_every_variable() -> None:
    from arc_eval_db.consumers.canary import CanarySettings
    from arc_eval_db.consumers.lag import LagSettings
    from arc_eval_db.consumers.settings import ConsumerSettings
    from arc_eval_db.database import DatabaseSettings

    page = (ROOT / "docs" / "command-line.md").read_text()
    for settings in (CanarySettings, ConsumerSettings, DatabaseSettings, LagSettings):
        prefix = settings.model_config["env_prefix"]
        for name in settings.model_fields:
            assert f"`{prefix}{name.upper()}`" in page
