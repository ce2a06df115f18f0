"""`python -m service`: the same as the `breakwater` command."""

from service.cli import main

if __name__ == "__main__":
    main(prog_name="breakwater")
