"""The main job: a recording in, an estimate with everything that belongs to it and a page out."""
