-- not-required
-- Workers of the release before still name this key. Apply after the last of them is gone, or let those that meet a dead
-- letter stop until they are replaced; nothing is lost either way.
ALTER TABLE dead_letters DROP CONSTRAINT IF EXISTS dead_letters_topic_log_partition_log_offset_key;
