//! The coefficients of the model of letters, fitted by `scripts/lib/fit_letters.py`.
//!
//! Multinomial regression on 22,608 pieces of lines of 15 files (1981 to 2026, digital and scanned), at most 900 for
//! each file and class, rendered at 192 and 150 dpi and slightly skewed. The class of a piece comes from the text layer
//! of digital pages, or from the label of the page if there is no text layer.

use super::lines::FEATURES;

/// For Arabic, Latin and neither, in this order.
pub(super) const BIAS: [f32; 3] = [4.011, -5.377, 1.365];

/// The order of the features is that of [`super::lines::Piece`].
#[rustfmt::skip]
pub(super) const WEIGHTS: [[f32; FEATURES]; 3] = [
    [
        7.333, -0.191, -3.358, 10.264, -3.988, -6.400, -3.254, 1.200, 24.637, -10.908,
        14.509, 27.817, 19.420, 8.540, 1.909, -8.629, -19.270, -16.016, -16.776, -0.938,
        23.683, 2.325, -6.527, -2.557, 6.361, 3.475, 4.811, 1.810, 0.832, -5.926,
        -6.795, -10.916, -9.563, -6.435, -3.775, 5.598, 6.166, 1.050, -4.936, 2.753,
        0.335, -0.916, -1.937,
    ],
    [
        8.145, 23.925, 11.548, 1.157, -16.048, 1.629, 4.210, -15.222, -10.974, 58.270,
        20.587, -21.356, -6.581, 6.561, 14.383, -2.820, 9.990, 16.336, -8.592, -54.981,
        6.803, -2.301, 1.077, 2.062, 2.692, -12.795, -2.730, 5.120, -0.202, 8.613,
        -0.745, -1.530, -4.045, -7.229, 5.843, 1.647, -2.368, 4.308, -2.197, -12.266,
        -0.723, 2.027, 1.414,
    ],
    [
        -49.834, -22.294, 12.964, -6.051, 11.382, 13.424, -6.343, -7.120, -15.058, -13.046,
        8.870, 10.157, 1.965, 10.850, -6.806, 1.996, -16.683, -15.108, 8.759, 11.868,
        -1.936, 2.406, -3.985, 3.406, -6.869, 7.270, -1.800, 0.314, 4.439, 24.139,
        -19.270, 7.395, 6.377, 13.395, -0.020, -9.436, -6.719, 4.076, 4.715, -19.049,
        0.386, -1.113, 0.521,
    ],
];
