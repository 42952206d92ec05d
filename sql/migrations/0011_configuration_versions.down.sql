-- Numbers, labels, deployments, schemas and the audit trail are forgotten; the versions themselves stay.
DROP TRIGGER configuration_versions_number_updated ON configuration_versions;
DROP TRIGGER configuration_versions_number_inserted ON configuration_versions;
DROP FUNCTION number_configuration_versions();
DROP FUNCTION number_configuration_version(uuid, uuid, text);
DROP TABLE configuration_audit;
DROP TABLE configuration_deployments;
DROP TABLE configuration_labels;
DROP TABLE configuration_version_numbers;
DROP INDEX configuration_versions_content_hash_idx;
ALTER TABLE configurations
    DROP COLUMN updated_at, DROP COLUMN archived_at, DROP COLUMN content_schema, DROP COLUMN revision;
