ALTER TABLE executions
    ADD CONSTRAINT executions_configuration_version_id_fkey
        FOREIGN KEY (configuration_version_id) REFERENCES configuration_versions (id),
    ADD CONSTRAINT executions_scenario_id_fkey FOREIGN KEY (scenario_id) REFERENCES scenarios (id),
    ADD CONSTRAINT executions_simulation_id_fkey FOREIGN KEY (simulation_id) REFERENCES simulations (id);
