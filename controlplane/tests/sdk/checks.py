"""Runs the checks of a script: every `check_…`, in order of definition. Knows neither gateway nor sandbox."""

import asyncio
import inspect
import sys
import traceback


def raises(kind, call):
    """Calls, expects exactly that class of exception, and answers it."""
    try:
        call()
    except Exception as raised:
        assert type(raised) is kind, f"expected {kind.__name__}, got {type(raised).__name__}: {raised}"
        return raised
    raise AssertionError(f"expected {kind.__name__}, nothing was raised")


def run(module):
    """Runs every check of the module in order of definition; exits 1 when one failed."""
    failed = 0
    checks = [(n, f) for n, f in vars(module).items() if n.startswith("check_")]
    for name, check in checks:
        try:
            asyncio.run(check()) if inspect.iscoroutinefunction(check) else check()
            print(f"ok      {name}", flush=True)
        except Exception:
            failed += 1
            print(f"FAILED  {name}\n{traceback.format_exc()}", flush=True)
    print(f"{len(checks) - failed} of {len(checks)} checks passed")
    sys.exit(1 if failed else 0)
