"""The patch scan: a few patches of any size, found by alternating projections.

For K = 1, 2, ... each of K patches in turn takes the place in the dictionary that explains most of
what the others leave, until nothing moves; the number K is that of the lowest Bayesian information
criterion, which knows that the head is never quite right. The estimate is the mean over all patches
that would do nearly as well.

| part | where |
|---|---|
| patches of several sizes | ``forward/patches.py`` |
| their topographies | ``scan/dictionary.py`` |
| the energy, and why it cannot rise | ``scan/likelihood.py`` |
| alternating projections | ``scan/search.py`` |
| how many patches | ``scan/number.py`` |
| the mean over patches | ``scan/posterior.py`` |

Source: Ziskind and Wax (1988); Adler et al. (2024); relatives: RAP-MUSIC (Mosher and Leahy 1999),
TRAP-MUSIC (Mäkelä et al. 2018).
"""

from majorant.solvers.scan.solver import Scan

__all__ = ["Scan"]
