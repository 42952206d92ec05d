-- `executions` grows with every run, like the tables of events: checking three foreign keys took the server longer than
-- everything else it does for an outcome. The writer makes the parents in the same transaction.
ALTER TABLE executions
    DROP CONSTRAINT executions_configuration_version_id_fkey,
    DROP CONSTRAINT executions_scenario_id_fkey,
    DROP CONSTRAINT executions_simulation_id_fkey;
