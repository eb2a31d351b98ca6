"""What a comparison measured of Tollgate, as the planner reads it: `tollgate-loadtest plan --measurements FILE`.

One document for each row and profile, the valid round with the median CPU; and one for idle connections.
"""

import statistics

PROFILES = {"tollgate": "bare", "tollgate-all": "everything"}


def documents(result):
    """The planner's documents; none when the load came from another generator than ours."""
    found = []
    for row in result["rows"]:
        for name, profile in PROFILES.items():
            report = typical(row["peers"].get(name, []))
            if report:
                found.append({"name": row["name"], "shards": 1, "profile": profile, "machine": machine_of(result),
                              "tls": row["tls"], "about": about(result), "report": report})
    idle = result.get("idle", {}).get("tollgate")
    if idle and found:
        found.append({"idle_connections": idle["connections"], "bytes_each": idle["bytes_each"], "shards": 1,
                      "machine": machine_of(result), "about": about(result)})
    return found


def typical(rounds):
    """The report whose CPU per request is the median of the valid ones."""
    reports = [one["report"] for one in rounds if one.get("report") and one["valid"] and one["report"]["watched"]]
    if not reports:
        return None
    middle = statistics.median_low(report["watched"]["cpu_us_per_request"] for report in reports)
    return next(report for report in reports if report["watched"]["cpu_us_per_request"] == middle)


def machine_of(result):
    return f"{result['machine']['cpu']}, {result['machine']['cores']} cores, Linux {result['machine']['kernel']}"


def about(result):
    return {"command": result["command"], "date": result["date"], "tollgate": result["peers"]["tollgate"]["version"]
            if "tollgate" in result["peers"] else None}
