# SPDX-License-Identifier: MIT
"""What holds for every suite: a run that is told to end takes down what it has built."""

import os
import signal


def pytest_configure():
    """SIGTERM, as timeout(1) sends it, is to a run what Ctrl-C is: the test is broken off, the fixtures are torn down."""
    run = os.getpid()

    def end(number, _):
        if os.getpid() != run:  # a child that was forked: the fixtures are not its own
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        signal.signal(number, lambda *_: None)  # timeout sends it twice, to the process and to its group
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)
