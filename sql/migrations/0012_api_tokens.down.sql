-- Every token is gone: the API on loopback is open again to whoever is on that machine.
DROP TABLE api_tokens;
