-- The extension stays: something else may use it.
DROP TABLE recommendations;
DROP TABLE llm_recommendation_sessions;
DROP TABLE failure_patterns;
DROP TABLE execution_events;
DROP TABLE failures;
DROP TABLE tool_usage;
DROP TABLE outcomes;
DROP TABLE executions;
DROP TABLE simulations;
DROP TABLE scenarios;
DROP TABLE configuration_versions;
DROP TABLE configurations;
