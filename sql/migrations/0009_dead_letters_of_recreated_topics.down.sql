-- Where two records of one place have been set aside, there is no way back to the narrower key without losing one.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM dead_letters GROUP BY topic, log_partition, log_offset HAVING count(*) > 1) THEN
        ALTER TABLE dead_letters
            ADD CONSTRAINT dead_letters_topic_log_partition_log_offset_key UNIQUE (topic, log_partition, log_offset);
    END IF;
END
$$;
