"""Runs ``facegallery-index`` with a limit on the size of files, which stands for a full disk.

The first argument is the limit in bytes, the others are the command's.
"""

import resource
import sys

from index.cli.main import main

if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
    main(sys.argv[2:])
