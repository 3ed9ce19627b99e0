"""Says what PyTorch of this process says, and what was preloaded, to whom asks from outside.

A thread answers on a Unix socket named by the pid in the folder $PROBES. It asks for every device:
a side thread's current device is 0, whatever the rank.
"""

import os
import pathlib
import pickle
import socketserver
import threading


class Answer(socketserver.BaseRequestHandler):
    def handle(self):
        import torch

        devices, snapshot = {}, []
        # Asking a process that has not used CUDA must not make it use CUDA.
        if torch.cuda.is_initialized():
            snapshot = torch.cuda.memory_snapshot()
            for device in range(torch.cuda.device_count()):
                devices[device] = dict(torch.cuda.memory_stats(device))
        answer = {"devices": devices, "snapshot": snapshot, "preload": os.environ.get("LD_PRELOAD")}
        self.request.sendall(pickle.dumps(answer))


def start():
    """Begins to answer, in a process that was told where."""
    folder = os.environ.get("PROBES")
    if not folder:
        return
    server = socketserver.UnixStreamServer(str(pathlib.Path(folder, str(os.getpid()))), Answer)
    threading.Thread(target=server.serve_forever, name="probe", daemon=True).start()
