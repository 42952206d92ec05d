-- NOT VALID: rows that were written meanwhile may lack their parents.
ALTER TABLE executions
    ADD CONSTRAINT executions_configuration_version_id_fkey
        FOREIGN KEY (configuration_version_id) REFERENCES configuration_versions (id) NOT VALID,
    ADD CONSTRAINT executions_scenario_id_fkey FOREIGN KEY (scenario_id) REFERENCES scenarios (id) NOT VALID,
    ADD CONSTRAINT executions_simulation_id_fkey FOREIGN KEY (simulation_id) REFERENCES simulations (id) NOT VALID;
