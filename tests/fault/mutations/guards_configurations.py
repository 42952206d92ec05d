"""Guards of configurations: what is one version, who may change it, and what a file may hold."""

from __future__ import annotations

from fault.mutations.mutation import Mutation

_MIGRATION = "sql/migrations/0011_configuration_versions.up.sql"
_FOLDER = "sql/arc_eval_db/configurations"
_TESTS = "tests/sql/test_sql_configurations.py"
_BOUNDS = "tests/sql/test_sql_configuration_bounds.py"
_COMMITS = "tests/sql/test_sql_configuration_commits.py"
_DOCUMENTS = "tests/sql/test_sql_configuration_documents.py"
_DIFFERENCES = "tests/sql/test_sql_configuration_differences.py"

CONFIGURATION_MUTATIONS = (
    Mutation(
        "config-number-rights",
        "The writer's versions get numbers, to which it has no right",
        _MIGRATION,
        "LANGUAGE plpgsql SECURITY DEFINER SET",
        "LANGUAGE plpgsql SET",
        (f"{_TESTS}::test_a_sandbox_s_version_is_the_same_too",),
    ),
    Mutation(
        "config-audit-kept",
        "Nobody's login takes anything out of the audit trail",
        _MIGRATION,
        "GRANT SELECT, INSERT ON configuration_audit",
        "GRANT SELECT, INSERT, DELETE ON configuration_audit",
        (f"{_TESTS}::test_the_reader_reads_and_the_admin_changes",),
    ),
    Mutation(
        "config-revision",
        "A configuration that was changed since it was read is not overwritten",
        f"{_FOLDER}/changes.py",
        "expected is not None and expected != self.revision:",
        "expected is not None and expected < 0:",
        (f"{_TESTS}::test_a_change_of_what_was_not_read_is_a_conflict",),
    ),
    Mutation(
        "config-archived",
        "An archived configuration takes no change",
        f"{_FOLDER}/changes.py",
        "        if self.is_archived:\n",
        "        if False:\n",
        (f"{_TESTS}::test_what_is_archived_is_out_of_lists_and_takes_no_change",),
    ),
    Mutation(
        "config-schema",
        "A configuration's schema is enforced on what people push",
        f"{_FOLDER}/changes.py",
        "    if locked.content_schema not in (None, checked_schema):\n",
        "    if False:\n",
        (f"{_BOUNDS}::test_no_lock_is_held_while_a_content_is_checked",),
    ),
    Mutation(
        "config-schema-bounded",
        "A schema that asks for work without end is given to a process that can be ended",
        f"{_FOLDER}/content_schema_checking.py",
        "        if is_cheap_content(orjson.loads(schema), content):\n",
        "        if True:\n",
        (f"{_BOUNDS}::test_what_is_cheap_needs_no_process",),
    ),
    Mutation(
        "config-schema-killed",
        "A process whose time is over is killed, also where nobody waits for it any more",
        f"{_FOLDER}/bounded.py",
        "                process.kill()\n                await process.wait()\n",
        "                pass\n",
        (f"{_BOUNDS}::test_a_process_that_does_not_end_is_killed",),
    ),
    Mutation(
        "config-schema-cpu",
        "A process may take so much of the processor and no more, though nobody ends it",
        f"{_FOLDER}/bounded_child.py",
        "    limit(cpu_s, memory_bytes)\n",
        "",
        (f"{_BOUNDS}::test_references_that_double_are_ended",),
    ),
    Mutation(
        "config-schema-processes",
        "So many processes are at work at once and no more",
        f"{_FOLDER}/bounded.py",
        "        self._turns = asyncio.Semaphore(processes_max)\n",
        "        self._turns = asyncio.Semaphore(99)\n",
        (f"{_BOUNDS}::test_so_many_processes_at_once_and_no_more",),
    ),
    Mutation(
        "config-commit-known",
        "A change that was committed, though the answer was lost, is not taken for another's",
        f"{_FOLDER}/commits.py",
        "                return before.result\n",
        "                pass\n",
        (f"{_COMMITS}::test_a_change_tells_what_it_did",),
    ),
    Mutation(
        "config-commit-doubt",
        "A change whose COMMIT is under way is not made again before that has ended",
        f"{_FOLDER}/commits.py",
        "                raise ChangeInDoubtError\n",
        "                pass\n",
        (f"{_COMMITS}::test_an_attempt_that_has_not_ended_is_waited_for",),
    ),
    Mutation(
        "config-commit-evidence",
        "A change that was rolled back is not taken for made",
        f"{_FOLDER}/commits.py",
        '            if await session.fetch_value(_STATEMENTS["is_entered"], before.entry_id, before.entry_time):\n',
        "            if True:\n",
        (f"{_COMMITS}::test_what_others_have_made_is_not_taken_for_one_s_own",),
    ),
    Mutation(
        "config-schema-fetch",
        "A schema's reference to another document is never fetched",
        f"{_FOLDER}/content_schema.py",
        "_saying_where(orjson.loads(schema)), registry=Registry())\n",
        "_saying_where(orjson.loads(schema)))\n",
        (f"{_TESTS}::test_a_remote_reference_is_not_fetched_even_where_it_was_stored",),
    ),
    Mutation(
        "config-dry-run",
        "A dry run of a push changes nothing",
        f"{_FOLDER}/manager.py",
        "        raise _DryRunError(result)\n",
        "        pass\n",
        (f"{_TESTS}::test_a_dry_run_tells_and_changes_nothing",),
    ),
    Mutation(
        "config-bytes",
        "Of a file no more is read than may be taken",
        f"{_FOLDER}/documents.py",
        "stream.read(CONTENT_BYTES_MAX + 1)",
        "stream.read()",
        (f"{_DOCUMENTS}::test_a_file_is_read_no_further_than_the_limit",),
    ),
    Mutation(
        "config-yaml-tags",
        "A tag in YAML is refused",
        f"{_FOLDER}/yaml_text.py",
        "        if event.tag is not None:\n",
        "        if False:\n",
        (f"{_DOCUMENTS}::test_what_could_mean_two_things_or_do_harm_is_refused_where_it_stands",),
    ),
    Mutation(
        "config-yaml-depth",
        "YAML is refused at the level that is too deep, and not at its end",
        f"{_FOLDER}/yaml_text.py",
        "        if len(self._open) >= DEPTH_MAX:\n",
        "        if False:\n",
        (f"{_DOCUMENTS}::test_hostile_yaml_is_refused_while_it_is_read",),
    ),
    Mutation(
        "config-yaml-aliases",
        "An alias counts with all that it repeats",
        f"{_FOLDER}/yaml_text.py",
        "        self._grow(measure.nodes, measure.characters, event)\n",
        "        self._grow(1, 1, event)\n",
        (f"{_DOCUMENTS}::test_an_alias_counts_with_all_that_it_repeats",),
    ),
    Mutation(
        "config-yaml-keys",
        "A key that stands twice in YAML is refused",
        f"{_FOLDER}/yaml_text.py",
        "        elif value in inner.value:\n",
        "        elif False:\n",
        (f"{_DOCUMENTS}::test_what_could_mean_two_things_or_do_harm_is_refused_where_it_stands",),
    ),
    Mutation(
        "config-json-keys",
        "A key that stands twice in JSON is refused",
        f"{_FOLDER}/json_text.py",
        "            if key in found:\n",
        "            if False:\n",
        (f"{_DOCUMENTS}::test_json_is_refused_where_it_is_wrong",),
    ),
    Mutation(
        "config-true",
        "True is not 1",
        f"{_FOLDER}/differences.py",
        "    elif _key(before) != _key(after):\n",
        "    elif before != after:\n",
        (f"{_DIFFERENCES}::test_what_is_not_equal_as_json_is_not_the_same",),
    ),
)
