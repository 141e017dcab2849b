"""Power in bands, at rest and around events, and what regions share: imaged from cross-spectra."""
