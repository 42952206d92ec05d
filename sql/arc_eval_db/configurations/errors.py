"""What can be wrong with a configuration, a reference to one, or a change of one."""

from __future__ import annotations

from arc_eval_db.errors import PoisonError, RetryableError


class ConfigurationError(PoisonError):
    """What was asked of a configuration cannot be done."""


class ContentRefusedError(ConfigurationError):
    """The content is no configuration: the message names the place and what is wrong, and never a value."""


class DocumentError(ConfigurationError):
    """A file is not a YAML or JSON document that can be taken."""

    def __init__(self, problem: str, source: str, line: int, column: int) -> None:
        """
        Args:
            source: the file's name.
            line: counted from 1, as `column` is.
        """
        self.problem, self.source, self.line, self.column = problem, source, line, column
        super().__init__(f"{source}:{line}:{column}: {problem}")


class ContentSchemaError(ConfigurationError):
    """A JSON Schema is not one that can be enforced."""


class ContentSchemaViolatedError(ConfigurationError):
    """The content does not fit the configuration's JSON Schema."""

    def __init__(self, configuration: str, problems: tuple[str, ...]) -> None:
        """
        Args:
            problems: a JSON path and what is wrong there, each.
        """
        self.configuration, self.problems = configuration, problems
        super().__init__(
            f"the content does not fit the schema of {configuration}: {'; '.join(problems)}; "
            f"the schema: arc-eval-db config schema show {configuration}"
        )


class ReferenceRefusedError(ConfigurationError):
    """A reference to a version is none: NAME, NAME@3, NAME@label, a version's UUID, or sha256:prefix."""


class AmbiguousReferenceError(ConfigurationError):
    """A reference means several versions."""


class ConfigurationNotFoundError(ConfigurationError):
    """There is no such configuration."""


class VersionNotFoundError(ConfigurationError):
    """There is no such version."""


class ConfigurationExistsError(ConfigurationError):
    """A configuration with this name exists already."""


class ConfigurationArchivedError(ConfigurationError):
    """The configuration is archived, and takes no change."""


class RevisionConflictError(ConfigurationError):
    """The configuration was changed since it was read: read it again, and decide again."""

    def __init__(self, configuration: str, expected: int, actual: int) -> None:
        """
        Args:
            expected: the revision that the change was made for.
            actual: the revision that the configuration has.
        """
        self.configuration, self.expected, self.actual = configuration, expected, actual
        super().__init__(
            f"{configuration} was changed meanwhile: it is at revision {actual}, not {expected}; read it again"
        )


class ChangeInDoubtError(RetryableError):
    """The answer to an earlier attempt was lost, and the database has not ended it yet: try again"""


class SchemaChangedError(RetryableError):
    """The configuration's schema was changed while contents were checked against it: try again"""
