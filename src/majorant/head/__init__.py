"""From electrodes to a lead field: the template, a subject, or any `mne.Forward`."""
