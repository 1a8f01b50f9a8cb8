"""What the filtering defenses share: score the samples, drop the suspects, train again."""

from abc import abstractmethod

import numpy as np
from numpy.typing import NDArray

from tsguard._base import TrainingSet
from tsguard._engine import Phase, Records
from tsguard._validation import Panel
from tsguard.defenses._shared import Course, Defense


class FilterDefense(Defense):
    """Base of the defenses that drop suspects and train a new network on the rest.

    The least suspicious member of a class is never dropped: every class can still be learned.
    """

    @abstractmethod
    def _inspect(
        self, course: Course, data: TrainingSet, seed: int
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return suspicion (higher = more) and mask of the suspects, each ``(n_samples,)``."""

    def _train(self, data: TrainingSet, panel: Panel, seed: int) -> Records:
        course = self._course(data, seed)
        self.suspicion_, suspect = self._inspect(course, data, seed)
        self.suspect_mask_ = _spare_one(self.suspicion_, suspect, data.codes)
        self._build_network(data, seed)
        kept = np.flatnonzero(~self.suspect_mask_)
        course.run(self.network_, Phase("retraining", self.n_epochs), rows=kept)
        return course.records

    def _train_on_everything(self, course: Course, data: TrainingSet, seed: int) -> None:
        """Train the network whose view of the samples is inspected."""
        self._build_network(data, seed)
        course.run(self.network_, Phase("training", self.n_epochs))


def _spare_one(
    suspicion: NDArray[np.float64], suspect: NDArray[np.bool_], codes: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Return the mask of the suspects, less the least suspicious member of every class."""
    spared = suspect.copy()
    for code in np.unique(codes):
        members = np.flatnonzero(codes == code)
        spared[members[suspicion[members].argmin()]] = False
    return spared
