"""ICC profiles of wide colour spaces, with an exponent for their curve."""

import numpy as np

from visionfleet.imaging.icc import matrix_profile

# Primaries of the spaces' own specifications, adapted to D50 by Bradford.
DISPLAY_P3 = matrix_profile(
    np.array(
        ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
    ),
    2.2,
)
ADOBE_RGB = matrix_profile(
    np.array(
        ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
    ),
    2.2,
)
PROPHOTO_RGB = matrix_profile(
    np.array(((0.79767, 0.28804, 0.0), (0.13519, 0.71188, 0.0), (0.03134, 0.00009, 0.82491))), 1.8
)
