"""`%resonate export worker.py` and `%resonate doctor` in a real kernel."""

from __future__ import annotations

import subprocess
import sys

from kernels import kernel

from resonate import Resonate
from resonate.server import DevelopmentServer

CELLS = [
    "import os\nimport numpy as np\nSCALE = 3",
    "def scaled(day):\n    with open(os.devnull) as file:\n        file.read()\n    return int(np.float64(day)) * SCALE",
    """%%resonate register
def clean(ctx, day):
    return scaled(day), os.getpid()
def pipeline(ctx, days):
    found = []
    for day in range(days):
        found.append((yield ctx.run(clean, day)))
    return found
""",
]


def test_a_kernels_functions_go_on_in_a_worker_when_the_kernel_has_gone(tmp_path):
    with DevelopmentServer(port=0) as server:
        with kernel(tmp_path) as run:
            run(f"%load_ext resonate_notebook\n%resonate connect remote {server.url}")
            for each in CELLS:
                run(each)
            assert "worker.py written · a worker for clean, pipeline · `python worker.py` starts it" in run("%resonate export worker.py")
            told = run("%resonate doctor")
            assert "ok       kernel" in told
            assert "ok       clock" in told
            assert "2 registered: clean, pipeline" in told
            assert "problem" not in told
        worker = subprocess.Popen([sys.executable, "worker.py"], cwd=tmp_path, stderr=subprocess.DEVNULL)
        try:
            with Resonate.remote(host=server.url, group="asking", log_level="CRITICAL") as client:
                handle = client.options(target="default").begin_rpc("demo.1", "pipeline", days=3)
                assert [tuple(each) for each in handle.result(30)] == [(0, worker.pid), (3, worker.pid), (6, worker.pid)]
        finally:
            worker.kill()
            worker.wait()
