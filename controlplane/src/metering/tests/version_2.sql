-- A ledger as version 2 left it: calls with and without prices, of two attempts, crashed, and a correction.
CREATE TABLE adjustments (id INTEGER PRIMARY KEY, post TEXT NOT NULL UNIQUE, posted_ms INTEGER NOT NULL, at_ms INTEGER NOT NULL, reason TEXT NOT NULL, organization TEXT NOT NULL, cost_center TEXT NOT NULL, team TEXT NOT NULL, user TEXT NOT NULL, key TEXT NOT NULL, model_asked TEXT NOT NULL, model TEXT NOT NULL, provider TEXT NOT NULL, upstream_model TEXT NOT NULL, credential TEXT NOT NULL, surface TEXT NOT NULL, dialect TEXT NOT NULL, tags TEXT NOT NULL, arm TEXT NOT NULL, entry TEXT NOT NULL, price_version TEXT NOT NULL, requests INTEGER NOT NULL, failed INTEGER NOT NULL, crashed INTEGER NOT NULL, attempts INTEGER NOT NULL, input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, cache_read_tokens INTEGER NOT NULL, cache_write_5m_tokens INTEGER NOT NULL, cache_write_1h_tokens INTEGER NOT NULL, reasoning_tokens INTEGER NOT NULL, input_audio_tokens INTEGER NOT NULL, output_audio_tokens INTEGER NOT NULL, input_image_tokens INTEGER NOT NULL, images INTEGER NOT NULL, audio_ms INTEGER NOT NULL, request_bytes INTEGER NOT NULL, response_bytes INTEGER NOT NULL, estimated INTEGER NOT NULL, replayed INTEGER NOT NULL, shadow INTEGER NOT NULL, adjustments INTEGER NOT NULL, cost_units INTEGER NOT NULL, cost_rest INTEGER NOT NULL, list_units INTEGER NOT NULL, list_rest INTEGER NOT NULL);
INSERT INTO "adjustments" VALUES(1,'reconciled:1',1793577600000,1793491200000,'as billed','','','','','','','','openai','gpt-5.4-0','','','','','','reconciled','',0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1,-1,-7,0,0);
CREATE TABLE attempts (
    call INTEGER NOT NULL,
    number INTEGER NOT NULL,
    provider TEXT NOT NULL,
    upstream_model TEXT NOT NULL,
    credential TEXT NOT NULL,
    status INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    started_ns INTEGER NOT NULL,
    took_ns INTEGER NOT NULL,
    estimated INTEGER NOT NULL,
    moved INTEGER NOT NULL,
    input INTEGER,
    cache_read INTEGER,
    cache_write_5m INTEGER,
    cache_write_1h INTEGER,
    output INTEGER,
    reasoning INTEGER,
    input_audio INTEGER,
    output_audio INTEGER,
    input_image INTEGER,
    cost_units INTEGER,
    cost_rest INTEGER,
    list_units INTEGER,
    list_rest INTEGER,
    price_version INTEGER,
    PRIMARY KEY (call, number)
) WITHOUT ROWID;
INSERT INTO "attempts" VALUES(3,1,'other','o-1','OPENAI_API_KEY',500,'status',1,2,0,1,100,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1,5,1,5,9);
INSERT INTO "attempts" VALUES(3,2,'openai','gpt-5.4-2','OPENAI_API_KEY',200,'ok',1,2,0,0,800,NULL,NULL,NULL,120,NULL,NULL,NULL,NULL,2,5,2,5,-1);
CREATE TABLE batches (
    provider TEXT NOT NULL,
    id TEXT NOT NULL,
    PRIMARY KEY (provider, id)
) WITHOUT ROWID;
CREATE TABLE calls (
    id INTEGER PRIMARY KEY,
    boot INTEGER NOT NULL,
    shard INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    started_ms INTEGER NOT NULL,
    ended_ms INTEGER NOT NULL,
    request_id TEXT NOT NULL,
    key TEXT NOT NULL,
    user TEXT NOT NULL,
    team TEXT NOT NULL,
    tags TEXT NOT NULL,
    model_asked TEXT NOT NULL,
    model TEXT NOT NULL,
    provider TEXT NOT NULL,
    upstream_model TEXT NOT NULL,
    surface TEXT NOT NULL,
    dialect TEXT NOT NULL,
    batch TEXT NOT NULL,
    rejected TEXT NOT NULL,
    status INTEGER NOT NULL,
    ending INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    streamed INTEGER NOT NULL,
    estimated INTEGER NOT NULL,
    input INTEGER,
    cache_read INTEGER,
    cache_write_5m INTEGER,
    cache_write_1h INTEGER,
    output INTEGER,
    reasoning INTEGER,
    input_audio INTEGER,
    output_audio INTEGER,
    input_image INTEGER,
    cost_units INTEGER,
    cost_rest INTEGER,
    price_version INTEGER,
    request_bytes INTEGER NOT NULL,
    response_bytes INTEGER NOT NULL,
    total_ns INTEGER NOT NULL,
    gateway_ns INTEGER NOT NULL,
    first_token_ns INTEGER
, organization TEXT NOT NULL DEFAULT '', cost_center TEXT NOT NULL DEFAULT '', credential TEXT NOT NULL DEFAULT '', trace BLOB, tier INTEGER NOT NULL DEFAULT 0, requests INTEGER NOT NULL DEFAULT 1, images INTEGER, audio_ms INTEGER, list_units INTEGER, list_rest INTEGER, hedge INTEGER NOT NULL DEFAULT 0, resumed INTEGER NOT NULL DEFAULT 0, shadow INTEGER NOT NULL DEFAULT 0, replayed INTEGER NOT NULL DEFAULT 0, free INTEGER NOT NULL DEFAULT 0, more_attempts INTEGER NOT NULL DEFAULT 0, arm TEXT NOT NULL DEFAULT '');
INSERT INTO "calls" VALUES(1,780228,0,2,1793491199100,1793491200000,'00000000000000000000000000000000','key-0','','team-0','project=p0','smart','smart','openai','gpt-5.4-0','chat','openai','','',200,0,1,0,0,900,NULL,NULL,NULL,120,NULL,NULL,NULL,NULL,3,0,7,3000,900,900000000,40000,NULL,'acme','CC-0','OPENAI_API_KEY',NULL,0,1,NULL,NULL,3,0,0,0,0,0,0,0,'');
INSERT INTO "calls" VALUES(2,780228,0,4,1793491199140,1793491200040,'00000000000000000000000000000001','key-1','alice','team-1','','smart','smart','openai','gpt-5.4-1','chat','openai','','upstream_error',502,0,1,0,0,900,NULL,NULL,NULL,120,NULL,NULL,NULL,NULL,NULL,NULL,NULL,3000,900,900000000,40000,NULL,'acme','CC-1','OPENAI_API_KEY',X'000102030405060708090A0B0C0D0E0F',0,1,NULL,NULL,NULL,NULL,0,0,0,0,0,0,'');
INSERT INTO "calls" VALUES(3,780228,0,6,1793491199180,1793494800080,'of-its-client','key-2','','team-2','project=p2','smart','smart','openai','gpt-5.4-2','chat','openai','','',200,0,2,1,0,900,NULL,NULL,NULL,120,NULL,NULL,NULL,NULL,3,0,-1,3000,900,900000000,40000,5,'acme','CC-2','OPENAI_API_KEY',NULL,0,1,NULL,NULL,3,0,0,0,0,0,0,0,'b');
INSERT INTO "calls" VALUES(9,780228,0,8,1793491199220,1793491200120,'00000000000000000000000000000003','key-0','','team-0','project=p0','smart','smart','openai','gpt-5.4-0','chat','openai','','',200,3,1,0,0,900,NULL,NULL,NULL,120,NULL,NULL,NULL,NULL,3,0,7,3000,900,900000000,40000,NULL,'acme','CC-0','OPENAI_API_KEY',NULL,0,1,NULL,NULL,3,0,0,0,0,1,0,0,'');
CREATE TABLE hours (hour_ms INTEGER NOT NULL, organization TEXT NOT NULL, cost_center TEXT NOT NULL, team TEXT NOT NULL, user TEXT NOT NULL, key TEXT NOT NULL, model_asked TEXT NOT NULL, model TEXT NOT NULL, provider TEXT NOT NULL, upstream_model TEXT NOT NULL, credential TEXT NOT NULL, surface TEXT NOT NULL, dialect TEXT NOT NULL, tags TEXT NOT NULL, arm TEXT NOT NULL, entry TEXT NOT NULL, price_version TEXT NOT NULL, requests INTEGER NOT NULL, failed INTEGER NOT NULL, crashed INTEGER NOT NULL, attempts INTEGER NOT NULL, input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, cache_read_tokens INTEGER NOT NULL, cache_write_5m_tokens INTEGER NOT NULL, cache_write_1h_tokens INTEGER NOT NULL, reasoning_tokens INTEGER NOT NULL, input_audio_tokens INTEGER NOT NULL, output_audio_tokens INTEGER NOT NULL, input_image_tokens INTEGER NOT NULL, images INTEGER NOT NULL, audio_ms INTEGER NOT NULL, request_bytes INTEGER NOT NULL, response_bytes INTEGER NOT NULL, estimated INTEGER NOT NULL, replayed INTEGER NOT NULL, shadow INTEGER NOT NULL, adjustments INTEGER NOT NULL, cost_units INTEGER NOT NULL, cost_rest INTEGER NOT NULL, list_units INTEGER NOT NULL, list_rest INTEGER NOT NULL, PRIMARY KEY (hour_ms, organization, cost_center, team, user, key, model_asked, model, provider, upstream_model, credential, surface, dialect, tags, arm, entry, price_version)) WITHOUT ROWID;
INSERT INTO "hours" VALUES(1793491200000,'','','','','','','','openai','gpt-5.4-0','','','','','','reconciled','',0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1,-1,-7,0,0);
INSERT INTO "hours" VALUES(1793491200000,'acme','CC-0','team-0','','key-0','smart','smart','openai','gpt-5.4-0','OPENAI_API_KEY','chat','openai','project=p0','','','0000000000000007',1,0,1,2,1800,240,0,0,0,0,0,0,0,0,0,6000,1800,0,1,0,0,6,0,6,0);
INSERT INTO "hours" VALUES(1793491200000,'acme','CC-1','team-1','alice','key-1','smart','smart','openai','gpt-5.4-1','OPENAI_API_KEY','chat','openai','','','','',0,1,0,1,900,120,0,0,0,0,0,0,0,0,0,3000,900,0,0,0,0,0,0,0,0);
INSERT INTO "hours" VALUES(1793494800000,'acme','CC-2','team-2','','key-2','smart','smart','openai','gpt-5.4-2','OPENAI_API_KEY','chat','openai','project=p2','b','','ffffffffffffffff',1,0,0,2,800,120,0,0,0,0,0,0,0,0,0,3000,900,0,0,0,0,2,-5,2,-5);
INSERT INTO "hours" VALUES(1793494800000,'acme','CC-2','team-2','','key-2','smart','smart','other','o-1','OPENAI_API_KEY','chat','openai','project=p2','b','','0000000000000009',0,0,0,0,100,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1,5,1,5);
CREATE TABLE marks (
    boot INTEGER NOT NULL,
    shard INTEGER NOT NULL,
    segment INTEGER NOT NULL,
    at INTEGER NOT NULL,
    next_sequence INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    PRIMARY KEY (boot, shard)
) WITHOUT ROWID;
CREATE TABLE open_calls (
    boot INTEGER NOT NULL,
    shard INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    frame BLOB NOT NULL,
    PRIMARY KEY (boot, shard, sequence)
) WITHOUT ROWID;
CREATE INDEX calls_by_end ON calls (ended_ms);
CREATE INDEX adjustments_by_time ON adjustments (at_ms);
CREATE VIEW billed AS SELECT c.ended_ms AS at_ms, c.organization, c.cost_center, c.team, c.user, c.key, c.model_asked, c.model, c.provider, c.upstream_model, c.credential, c.surface, c.dialect, c.tags, c.arm, '' AS entry, CASE WHEN c.price_version IS NULL THEN '' ELSE printf('%016x', c.price_version) END AS price_version, CASE WHEN c.status BETWEEN 200 AND 299 AND c.ending <> 3 AND (c.attempts > 0 OR c.batch = '') THEN 1 ELSE 0 END AS requests, CASE WHEN c.status NOT BETWEEN 200 AND 299 AND c.ending <> 3 THEN 1 ELSE 0 END AS failed, CASE WHEN c.ending = 3 THEN 1 ELSE 0 END AS crashed, c.attempts AS attempts, IFNULL(c.input, 0) + IFNULL(c.cache_read, 0) + IFNULL(c.cache_write_5m, 0) + IFNULL(c.cache_write_1h, 0) + IFNULL(c.input_audio, 0) + IFNULL(c.input_image, 0) AS input_tokens, IFNULL(c.output, 0) + IFNULL(c.reasoning, 0) + IFNULL(c.output_audio, 0) AS output_tokens, IFNULL(c.cache_read, 0) AS cache_read_tokens, IFNULL(c.cache_write_5m, 0) AS cache_write_5m_tokens, IFNULL(c.cache_write_1h, 0) AS cache_write_1h_tokens, IFNULL(c.reasoning, 0) AS reasoning_tokens, IFNULL(c.input_audio, 0) AS input_audio_tokens, IFNULL(c.output_audio, 0) AS output_audio_tokens, IFNULL(c.input_image, 0) AS input_image_tokens, IFNULL(c.images, 0) AS images, IFNULL(c.audio_ms, 0) AS audio_ms, c.request_bytes AS request_bytes, response_bytes AS response_bytes, c.estimated AS estimated, c.replayed AS replayed, c.shadow AS shadow, 0 AS adjustments, IFNULL(c.cost_units, 0) AS cost_units, IFNULL(c.cost_rest, 0) AS cost_rest, IFNULL(c.list_units, 0) AS list_units, IFNULL(c.list_rest, 0) AS list_rest FROM calls c UNION ALL SELECT c.ended_ms, c.organization, c.cost_center, c.team, c.user, c.key, c.model_asked, c.model, c.provider, c.upstream_model, c.credential, c.surface, c.dialect, c.tags, c.arm, '', CASE WHEN c.price_version IS NULL THEN '' ELSE printf('%016x', c.price_version) END, 0 AS requests, 0 AS failed, 0 AS crashed, 0 AS attempts, -(IFNULL(a.input, 0) + IFNULL(a.cache_read, 0) + IFNULL(a.cache_write_5m, 0) + IFNULL(a.cache_write_1h, 0) + IFNULL(a.input_audio, 0) + IFNULL(a.input_image, 0)) AS input_tokens, -(IFNULL(a.output, 0) + IFNULL(a.reasoning, 0) + IFNULL(a.output_audio, 0)) AS output_tokens, -(IFNULL(a.cache_read, 0)) AS cache_read_tokens, -(IFNULL(a.cache_write_5m, 0)) AS cache_write_5m_tokens, -(IFNULL(a.cache_write_1h, 0)) AS cache_write_1h_tokens, -(IFNULL(a.reasoning, 0)) AS reasoning_tokens, -(IFNULL(a.input_audio, 0)) AS input_audio_tokens, -(IFNULL(a.output_audio, 0)) AS output_audio_tokens, -(IFNULL(a.input_image, 0)) AS input_image_tokens, 0 AS images, 0 AS audio_ms, 0 AS request_bytes, 0 AS response_bytes, 0 AS estimated, 0 AS replayed, 0 AS shadow, 0 AS adjustments, -(IFNULL(a.cost_units, 0)) AS cost_units, -(IFNULL(a.cost_rest, 0)) AS cost_rest, -(IFNULL(a.list_units, 0)) AS list_units, -(IFNULL(a.list_rest, 0)) AS list_rest FROM attempts a JOIN calls c ON c.id = a.call WHERE a.moved = 1 UNION ALL SELECT c.ended_ms, c.organization, c.cost_center, c.team, c.user, c.key, c.model_asked, c.model, a.provider, a.upstream_model, a.credential, c.surface, c.dialect, c.tags, c.arm, '', CASE WHEN a.price_version IS NULL THEN '' ELSE printf('%016x', a.price_version) END, 0 AS requests, 0 AS failed, 0 AS crashed, 0 AS attempts, (IFNULL(a.input, 0) + IFNULL(a.cache_read, 0) + IFNULL(a.cache_write_5m, 0) + IFNULL(a.cache_write_1h, 0) + IFNULL(a.input_audio, 0) + IFNULL(a.input_image, 0)) AS input_tokens, (IFNULL(a.output, 0) + IFNULL(a.reasoning, 0) + IFNULL(a.output_audio, 0)) AS output_tokens, (IFNULL(a.cache_read, 0)) AS cache_read_tokens, (IFNULL(a.cache_write_5m, 0)) AS cache_write_5m_tokens, (IFNULL(a.cache_write_1h, 0)) AS cache_write_1h_tokens, (IFNULL(a.reasoning, 0)) AS reasoning_tokens, (IFNULL(a.input_audio, 0)) AS input_audio_tokens, (IFNULL(a.output_audio, 0)) AS output_audio_tokens, (IFNULL(a.input_image, 0)) AS input_image_tokens, 0 AS images, 0 AS audio_ms, 0 AS request_bytes, 0 AS response_bytes, 0 AS estimated, 0 AS replayed, 0 AS shadow, 0 AS adjustments, (IFNULL(a.cost_units, 0)) AS cost_units, (IFNULL(a.cost_rest, 0)) AS cost_rest, (IFNULL(a.list_units, 0)) AS list_units, (IFNULL(a.list_rest, 0)) AS list_rest FROM attempts a JOIN calls c ON c.id = a.call WHERE a.moved = 1 UNION ALL SELECT at_ms, organization, cost_center, team, user, key, model_asked, model, provider, upstream_model, credential, surface, dialect, tags, arm, entry, price_version, requests, failed, crashed, attempts, input_tokens, output_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, reasoning_tokens, input_audio_tokens, output_audio_tokens, input_image_tokens, images, audio_ms, request_bytes, response_bytes, estimated, replayed, shadow, adjustments, cost_units, cost_rest, list_units, list_rest FROM adjustments;
PRAGMA user_version = 2;
