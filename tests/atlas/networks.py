"""Networks in which the places of :mod:`places` may lie, by the gyrus whose centre they are.

Of Yeo et al. 2011 (doi:10.1152/jn.00338.2011, figures 11 to 13; the 17 networks are parts of the 7,
but for their temporo-parietal one) and of Ji et al. 2019 (doi:10.1016/j.neuroimage.2018.10.006,
figure 2 and its table of areas). A gyrus that a border crosses has several.
"""

from __future__ import annotations

from collections.abc import Mapping

YEO: Mapping[str, str] = {
    "precentral gyrus": "Somatomotor, Dorsal Attention",
    "postcentral gyrus": "Somatomotor, Dorsal Attention",
    "paracentral lobule": "Somatomotor",
    "superior temporal gyrus": "Somatomotor, Ventral Attention",
    "Heschl's gyrus": "Somatomotor",
    "middle temporal gyrus": "Default, Ventral Attention",
    "inferior temporal gyrus": "Limbic, Frontoparietal, Default",
    "temporal pole": "Limbic, Default",
    "fusiform gyrus": "Visual, Limbic",
    "supramarginal gyrus": "Ventral Attention, Dorsal Attention, Frontoparietal",
    "angular gyrus": "Default, Frontoparietal",
    "superior parietal lobule": "Dorsal Attention",
    "precuneus": "Default, Frontoparietal, Dorsal Attention",
    "cuneus": "Visual",
    "calcarine cortex": "Visual",
    "lingual gyrus": "Visual",
    "lateral occipital gyri": "Visual, Dorsal Attention",
    "insula": "Ventral Attention, Somatomotor",
    "anterior cingulate cortex": "Default, Ventral Attention, Frontoparietal",
    "middle cingulate cortex": "Ventral Attention, Somatomotor, Frontoparietal",
    "posterior cingulate cortex": "Default, Frontoparietal",
    "superior frontal gyrus": "Default, Frontoparietal, Ventral Attention, Somatomotor",
    "middle frontal gyrus": "Frontoparietal, Ventral Attention, Default",
    "inferior frontal gyrus, opercular part": "Ventral Attention, Frontoparietal, Default, "
    "Dorsal Attention",
    "inferior frontal gyrus, triangular part": "Default, Frontoparietal",
    "lateral orbitofrontal cortex": "Limbic, Frontoparietal, Default",
    "medial orbitofrontal cortex": "Limbic, Default",
}
"""Of the 7 networks, by our name of the gyrus (the first, where a place has several)."""

SEVENTEEN: Mapping[str, str] = {"fusiform gyrus": "Default, Dorsal Attention"}
"""Among the 17 alone: the parahippocampal bank is default C, what borders on the occipital lobe
dorsal attention A (PHC and TempOcc of Schaefer et al. 2018)."""

PARTS: Mapping[str, str] = {
    "Control": "Frontoparietal",
    "Temporal Parietal": "Default, Ventral Attention",
}
"""Where those of the 17 networks lie among the 7 that are not called after them."""

COLE: Mapping[str, str] = {
    "precentral gyrus": "Somatomotor, Cingulo-Opercular, Language, Dorsal-attention",
    "postcentral gyrus": "Somatomotor",
    "paracentral lobule": "Somatomotor, Cingulo-Opercular",
    "superior temporal gyrus": "Auditory, Language",
    "Heschl's gyrus": "Auditory, Somatomotor, Cingulo-Opercular",
    "middle temporal gyrus": "Language, Default, Frontoparietal",
    "inferior temporal gyrus": "Default, Frontoparietal, Ventral-Multimodal, Dorsal-attention",
    "temporal pole": "Default, Ventral-Multimodal",
    "fusiform gyrus": "Visual2, Ventral-Multimodal, Default, Dorsal-attention",
    "supramarginal gyrus": "Cingulo-Opercular, Dorsal-attention, Language, Frontoparietal",
    "angular gyrus": "Default, Frontoparietal",
    "superior parietal lobule": "Dorsal-attention, Cingulo-Opercular, Visual2, Somatomotor",
    "precuneus": "Default, Frontoparietal, Cingulo-Opercular, Posterior-Multimodal",
    "cuneus": "Visual1, Visual2, Posterior-Multimodal",
    "calcarine cortex": "Visual1, Visual2",
    "lingual gyrus": "Visual1, Visual2",
    "lateral occipital gyri": "Visual1, Visual2, Dorsal-attention",
    "insula": "Cingulo-Opercular, Frontoparietal, Orbito-Affective",
    "anterior cingulate cortex": "Default, Cingulo-Opercular, Frontoparietal",
    "middle cingulate cortex": "Cingulo-Opercular, Somatomotor, Frontoparietal, Default",
    "posterior cingulate cortex": "Default, Frontoparietal",
    "superior frontal gyrus": "Default, Frontoparietal, Cingulo-Opercular, Somatomotor, Language",
    "middle frontal gyrus": "Frontoparietal, Cingulo-Opercular, Default",
    "inferior frontal gyrus, opercular part": "Frontoparietal, Language, Cingulo-Opercular, "
    "Default",
    "inferior frontal gyrus, triangular part": "Language, Frontoparietal, Default",
    "lateral orbitofrontal cortex": "Default, Frontoparietal, Language, Orbito-Affective",
    # The area OFC of the right side is frontoparietal in their table.
    "medial orbitofrontal cortex": "Default, Orbito-Affective, Frontoparietal",
}
"""Of the 12 networks, likewise."""
