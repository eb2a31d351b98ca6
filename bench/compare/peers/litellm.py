"""LiteLLM's proxy, from the PyPI package `litellm[proxy]`.

Settings and where they are documented (docs.litellm.ai, "Best practices for production" and "Benchmarks"):
- as many workers as cores: one; `LITELLM_MODE=PRODUCTION`, `LITELLM_LOG=ERROR`, `set_verbose: false`;
- no database, so no spend logs and no virtual keys; the master key is checked, as every gateway here checks one;
- no retries; telemetry off; `LITELLM_LOCAL_MODEL_COST_MAP`, so that it starts without a network.
"""

import json
import os

import child
import payloads
from peers.peer import Absent, Peer, installed


class Litellm(Peer):
    name, title = "litellm", "litellm"
    start_seconds = 120.0
    has_tls_twin = True

    def __init__(self, site):
        super().__init__(site)
        self.ports = dict.fromkeys(self.ports, self.ports["whole"])

    def launch(self, tls):
        self.found, folder = installed(self.name)
        program = os.path.join(folder, "bin", "litellm")
        if not os.path.exists(program):
            raise Absent("the package `litellm[proxy]` holds no program `litellm`")
        config = self.site.write("litellm.yaml", json.dumps(self.document()))  # JSON is YAML
        command = [program, "--config", config, "--host", "127.0.0.1", "--num_workers", "1", "--telemetry", "False",
                   "--keepalive_timeout", "600", "--port", str(self.tls_port if tls else self.ports["whole"])]
        if tls:
            command += ["--ssl_certfile_path", self.site.certificate, "--ssl_keyfile_path", self.site.key]
        return child.Child(self.name + ("-tls" if tls else ""), child.PROXY_CORE, command, self.site.folder, {
            "LITELLM_MODE": "PRODUCTION", "LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True"})

    def document(self):
        models = [{"model_name": asked, "litellm_params": {
            "model": f"openai/{given}", "api_key": "sk-mock",
            "api_base": f"http://127.0.0.1:{self.site.providers.ports[route]}/v1"}}
            for route, (asked, given) in payloads.MODELS.items()]
        return {
            "model_list": models,
            "litellm_settings": {"set_verbose": False, "num_retries": 0, "request_timeout": 600, "telemetry": False},
            "general_settings": {"master_key": payloads.KEY},
        }

    def version(self):
        return f"LiteLLM {self.found}"
