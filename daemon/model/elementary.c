/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Logarithm and log factorial; see elementary.h for what is promised. */
#include "daemon/model/elementary.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

/*
 * x = 2^k m with m in [sqrt 1/2, sqrt 2), f = m - 1, s = f / (2 + f):
 *     log m = 2 atanh s = f - (f^2/2 - s (f^2/2 + R)),  R = 2 s^2/3 + 2 s^4/5 + ...
 * The large term f is exact and added last; the series stops at s^22 (remainder 1e-19).
 */
double traj_log(double x)
{
    if (!(x > 0.0))
        return x == 0.0 ? -INFINITY : NAN;
    if (x > 0x1.fffffffffffffp1023)
        return x;
    int k = 0;
    if (x < 0x1p-1022) {
        x *= 0x1p54;
        k = -54;
    }
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    k += (int)(bits >> 52) - 1023;
    bits = (bits & 0xfffffffffffffu) | 0x3ff0000000000000u;
    double m;
    memcpy(&m, &bits, sizeof m);
    if (m > TRAJ_LOG_SPLIT) {
        m *= 0.5;
        k += 1;
    }
    const double f = m - 1.0;
    const double s = f / (2.0 + f);
    const double z = s * s;
    double sum = 2.0 / 23.0;
    for (int odd = 21; odd >= 3; odd -= 2)
        sum = sum * z + 2.0 / (double)odd;
    const double half = 0.5 * f * f;
    const double power = (double)k;
    return power * TRAJ_LN2_HIGH - ((half - (s * (half + sum * z) + power * TRAJ_LN2_LOW)) - f);
}

#define TABLED 32

static const double tabled_log_factorial[TABLED] = {0.0,
                                                    0.0,
                                                    0.69314718055994529,
                                                    1.791759469228055,
                                                    3.1780538303479458,
                                                    4.7874917427820458,
                                                    6.5792512120101012,
                                                    8.5251613610654147,
                                                    10.604602902745251,
                                                    12.801827480081469,
                                                    15.104412573075516,
                                                    17.502307845873887,
                                                    19.987214495661885,
                                                    22.552163853123425,
                                                    25.19122118273868,
                                                    27.89927138384089,
                                                    30.671860106080672,
                                                    33.505073450136891,
                                                    36.395445208033053,
                                                    39.339884187199495,
                                                    42.335616460753485,
                                                    45.380138898476908,
                                                    48.471181351835227,
                                                    51.606675567764377,
                                                    54.784729398112319,
                                                    58.003605222980518,
                                                    61.261701761002001,
                                                    64.557538627006338,
                                                    67.88974313718154,
                                                    71.257038967168015,
                                                    74.658236348830158,
                                                    78.092223553315307};

double traj_log_factorial(unsigned n)
{
    if (n < TABLED)
        return tabled_log_factorial[n];
    /* Stirling's series in x = n; the first term left out is below 1e-15 of a result above 81. */
    const double x = (double)n;
    const double inverse = 1.0 / x;
    const double square = inverse * inverse;
    const double half_log_two_pi = 0.91893853320467274;
    const double series =
        inverse * (1.0 / 12.0 - square * (1.0 / 360.0 - square * (1.0 / 1260.0 - square / 1680.0)));
    return (x + 0.5) * traj_log(x) - x + half_log_two_pi + series;
}
