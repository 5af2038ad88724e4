"""``python -m bayes_msc.cli``: the same as ``bayes-msc``."""

from bayes_msc.cli import main

if __name__ == "__main__":
    main()
