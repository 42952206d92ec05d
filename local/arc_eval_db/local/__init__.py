"""The embedded stack: real Kafka and real PostgreSQL from wheels and jars, without Docker.

Needs the extra `local`; importing this package without it raises `MissingExtraError`, which says so.
"""

from arc_eval_db.local.options import StackOptions, default_directory
from arc_eval_db.local.stack import LocalStack, ServerStatus, StackStatus, fetch_programs

__all__ = [
    "LocalStack",
    "ServerStatus",
    "StackOptions",
    "StackStatus",
    "default_directory",
    "fetch_programs",
]
