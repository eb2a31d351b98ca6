"""Tollgate's configurations under comparison: `bare`, `everything` that exists today, and `kept` and `like`,
whose answers are kept.

A feature that is new to Tollgate gets a function here and a line in FEATURES: it changes the document, and returns the
headers that clients then send. Knows the configuration's keys and no process.
"""

import payloads

TAGS = "application=compare,stage=bench"
ORIGIN = "https://app.example.com"
OTHER_KEYS = 10_000
OTHER_MODELS = 200
TEAMS, USERS = 50, 500


def bare(ports, provider_ports):
    """What a gateway must at least have: a key that is checked, models, one provider for each route."""
    providers, models = {}, {}
    for route, (asked, given) in payloads.MODELS.items():
        providers[route] = {"dialect": "openai", "base_url": f"http://127.0.0.1:{provider_ports[route]}",
                            "credential": "env:TOLLGATE_BENCH_CREDENTIAL",
                            "connections": {"max_idle": 1024, "idle_timeout": "600s"}}
        models[asked] = {"targets": [{"provider": route, "model": given}]}
    return {
        "version": 1, "access_log": "off",
        "client": {"idle_timeout": "600s"},
        "admin": {"address": f"127.0.0.1:{ports['admin']}"},
        "listeners": {
            "public": {"address": f"127.0.0.1:{ports['plain']}"},
            "secure": {"address": f"127.0.0.1:{ports['tls']}",
                       "tls": {"certificate": "file:server.pem", "key": "file:server.key"}},
        },
        "providers": providers, "models": models,
        "keys": {"bench": {"secret": "env:TOLLGATE_BENCH_KEY"}},
    }


def access_log(document):
    document["access_log"] = "file:access.log"
    return {}


def key_hierarchy(document):
    document["teams"] = {f"team-{number}": {"cost_center": f"CC-{number}"} for number in range(TEAMS)}
    document["users"] = {f"user-{number}@example.com": {"team": f"team-{number % TEAMS}"} for number in range(USERS)}
    document["keys"]["bench"].update(team="team-7", user="user-7@example.com", expires="2099-01-01T00:00:00Z")
    for number in range(OTHER_KEYS):
        document["keys"][f"key-{number:06}"] = {
            "hash": f"sha256:{number:064x}", "team": f"team-{number % TEAMS}", "models": ["other-*"]}
    return {}


def model_allow_lists(document):
    document["keys"]["bench"]["models"] = ["other-*", "sandbox-small-*"]
    return {}


def many_models(document):
    for number in range(OTHER_MODELS):
        document["models"][f"other-{number}"] = {"targets": [{"provider": "whole", "model": f"model-{number}"}]}
    document["models"]["open/*"] = {"targets": [{"provider": "whole", "model": "*"}]}
    return {}


def several_targets_with_retries(document):
    for asked, _ in payloads.MODELS.values():
        model = document["models"][asked]
        model["targets"] = model["targets"] * 3
        model["retry"] = {"attempts": 3}
    return {}


def request_tags(_document):
    return {"x-tollgate-tags": TAGS}


def cross_origin_answers(document):
    for listener in document["listeners"].values():
        listener["cors"] = {"origins": [ORIGIN]}
    return {"Origin": ORIGIN}


def forwarded_addresses(document):
    for listener in document["listeners"].values():
        listener["trusted_proxies"] = ["127.0.0.0/8", "10.0.0.0/8"]
    return {"X-Forwarded-For": "203.0.113.7, 10.1.2.3"}


def provider_headers(document):
    for provider in document["providers"].values():
        provider["headers"] = {"openai-organization": "org-compare", "openai-project": "proj-compare"}
    return {}


def limits_and_budget(document):
    """Six limits of four scopes and a budget, none of which the load reaches, and prices for the budget."""
    for provider in document["providers"].values():
        provider["prices"] = {"models": {"sandbox-*": {"input": "0.25", "output": "2.00"}}}
    far = 1_000_000_000_000
    document["keys"]["bench"]["limits"] = [
        {"requests": 10_000_000, "per": "1s"}, {"tokens": far, "per": "1m"}, {"concurrent": 100_000},
        {"budget": "5000000 USD", "per": "month"}]
    document["users"]["user-7@example.com"]["limits"] = [{"input_tokens": far, "per": "day"}]
    document["teams"]["team-7"]["limits"] = [{"output_tokens": far, "per": "month"}]
    document["organization"] = {"limits": [{"requests": far, "per": "1h"}]}
    return {}


def exact_cache(document):
    """Calls are looked up here. Those of `everything` each ask something else: they are not found, and are kept."""
    document["caches"] = {"answers": {"scope": "team", "exact": {"ttl": "1h", "max_bytes": "256MiB"},
                                      "allow": ["temperature"]}}
    for asked, _ in payloads.MODELS.values():
        document["models"][asked]["cache"] = "answers"
    return {}


# In the words of the report, what `everything` has beside `bare`. Usage is read and recorded in both.
FEATURES = {
    "an access log written to a file": access_log,
    f"a key of a user of a team, among {OTHER_KEYS:,} keys, with an expiry": key_hierarchy,
    "a list of allowed models with wildcards": model_allow_lists,
    f"{OTHER_MODELS:,} more models and a wildcard": many_models,
    "three targets a model and retries": several_targets_with_retries,
    "tags kept with each request's record": request_tags,
    "cross-origin answers": cross_origin_answers,
    "clients' addresses from trusted proxies": forwarded_addresses,
    "headers added for the provider": provider_headers,
    "six limits and a budget of key, user, team and organization": limits_and_budget,
    "an exact cache, in which each call is looked up, not found, and kept": exact_cache,
}


def everything(ports, provider_ports):
    """(document, headers): `bare` with every feature on."""
    document, headers = bare(ports, provider_ports), {}
    for feature in FEATURES.values():
        headers.update(feature(document))
    return document, headers


def kept(ports, provider_ports):
    """(document, headers): `bare` with an exact cache."""
    document = bare(ports, provider_ports)
    return document, exact_cache(document)


def like(ports, provider_ports):
    """(document, headers): `kept` that finds the same question in other words as well."""
    document, headers = kept(ports, provider_ports)
    document["caches"]["answers"]["semantic"] = {"mode": "serve"}
    return document, headers


# By name: what makes a document, and the headers that clients then send.
PROFILES = {
    "bare": lambda ports, provider_ports: (bare(ports, provider_ports), {}),
    "everything": everything,
    "kept": kept,
    "like": like,
}


def with_more_keys(document, count):
    """`document` with `count` keys beside those it has: what a large push carries."""
    keys = dict(document["keys"])
    for number in range(count):
        keys[f"key-{number:06}"] = {"hash": f"sha256:{number:064x}", "models": ["sandbox-small-*"]}
    return {**document, "keys": keys}
