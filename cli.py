"""The command line from a clone of the repository: `python cli.py fit --config stylegan.yaml`."""

from lightning_gan.cli import main

if __name__ == "__main__":
    main()
