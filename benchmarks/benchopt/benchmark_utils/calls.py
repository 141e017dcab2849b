"""The two ways from an average to an estimate: ours and MNE's. They differ in an import."""

from __future__ import annotations

from typing import Any

import numpy as np
from benchopt import BaseSolver


class Imaging(BaseSolver):
    """Fit to channels and noise, image every recording, keep one row a source."""

    sampling_strategy = "run_once"
    loose: float | str = "auto"

    def set_objective(self, recordings: Any, forward: Any) -> None:
        """Take the recordings and the forward that is believed."""
        self.recordings, self.forward = recordings, forward

    def run(self, _: Any) -> None:
        """Image all recordings."""
        self.estimates = [self.imaged(evoked, cov) for evoked, cov in self.recordings]

    def get_result(self) -> dict[str, list[np.ndarray]]:
        """The estimates."""
        return {"estimates": self.estimates}

    def imaged(self, evoked: Any, noise_cov: Any) -> np.ndarray:
        """One estimate, (n_locations, n_times)."""
        raise NotImplementedError


class Majorant(Imaging):
    """A solver of majorant's registry, by `majorant.inverse`."""

    requirements = ("pip::majorant",)
    solver: str
    inverse: tuple[Any, Any] | None = None

    def imaged(self, evoked: Any, noise_cov: Any) -> np.ndarray:
        """One estimate; the operator is kept while the covariance is the same."""
        from majorant.inverse import apply_inverse, make_inverse_operator

        if self.inverse is None or self.inverse[0] is not noise_cov:
            made = make_inverse_operator(evoked.info, self.forward, noise_cov, solver=self.solver)
            self.inverse = noise_cov, made
        return np.asarray(apply_inverse(evoked, self.inverse[1]).data, dtype=np.float64)


class MinimumNorm(Imaging):
    """A method of `mne.minimum_norm`, its defaults."""

    requirements = ("pip::mne",)
    method: str

    def imaged(self, evoked: Any, noise_cov: Any) -> np.ndarray:
        """One estimate."""
        from mne.minimum_norm import apply_inverse, make_inverse_operator

        evoked = evoked.copy().set_eeg_reference("average", projection=True, verbose="error")
        inverse = make_inverse_operator(evoked.info, self.forward, noise_cov, verbose="error")
        stc = apply_inverse(evoked, inverse, method=self.method, verbose="error")
        return np.asarray(stc.data, dtype=np.float64)
