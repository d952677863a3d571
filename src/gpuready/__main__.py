"""python -m gpuready"""

from gpuready.cli.main import main

main()
